# SPDX-License-Identifier: Apache-2.0
"""
Measure how far off the skin the face network's points lie: `head_mp468_offset` of open_bodies.npz.

    python tools/measure_face_offsets.py [--scenes 800] [--seed 11] [--bodies FILE]

The bake puts each point on the skin that the network shows it on. But the network has a shape of
its own in mind: seen from aside, its points of jaw, temples and nose stand off the skin. Scenes
are rendered as `tools/measure_landmark_noise.py` does; each point's place in the head's frame is
where the rays to it meet, in the mean over all scenes whose face lies within the picture. Scenes
of odd numbers tell what is gained on the even ones. The file is changed in place; running it again
measures what is left.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measure_landmark_noise import looks
from scipy.spatial import KDTree

from ros2_dice.assets import find_asset
from ros2_dice.bodies import HeadState, OpenHead, load_open_bodies
from ros2_dice.fitting.head import HeadFitter
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.types import Camera, FloatArray

LEAST_SCORE = 0.9
ROBUST_M = 0.008
"""Errors from which a point loses its say, and of the middle point, from which a face does."""
PULL = 5.0
"""Sights of no offset that each point begins with."""
PAIR_M = 0.003
"""Two points are each other's mirror image where the one lies so near to the other's."""
Sight = tuple[Camera, HeadState, FaceObservation]


def offsets_m(head: OpenHead, sights: Sequence[Sight]) -> FloatArray:
    """Return (468, 3) how far the network's points lie from the head's, in its frame [m]."""
    matrix = np.tile(PULL * np.eye(3), (468, 1, 1))
    right = np.zeros((468, 3))
    for camera, state, seen in sights:
        points = head.landmarks(state)
        across = (seen.points_px - camera.project(points)) * (
            points[:, 2:] / camera.fx_px * np.exp(-state.log_scale))
        error = np.linalg.norm(across, axis=1)
        if np.median(error) > ROBUST_M:
            continue
        slope = -points[:, :2] / points[:, 2:]
        rows = np.concatenate((np.broadcast_to(np.eye(2), (468, 2, 2)), slope[..., None]), axis=2)
        rows = rows @ state.rotation
        weight = (1.0 + (error / ROBUST_M) ** 2) ** -2
        matrix += np.einsum('p,pka,pkb->pab', weight, rows, rows)
        right += np.einsum('p,pka,pk->pa', weight, rows, across)
    return symmetric(head, np.linalg.solve(matrix, right[..., None])[..., 0])


def symmetric(head: OpenHead, offsets: FloatArray) -> FloatArray:
    """Return the mean of both sides of the face, for points that have a counterpart."""
    rest, mirror = head.skin_landmarks_m, np.array((-1.0, 1.0, 1.0))
    apart, other = KDTree(rest).query(rest * mirror)
    other = np.asarray(other)
    paired = (apart < PAIR_M) & (other[other] == np.arange(468))
    mean = 0.5 * (offsets + offsets[other] * mirror)
    return np.where(paired[:, None], mean, offsets)


def depth_errors(head: OpenHead, sights: Sequence[Sight]) -> FloatArray:
    """Return (N, 2) error of the log depth of a fit, for a known size, and its cost."""
    fitter = HeadFitter(head)
    rows = []
    for camera, state, seen in sights:
        fit = fitter.fit(seen, camera, start=None, fixed_identity=False, trust=None, iterations=8,
                         size_prior=SizePrior(state.log_scale, 0.04))
        error = np.log(fit.state.translation_m[2] / state.translation_m[2])
        rows.append((error - fit.state.log_scale + state.log_scale, fit.cost))
    return np.array(rows)


def report(name: str, rows: npt.NDArray[np.floating]) -> None:
    """Print bias and spread of the depth and the fits' cost."""
    error, cost = rows.T
    print(f'{name}: log depth off by {np.median(error):+.3f} in the median, '
          f'{np.sqrt((error ** 2).mean()):.3f} RMS; cost {np.median(cost):.0f}; {len(rows)} faces')


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description='Measure where the face network sees points.')
    parser.add_argument('--scenes', type=int, default=800)
    parser.add_argument('--seed', type=int, default=11)
    parser.add_argument('--bodies', type=Path, default=find_asset('open_bodies'))
    options = parser.parse_args()
    bodies = load_open_bodies(options.bodies)
    head = bodies.head
    sights: list[Sight] = []
    for scene, _, face in looks(options.scenes, options.seed, bodies):
        points = scene.camera.project(head.landmarks(scene.head))
        inside = (points > 0) & (points < (scene.camera.width_px, scene.camera.height_px))
        if face.score >= LEAST_SCORE and inside.all():
            sights.append((scene.camera, scene.head, face))
    before = head.landmark_rest_m.copy()
    report('before', depth_errors(head, sights[::2]))
    head.landmark_rest_m = before + offsets_m(head, sights[1::2])
    report('of the other half', depth_errors(head, sights[::2]))
    head.landmark_rest_m = before
    found = before - head.skin_landmarks_m + offsets_m(head, sights)
    with np.load(options.bodies, allow_pickle=False) as old:
        arrays = {name: old[name] for name in old.files}
    arrays['head_mp468_offset'] = found.astype('f4')
    np.savez_compressed(options.bodies, **arrays)  # type: ignore[arg-type]
    print(f'offsets of {1e3 * np.linalg.norm(found, axis=1).mean():.1f} mm in the mean')


if __name__ == '__main__':
    main()
