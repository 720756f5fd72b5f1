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
from scipy.sparse import csr_matrix
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
        _, nearest = KDTree(centred).query(targets, k=_NEIGHBOURS)
        owner, triangle = _candidates(np.asarray(nearest), faces, len(centred))
        self.corners, self.weights = _closest(centred, faces, targets, owner, triangle)

    def points(self, vertices_m: FloatArray) -> FloatArray:
        """Return points or directions (V, 3) of the mirrored body."""
        return self.values(vertices_m) * np.array((-1.0, 1.0, 1.0), vertices_m.dtype)

    def values(self, values: FloatArray) -> FloatArray:
        """Return what the vertices (V, ...) carry, with left and right exchanged."""
        weights = self.weights.astype(values.dtype)
        weights = weights.reshape(*weights.shape, *(1,) * (values.ndim - 1))
        return (weights * values[self.corners]).sum(1)


def _candidates(nearest: npt.NDArray[np.integer], faces: npt.NDArray[np.integer],
                count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return pairs (P,), (P,) of a target and a triangle at one of its nearest vertices."""
    touching = csr_matrix((np.ones(faces.size, bool),
                           (faces.ravel(), np.arange(faces.size) // 3)), (count, len(faces)))
    wanted = csr_matrix((np.ones(nearest.size, bool),
                         (np.arange(nearest.size) // nearest.shape[1], nearest.ravel())),
                        (len(nearest), count))
    owner, triangle = (wanted @ touching).nonzero()
    return owner.astype(np.int64), triangle.astype(np.int64)


def _closest(vertices: FloatArray, faces: npt.NDArray[np.integer], targets: FloatArray,
             owner: npt.NDArray[np.int64], triangle: npt.NDArray[np.int64]
             ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return corners (V, 3) and weights (V, 3) of the nearest point among the pairs."""
    import trimesh

    corners = vertices[faces[triangle]]
    points = trimesh.triangles.closest_point(corners, targets[owner])
    squared = ((points - targets[owner]) ** 2).sum(1)
    order = np.lexsort((triangle, squared, owner))
    best = order[np.diff(owner[order], prepend=-1) != 0]
    weights = trimesh.triangles.points_to_barycentric(corners[best], points[best])
    weights = np.clip(weights, 0.0, 1.0)
    return faces[triangle[best]].astype(np.int64), weights / weights.sum(1, keepdims=True)
