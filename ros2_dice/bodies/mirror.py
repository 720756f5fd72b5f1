# SPDX-License-Identifier: Apache-2.0
"""
Mirror images of a mesh in its own topology.

Negating x turns a head inside out and makes its left ear a right one. Here each vertex takes over
the place that its counterpart on the other side has in the mirror; the counterpart is a point on
the surface, since the vertices themselves need not come in pairs.
"""
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from ros2_dice.types import FloatArray

_NEIGHBOURS = 4
"""Nearest vertices whose triangles are looked at for the counterpart."""


class MirrorMap:
    """
    The counterpart of each vertex on the other side of the plane x = 0.

    Args:
        vertices_m: (V, 3) of the template [m], about symmetrical to the plane of its own centre.
        faces: (T, 3) of it.
    """

    def __init__(self, vertices_m: FloatArray, faces: npt.NDArray[np.integer]) -> None:
        centred = vertices_m - (0.5 * (vertices_m[:, 0].min() + vertices_m[:, 0].max()), 0.0, 0.0)
        targets = centred * (-1.0, 1.0, 1.0)
        around = _triangles_around(faces, len(centred))
        _, nearest = KDTree(centred).query(targets, k=_NEIGHBOURS)
        candidates = around[np.asarray(nearest)].reshape(len(centred), -1)
        self.corners, self.weights = _closest(centred, faces, targets, candidates)

    def points(self, vertices_m: FloatArray) -> FloatArray:
        """Return points or directions (V, 3) of the mirrored body."""
        return self.values(vertices_m) * np.array((-1.0, 1.0, 1.0), vertices_m.dtype)

    def values(self, values: FloatArray) -> FloatArray:
        """Return what the vertices (V, ...) carry, with left and right exchanged."""
        weights = self.weights.astype(values.dtype)
        weights = weights.reshape(*weights.shape, *(1,) * (values.ndim - 1))
        return (weights * values[self.corners]).sum(1)


def _triangles_around(faces: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.int64]:
    """Return (V, K) triangles at each vertex, filled up with the first."""
    corner = faces.ravel()
    order = np.argsort(corner, kind='stable')
    valence = np.bincount(corner, minlength=count)
    first = np.cumsum(valence) - valence
    table = np.repeat((order[np.minimum(first, len(order) - 1)] // 3)[:, None], valence.max(), 1)
    table[corner[order], np.arange(len(order)) - first[corner[order]]] = order // 3
    return table


def _closest(vertices: FloatArray, faces: npt.NDArray[np.integer], targets: FloatArray,
             candidates: npt.NDArray[np.int64]
             ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return corners (V, 3) and weights (V, 3) of the nearest point in the candidates."""
    import trimesh

    best = np.full(len(targets), np.inf)
    corners = np.zeros((len(targets), 3), np.int64)
    weights = np.zeros((len(targets), 3))
    for column in candidates.T:
        triangles = vertices[faces[column]]
        points = trimesh.triangles.closest_point(triangles, targets)
        squared = ((points - targets) ** 2).sum(1)
        better = np.flatnonzero(squared < best)
        best[better] = squared[better]
        corners[better] = faces[column[better]]
        weights[better] = trimesh.triangles.points_to_barycentric(
            triangles[better], points[better])
    weights = np.clip(weights, 0.0, 1.0)
    return corners, weights / weights.sum(1, keepdims=True)
