# SPDX-License-Identifier: Apache-2.0
"""
The fixed list of head regions on any head with the 68 face landmarks.

No list of vertices of a licensed model is shipped: the regions of the open head are carried over
instead. It is laid over the other head by the 68 landmarks that both have, and each vertex takes
the region of the nearest point of it.
"""
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from ros2_dice.bodies.open_head import OpenHead
from ros2_dice.bodies.rotation import nearest_rotation
from ros2_dice.types import FloatArray

_REACH_M = 0.04
"""Landmarks pull the surface around them to their place; the pull dies out at this distance."""
_NOISE = 1e-2
"""Landmarks are placed by other people: they are not met exactly."""


def head_regions(vertices_m: FloatArray, landmarks_m: FloatArray,
                 guide: OpenHead) -> npt.NDArray[np.uint8]:
    """
    Return indices into the guide's `region_names` (V,).

    Args:
        vertices_m: (V, 3) of the rest shape [m].
        landmarks_m: (68, 3) on it [m].
        guide: the open head.
    """
    laid = laid_over(guide.rest_vertices_m, guide.skin_landmarks_m[guide.landmarks_68],
                     landmarks_m)
    _, nearest = KDTree(laid).query(vertices_m)
    return guide.regions[np.asarray(nearest)]


def laid_over(points_m: FloatArray, start_m: FloatArray, end_m: FloatArray) -> FloatArray:
    """
    Return points (N, 3) carried along by landmarks: a similarity, and a smooth rest near them.

    Args:
        points_m: (N, 3) [m].
        start_m: (L, 3) landmarks among the points [m].
        end_m: (L, 3) where they shall lie [m].
    """
    start_mean, end_mean = start_m.mean(0), end_m.mean(0)
    start, end = start_m - start_mean, end_m - end_mean
    turn = nearest_rotation(end.T @ start)
    scale = float((end * (start @ turn.T)).sum() / (start ** 2).sum())
    to_end = scale * turn

    def kernel(points: FloatArray) -> FloatArray:
        squared = ((points[:, None] - start_m[None]) ** 2).sum(-1)
        return np.exp(-0.5 * squared / _REACH_M ** 2)

    rest = end - start @ to_end.T
    pull = np.linalg.solve(kernel(start_m) + _NOISE * np.eye(len(start_m)), rest)
    return (points_m - start_mean) @ to_end.T + end_mean + kernel(points_m) @ pull
