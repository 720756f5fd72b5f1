# SPDX-License-Identifier: Apache-2.0
"""A thin, even choice of hand vertices that stands for all of them where speed counts."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from ros2_dice.bodies import OpenHand

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]

SAMPLES = 220


class HandTables:
    """
    What never changes about one hand topology.

    Args:
        hand: left or right; both get the same samples, mirrored.
    """

    def __init__(self, hand: OpenHand) -> None:
        rest = hand.rest_vertices_m
        self.samples = farthest_points(rest, SAMPLES)
        """(S,) vertices spread evenly over the skin."""
        distance, nearest = KDTree(rest[self.samples]).query(rest)
        self.cluster = np.asarray(nearest, np.int64)
        """(V,) the sample (0 to S - 1) nearest to each vertex."""
        self.radius_m = np.zeros(SAMPLES)
        """(S,) how far the farthest vertex of each sample is, at rest [m]."""
        np.maximum.at(self.radius_m, self.cluster, np.asarray(distance))
        landmarks = hand.kinematics(np.zeros(22), np.zeros(10)).points
        # Landmarks of the vertex's own bone; fingers lie side by side, so nearest is not enough.
        owner = hand.weights.argmax(1)
        finger = np.where(owner > 0, (owner - 1) // 3, -1)
        of_finger = np.concatenate([[-1], np.repeat(np.arange(5), 4)])
        length = np.linalg.norm(rest[:, None] - landmarks[None], axis=2)
        length[finger[:, None] != of_finger[None]] += 1.0
        self.landmark = length.argmin(1)
        """(V,) landmark that moves most like each vertex."""


def farthest_points(points_m: FloatArray, count: int) -> IndexArray:
    """Return `count` indices, each the point farthest from those before it; the first is 0."""
    chosen = np.zeros(count, np.int64)
    squared = ((points_m - points_m[0]) ** 2).sum(1)
    for index in range(1, count):
        chosen[index] = int(squared.argmax())
        squared = np.minimum(squared, ((points_m - points_m[chosen[index]]) ** 2).sum(1))
    return chosen
