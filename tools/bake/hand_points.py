# SPDX-License-Identifier: Apache-2.0
"""
Where the hand network puts its 21 points on the hand: measured by showing it renders.

Random poses and views of the back and the palm; each point is then placed in the frame of its
joint, where all views agree best (robust linear triangulation). Knuckles come out 8 to 10 mm
nearer to the palm than the rig's joints.
"""
from __future__ import annotations

import cv2
import numpy as np

from ros2_dice.bodies import OpenHand
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.landmarks import Region
from ros2_dice.landmarks.hand import HandNetwork
from ros2_dice.landmarks.regions import hand_from_landmarks
from ros2_dice.render.raster import rasterize
from ros2_dice.types import Frame
from tools.bake.mesh import vertex_normals

_VIEWS, _SEED = 90, 3
_SIZE_PX, _FOCAL_PX, _DEPTH_M = 224, 600.0, 0.62
_LEAST_SCORE = 0.7
_RIG_WEIGHT = 0.3
_STRAIGHT_VIEWS = 11
"""The first views show an open hand."""


def embed_hand_points(arrays: dict[str, np.ndarray], network: HandNetwork
                      ) -> dict[str, np.ndarray]:
    """Return the rest places of the 21 points as the network sees them, and their spread."""
    hand, rng = OpenHand(arrays, left=False), np.random.default_rng(_SEED)
    owner = arrays['hand_mp21_parent'].astype(int)
    nail = np.array(['nail' in name for name in hand.region_names])[hand.regions]
    colours = np.where(nail[:, None], (0.86, 0.68, 0.60), (0.80, 0.60, 0.50))
    matrices: list[list[np.ndarray]] = [[] for _ in owner]
    values: list[list[np.ndarray]] = [[] for _ in owner]
    used = 0
    for view in range(_VIEWS):
        angles = _pose(hand, rng, curled=view >= _STRAIGHT_VIEWS)
        pose = hand.kinematics(angles, np.zeros(10))
        skinned = hand.posed(pose, np.zeros(10)).astype(float)
        turn, center = _view(rng), skinned.mean(axis=0)
        shift = np.array((0.0, 0.0, _DEPTH_M))
        picture = _render((skinned - center) @ turn.T + shift, hand.faces, colours, rng)
        whole = Region(_SIZE_PX / 2, _SIZE_PX / 2, _SIZE_PX, 0.0)
        found = network.observe(Frame(picture), whole)
        # Once more, cropped as in tracking.
        seen = network.observe(Frame(picture), hand_from_landmarks(found.points_px))
        if seen.score < _LEAST_SCORE:
            continue
        used += 1
        rays = (seen.points_px - _SIZE_PX / 2) / _FOCAL_PX
        for point, joint in enumerate(owner):
            axes = turn @ pose.rotations[joint]
            base = turn @ (pose.positions[joint] - center) + shift
            matrices[point].append(axes[:2] - rays[point][:, None] * axes[2])
            values[point].append(rays[point] * base[2] - base[:2])
    rest = arrays['hand_mp21_rest'].astype(float)
    joints = arrays['hand_joints'].astype(float)[owner]
    places, spread = zip(*[
        _triangulated(np.array(a), np.array(b), start)
        for a, b, start in zip(matrices, values, rest - joints)])
    moved = np.linalg.norm(np.array(places) + joints - rest, axis=1)
    print(f'hand points: {used} of {_VIEWS} views used, {1e3 * moved.mean():.1f} mm from the rig '
          f'({1e3 * moved.max():.1f} at most), spread {1e3 * np.mean(spread):.1f} mm')
    return {'hand_mp21_joint_rest': arrays['hand_mp21_rest'],
            'hand_mp21_rest': (np.array(places) + joints).astype('f4'),
            'hand_mp21_sigma': np.clip(np.array(spread) * 1.4826, 0.002, 0.02).astype('f4')}


def _pose(hand: OpenHand, rng: np.random.Generator, *, curled: bool) -> np.ndarray:
    curl = rng.uniform(0, 0.6, 5) * curled
    angles = np.zeros(22)
    for index, (joint, axis) in enumerate(zip(hand.dof_joint, hand.dof_axis)):
        if axis == 0:
            angles[index] = curl[(joint - 1) // 3] * rng.uniform(0.6, 1.2) * (
                0.4 if joint <= 3 else 1.0)
        elif axis == 1 and (joint - 1) % 3 == 0:
            angles[index] = rng.normal(0, 0.06)
    return np.clip(angles, hand.angle_low, hand.angle_high)


def _view(rng: np.random.Generator) -> np.ndarray:
    """Return a rotation that shows the back or the palm, fingers up, tilted a little."""
    side = rng.choice((-1, 1))
    tilt = rng.normal(0, 0.45, 2)
    upright = np.array(((side, 0, 0), (0, 0, 1.0), (0, -side, 0)))
    return (rotation_matrix(np.array((0, 0, rng.normal(0, 0.3))))
            @ rotation_matrix(np.array((tilt[0], 0, 0)))
            @ rotation_matrix(np.array((0, tilt[1], 0))) @ upright)


def _render(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray,
            rng: np.random.Generator) -> np.ndarray:
    """Return a picture (S, S, 3) uint8 under a random light, on a random plain ground."""
    seen = _FOCAL_PX * vertices[:, :2] / vertices[:, 2:] + _SIZE_PX / 2
    fragments = rasterize(seen, vertices[:, 2], faces, _SIZE_PX, _SIZE_PX, cull=False)
    light = np.array((-0.3, -0.5, -0.8)) + rng.normal(0, 0.2, 3)
    lit = np.clip(vertex_normals(vertices, faces) @ (light / np.linalg.norm(light)), 0, 1)
    shaded = colours * (0.5 + 0.55 * lit)[:, None] * rng.uniform(0.6, 1.05)
    picture = np.ones((_SIZE_PX ** 2, 3)) * rng.uniform(0.1, 0.95, 3)
    picture[fragments.pixel] = np.einsum(
        'nk,nkc->nc', fragments.weights, shaded[faces[fragments.face]])
    picture = np.clip(picture, 0, 1).reshape(_SIZE_PX, _SIZE_PX, 3).astype(np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), 0.7)
    return np.rint(255 * blurred).astype(np.uint8)


def _triangulated(matrices: np.ndarray, values: np.ndarray, start: np.ndarray
                  ) -> tuple[np.ndarray, float]:
    """Return the place (3,) that most views agree on, and the median distance from it."""
    weight = np.ones(len(matrices))
    place, error = start, np.ones(len(matrices))
    for _ in range(12):
        root = np.sqrt(weight)[:, None]
        rows = np.concatenate(((matrices * root[..., None]).reshape(-1, 3),
                               _RIG_WEIGHT * np.eye(3)))
        right = np.concatenate(((values * root).ravel(), _RIG_WEIGHT * start))
        place = np.linalg.lstsq(rows, right, rcond=None)[0]
        error = np.linalg.norm(matrices @ place - values, axis=1)
        weight = 1 / (1 + (error / np.median(error)) ** 2) ** 2
    return place, float(np.median(error))
