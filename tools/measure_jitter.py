# SPDX-License-Identifier: Apache-2.0
"""
Measure jitter on a trembling still picture and lag behind a hand at 1 m/s.

    python tools/measure_jitter.py [PICTURE ...] [--all] [--json FILE]

Jitter: each picture is repeated 100 times at 30 Hz with noise (sigma 2/255) and shifts of up to
0.5 px, after 30 such frames in which the filters settle, and once more counted from the very first
frame. Every vertex's motion about its own mean, RMS over frames and vertices, in the camera's
frame; and from frame to frame (over the root of two), which leaves slow drift out. `--all` takes
every labelled picture with a hand, and leaves the lag out.

Lag: the picture, 720 px high at most, slides to and fro on a 1280x720 canvas so fast that the
hand, at the depth at which the estimator sees it at rest, moves at 1 m/s. The lag is how far the
projected hand hangs behind its place at rest plus the known shift, divided by the speed: median
over the frames in which the last 5 went the same way. There is no motion blur in these frames.
"""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from ros2_dice.estimator import Estimator, create_estimator
from ros2_dice.evaluation.material import load_material, material_folder
from ros2_dice.evaluation.still import RATE_HZ, Jitter, Pixels, Stroke, follow, jitter, trembling
from ros2_dice.parameters import Settings
from ros2_dice.pictures import read_picture
from ros2_dice.types import Camera, FloatArray, HandFaceEstimate

PICTURES = ('s/man_chin_grip.jpg', 's/man_fist_on_cheek.jpg', 's/woman_four_fingers.jpg',
            's/old_man_horns_sign.jpg', 's/man_frontal.jpg', 's/palm.jpg')
SETTLE, FRAMES = 30, 100
CANVAS_PX = (1280, 720)
BAR_MM = 1.0
SPEED_M_S = 1.0
STEADY = 5
REST = 30


def vertices(estimates: tuple[HandFaceEstimate, ...]) -> dict[str, FloatArray]:
    """Return the vertices of the face and of each hand."""
    found: dict[str, FloatArray] = {}
    for estimate in estimates:
        if estimate.face is not None:
            found[f'face {estimate.person_id}'] = estimate.face.vertices_m
        if estimate.hand is not None:
            found[f'{estimate.handedness.name.lower()} hand {estimate.hand_id}'] = \
                estimate.hand.vertices_m
    return found


def measure_jitter(estimator: Estimator, picture: Pixels) -> dict[str, tuple[Jitter, Jitter]]:
    """Return the jitter, settled and from the first frame, of what was there to the end."""
    rng = np.random.default_rng(1)
    tracks = follow(estimator, trembling(picture, SETTLE + FRAMES, rng), vertices)

    def part(track: dict[int, FloatArray], first: int) -> Jitter:
        return jitter(np.stack([track[n] for n in sorted(track) if first <= n < first + FRAMES]))

    return {name: (part(track, SETTLE), part(track, 0)) for name, track in tracks.items()
            if sum(n >= SETTLE for n in track) >= FRAMES // 2}


def measure_lag_ms(estimator: Estimator, picture: Pixels,
                   camera: Camera) -> tuple[float, int] | None:
    """Return the lag [ms] and the number of frames it is the median of, or None without a hand."""
    scale = min(1.0, CANVAS_PX[1] / picture.shape[0], 0.6 * CANVAS_PX[0] / picture.shape[1])
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale,
                                  interpolation=cv2.INTER_AREA), np.uint8)
    still = Stroke(0.0, 1.0, REST)
    rng = np.random.default_rng(2)
    at_rest = follow(estimator, still.frames(small, CANVAS_PX, REST, rng), vertices, camera)
    hands = [track for name, track in at_rest.items() if 'hand' in name and REST - 1 in track]
    if not hands:
        return None
    depth_m = float(np.asarray(hands[0][REST - 1])[:, 2].mean())
    speed_px = SPEED_M_S * camera.fx_px / depth_m / RATE_HZ
    stroke = Stroke(speed_px, CANVAS_PX[0] - small.shape[1], REST)
    tracks = follow(estimator, stroke.frames(small, CANVAS_PX, REST + 90, rng), vertices, camera)
    lags_ms: list[float] = []
    for name, track in tracks.items():
        if 'hand' not in name or REST - 1 not in track:
            continue
        place = {n: float(camera.project(v)[:, 0].mean()) for n, v in track.items()}
        base = np.median([place[n] for n in place if REST - 10 <= n < REST])
        lags_ms += [stroke.direction(n) * (base + stroke.offset_px(n) - x) / speed_px
                    * 1e3 / RATE_HZ for n, x in place.items() if stroke.steady(n, STEADY)]
    return (float(np.median(lags_ms)), len(lags_ms)) if lags_ms else None


def summary(name: str, values_mm: list[float]) -> str:
    """Return how many surfaces there are and how much they move."""
    low, high = np.percentile(values_mm, (50, 90))
    met = sum(value <= BAR_MM for value in values_mm)
    return (f'{name}: {len(values_mm)}, median {low:.2f} mm, 90th percentile {high:.2f}, '
            f'at most {BAR_MM:g} mm: {met}')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Jitter on a still picture, lag behind a hand.')
    parser.add_argument('pictures', nargs='*', type=Path)
    parser.add_argument('--all', action='store_true', help='every labelled picture with a hand')
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    pictures = options.pictures or [material_folder() / name for name in PICTURES]
    if options.all:
        pictures = [picture.path for picture in load_material().pictures if picture.hands]
    settings = Settings({'tracking.deterministic_ids': True, 'detection.max_persons': 1})
    camera = Camera.from_fov(*CANVAS_PX, settings.number('camera.horizontal_fov'))
    estimator = create_estimator(settings)
    record: dict[str, dict] = {}
    moved_mm: dict[str, list[float]] = {}
    print('picture, surface: RMS motion (across / depth), trembling, from the first frame [mm]; '
          'lag [ms]')
    for path in pictures:
        picture = read_picture(path).bgr()[:, :, ::-1].copy()
        row = record[path.name] = {}
        for name, (motion, from_first) in measure_jitter(estimator, picture).items():
            row[name] = {**asdict(motion), 'from_first_mm': from_first.total_mm}
            print(f'{path.name}, {name}: {motion.total_mm:.2f} ({motion.lateral_mm:.2f} / '
                  f'{motion.depth_mm:.2f}), trembling {motion.trembling_mm:.2f}, from the first '
                  f'{from_first.total_mm:.2f}, {motion.frames} frames', flush=True)
            kind = 'faces' if name.startswith('face') else 'hands'
            moved_mm.setdefault(kind, []).append(motion.total_mm)
            moved_mm.setdefault(f'{kind} from the first frame', []).append(from_first.total_mm)
        lag = None if options.all else measure_lag_ms(estimator, picture, camera)
        if lag is not None:
            row['lag'] = {'ms': lag[0], 'frames': lag[1]}
            print(f'{path.name}, hand at 1 m/s: {lag[0]:.1f} ms, {lag[1]} frames')
    for name in sorted(moved_mm):
        print(summary(name, moved_mm[name]))
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
