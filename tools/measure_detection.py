#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Count what the open estimator's eyes find in labelled pictures and clips.

    tools/measure_detection.py --material DIR [--json FILE] [--montage DIR] [--only TEXT]

Pictures are cold starts with up to eight persons; clips run from their first frame with one
person. A count says that something was found, not that it is in the right place: look at the
montage.
"""
from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ros2_dice.landmarks import PersonObservation, PersonTracker
from ros2_dice.landmarks.networks import Networks, load_networks
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame, Handedness

CHAINS = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (5, 9, 10, 11, 12), (9, 13, 14, 15, 16),
          (13, 17, 18, 19, 20), (0, 17))
THUMB_CLIP = ('v_thumb_in_front_of_face', 60, 194)
"""This clip's label lists no touch, but a hand is in view in these frames."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--material', type=Path, required=True, help='folder with labels.json')
    parser.add_argument('--json', type=Path, help='write all results here')
    parser.add_argument('--montage', type=Path, help='write pictures with landmarks here')
    parser.add_argument('--only', default='', help='only files whose name contains this')
    parser.add_argument('--threads', type=int, default=2)
    arguments = parser.parse_args()
    labels = json.loads((arguments.material / 'labels.json').read_text())
    networks = load_networks(Settings({'backend.threads': arguments.threads}))
    if arguments.montage:
        arguments.montage.mkdir(parents=True, exist_ok=True)

    def chosen(kind: str) -> list[dict]:
        return [entry for entry in labels[kind] if arguments.only in entry['file']]

    pictures = measure_pictures(arguments.material, chosen('images'), networks, arguments.montage)
    print_pictures(pictures)
    clips = [measure_clip(arguments.material, entry, networks, arguments.montage)
             for entry in chosen('videos')]
    if arguments.json:
        arguments.json.write_text(json.dumps({'pictures': pictures, 'clips': clips}, indent=1))


def measure_pictures(material: Path, entries: list[dict], networks: Networks,
                     montage: Path | None) -> list[dict]:
    """Return one row per picture."""
    settings = Settings({'detection.max_persons': 8, 'tracking.deterministic_ids': True})
    tracker = PersonTracker(settings, networks=networks)
    rows, drawings = [], []
    for entry in entries:
        picture = cv2.imread(str(material / entry['file']))
        assert picture is not None, entry['file']
        tracker.reset()
        start_s = time.perf_counter()
        persons = tracker.observe(Frame(picture, channel_order='bgr'))  # type: ignore[arg-type]
        spent_s = time.perf_counter() - start_s
        hands = [hand for person in persons for hand in person.hands]
        faces = [person.face for person in persons if person.face is not None]
        rows.append({
            'file': entry['file'], 'scene': entry['scene'], 'seconds': spent_s,
            'faces_labelled': entry['faces'], 'hands_labelled': entry['hands'],
            'faces': [round(face.score, 3) for face in faces],
            'hands': [[hand.handedness.name, round(hand.observation.score, 3)] for hand in hands],
            'sides_labelled': [hand['side'] for hand in entry['person_hands']]})
        row = rows[-1]
        print(f"{entry['file']:46s} {entry['scene']:9s} faces {len(faces)}/{entry['faces']} "
              f"hands {len(hands)}/{entry['hands']} {row['seconds'] * 1e3:6.0f} ms {row['hands']}",
              flush=True)
        drawings.append(draw(picture, persons, f"{Path(entry['file']).stem[:24]}"))
    if montage:
        for page in range(0, len(drawings), 20):
            cv2.imwrite(str(montage / f'pictures_{page // 20}.png'),
                        tile(drawings[page:page + 20], 5, 300, 300))
    return rows


def print_pictures(rows: list[dict]) -> None:
    """Print the figures that count."""
    touch = [row for row in rows if row['scene'] == 'touch']
    print(f'touch pictures: {len(touch)}, a face in {sum(bool(r["faces"]) for r in touch)}, '
          f'a hand in {sum(bool(r["hands"]) for r in touch)}')
    for part in ('faces', 'hands'):
        invented = [r['file'] for r in rows if r[part] and not r[part + '_labelled']]
        extra = [r['file'] for r in rows if 0 < r[part + '_labelled'] < len(r[part])]
        found = sum(min(len(r[part]), r[part + '_labelled']) for r in rows)
        total = sum(r[part + '_labelled'] for r in rows)
        print(f'{part}: {found} of {total} labelled, invented where there is none: {invented}, '
              f'more than labelled: {extra}')
    nobody = [r for r in rows if not r['faces_labelled'] and not r['hands_labelled']]
    print(f'pictures without anybody: {len(nobody)}, with a find: '
          f'{[r["file"] for r in nobody if r["faces"] or r["hands"]]}')
    right = wrong = 0
    for row in rows:
        sides = [side.upper() for side in row['sides_labelled']]
        if len(sides) == 1 == len(row['hands']) and sides[0] in Handedness.__members__:
            right += row['hands'][0][0] == sides[0]
            wrong += row['hands'][0][0] != sides[0]
    print(f'side of a single labelled hand: {right} right, {wrong} wrong')


def measure_clip(material: Path, entry: dict, networks: Networks, montage: Path | None) -> dict:
    """Run a clip from its first frame, print and return its row."""
    settings = Settings({'tracking.deterministic_ids': True})
    tracker = PersonTracker(settings, networks=networks)
    hands, faces, twos, seconds, ids, drawings = [], [], 0, [], set(), []
    for index, frame in clip_frames(material / entry['file']):
        start_s = time.perf_counter()
        persons = tracker.observe(frame)
        seconds.append(time.perf_counter() - start_s)
        seen = [hand for person in persons for hand in person.hands]
        hands.append(bool(seen))
        faces.append(any(person.face is not None for person in persons))
        twos += len(seen) > 1
        ids |= {hand.hand_id for hand in seen}
        if montage and index % max(1, entry['frames'] // 40) == 0:
            drawings.append(draw(frame.pixels, persons, str(index)))
    if montage:
        name = Path(entry['file']).stem
        wide = entry['width'] > entry['height']
        cv2.imwrite(str(montage / f'{name}.png'), tile(drawings, 6, 150 if wide else 250, 250))
    touched = [i for span in entry['touch_frames'] if span['certain']
               for i in range(span['first'], span['last'] + 1)]
    if THUMB_CLIP[0] in entry['file']:
        touched = list(range(THUMB_CLIP[1], THUMB_CLIP[2] + 1))
    times_ms = 1e3 * np.array(seconds)
    row = {
        'file': entry['file'], 'frames': len(hands), 'with_hand': float(np.mean(hands)),
        'with_face': float(np.mean(faces)), 'with_two_hands': twos, 'hand_ids': len(ids),
        'hand_where_touched': float(np.mean([hands[i] for i in touched])) if touched else None,
        'missed': [i for i in touched if not hands[i]],
        'median_ms': float(np.median(times_ms)), 'p95_ms': float(np.percentile(times_ms, 95)),
        'max_ms': float(times_ms.max())}
    recall = '' if row['hand_where_touched'] is None else \
        f" hand where touched {row['hand_where_touched']:.3f} (missed {row['missed'][:12]})"
    print(f"{row['file']:40s} hand {row['with_hand']:.3f} two {twos} ids {len(ids)} "
          f"face {row['with_face']:.3f} median {row['median_ms']:.1f} p95 {row['p95_ms']:.1f} "
          f"max {row['max_ms']:.0f} ms{recall}", flush=True)
    return row


def clip_frames(path: Path) -> Iterator[tuple[int, Frame]]:
    """Yield index and frame of a clip, stamped by its frame rate."""
    capture = cv2.VideoCapture(str(path))
    rate_hz = capture.get(cv2.CAP_PROP_FPS) or 25.0
    index = 0
    while True:
        good, picture = capture.read()
        if not good:
            return
        yield index, Frame(picture, stamp_ns=round(index / rate_hz * 1e9),  # type: ignore[arg-type]
                           channel_order='bgr')
        index += 1


def draw(picture: np.ndarray, persons: tuple[PersonObservation, ...], text: str) -> np.ndarray:
    """Return a copy with landmarks: faces yellow, right hands red, left hands blue, old grey."""
    size = max(picture.shape[:2])
    out, width = picture.copy(), max(1, size // 300)
    for person in persons:
        if person.face is not None:
            for x, y in person.face.points_px[::4]:
                cv2.circle(out, (int(x), int(y)), width, (0, 220, 255), -1)
        for hand in person.hands:
            color = (0, 0, 255) if hand.handedness == Handedness.RIGHT else (255, 80, 0)
            color = color if hand.fresh else (128, 128, 128)
            for chain in CHAINS:
                line = (hand.observation.points_px[list(chain)] * 8).astype(int)
                cv2.polylines(out, [line], False, color, width + 1, cv2.LINE_AA, 3)
    cv2.putText(out, text, (4, size // 18), cv2.FONT_HERSHEY_SIMPLEX, size / 500, (0, 255, 0),
                max(1, size // 300))
    return out


def tile(pictures: list[np.ndarray], columns: int, height: int, width: int) -> np.ndarray:
    """Return pictures in a grid, each scaled into its cell."""
    cells = []
    for picture in pictures:
        scale = min(height / picture.shape[0], width / picture.shape[1])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cell = np.zeros((height, width, 3), np.uint8)
        cell[:min(height, small.shape[0]), :min(width, small.shape[1])] = small[:height, :width]
        cells.append(cell)
    blank = np.zeros((height, width, 3), np.uint8)
    cells += [blank] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[i:i + columns]) for i in range(0, len(cells), columns)])


if __name__ == '__main__':
    main()
