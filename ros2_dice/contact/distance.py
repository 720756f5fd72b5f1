# SPDX-License-Identifier: Apache-2.0
"""
Signed distance from points to a posed head, exact where it matters and fast everywhere.

The nearest skin vertex comes from a k-d tree in the head's own frame, which survives every rigid
motion and is rebuilt only when the face itself has moved by more than a millimetre. The distance
is then exact over the triangles around that vertex, at their present positions.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from ros2_dice.contact.skin import SkinTables
from ros2_dice.contact.triangles import (
    closest_on_triangles,
    cross,
    dot,
    vertex_areas,
    vertex_normals,
)

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]

_REBUILD_M = 0.001
_REMEASURE_M = 0.004
_EXACT_M = 0.010
_ON_FEATURE = 1e-9
_FACING_COSINE = -0.15
_BESIDE_M = 0.012
_BEHIND_M = 0.004
_OUTLINE_M = 0.008
_PLANE_REACH_M = 0.01
_FACING_SLACK = 0.05
"""Image directions (x/z) by which settling may move a hand before facing skin is gathered anew."""


@dataclass(frozen=True)
class Distance:
    """What `HeadSurface.distance` finds for N points."""

    signed_m: FloatArray
    """(N,) distance to the closed skin [m], negative inside; inf beyond the bound."""
    normal: FloatArray
    """(N, 3) unit, out of the head at the nearest surface point, camera frame."""
    vertex: IndexArray
    """(N,) nearest skin vertex, -1 beyond the bound."""


class _Facing(NamedTuple):
    """Skin that faces the camera, in a part of the picture."""

    tree: KDTree
    """Over the image directions x/z, y/z of F skin vertices."""
    vertex: IndexArray
    """(F,)."""
    slope: FloatArray
    """(F,) cosine between the normal and the ray to the camera."""
    normals: FloatArray
    """(F, 3) unit, out of the head, camera frame."""
    low: FloatArray
    """(2,) smallest direction up to which no vertex is missing."""
    high: FloatArray
    """(2,) largest."""


class HeadSurface:
    """The closed skin of one posed head; `pose` it once per frame, then ask for distances."""

    def __init__(self, tables: SkinTables) -> None:
        self._tables = tables
        self._given_m: FloatArray | None = None
        self._built_m: FloatArray | None = None
        self._measured_m: FloatArray | None = None
        self._facing: _Facing | None = None
        self.rotation: FloatArray = np.eye(3)
        self.translation_m: FloatArray = np.zeros(3)

    def pose(self, vertices_m: FloatArray, rotation: FloatArray, translation_m: FloatArray
             ) -> None:
        """
        Take over a frame's head; the same array again changes nothing.

        Args:
            vertices_m: (V, 3) [m], camera frame.
            rotation: (3, 3) from the head's frame to the camera's.
            translation_m: (3,) origin of the head's frame [m]; with `rotation` it only has to
                follow the head's rigid motion, the distances don't depend on it.
        """
        if vertices_m is self._given_m:
            return
        self._given_m = vertices_m
        self.vertices_m = np.asarray(vertices_m, np.float64)
        self.rotation = np.asarray(rotation, np.float64)
        self.translation_m = np.asarray(translation_m, np.float64)
        self._local_m = (self.vertices_m - self.translation_m) @ self.rotation
        if self._built_m is None or np.abs(self._local_m - self._built_m).max() > _REBUILD_M:
            self._built_m = self._local_m
            samples = (self._tables.sample_weights[..., None]
                       * self._local_m[self._tables.sample_corners]).sum(1)
            self._tree = KDTree(samples, balanced_tree=False, leafsize=16)
            self._local_normals = vertex_normals(self._local_m, self._tables.triangles)
            self._thin_normals = self._local_normals[self._tables.thin]
        self._facing = None

    @property
    def normals(self) -> FloatArray:
        """(V, 3) unit vertex normals, out of the head, camera frame; zero off the closed skin."""
        return self._local_normals @ self.rotation.T

    def normals_of(self, vertex: IndexArray) -> FloatArray:
        """Return (N, 3) unit normals of skin vertices, out of the head, camera frame."""
        return self._local_normals[vertex] @ self.rotation.T

    def areas_of(self, vertex: IndexArray) -> FloatArray:
        """Return (N,) the area that each skin vertex stands for [m^2]."""
        if self._measured_m is None or \
                np.abs(self._local_m - self._measured_m).max() > _REMEASURE_M:
            self._measured_m = self._local_m
            self._areas_m2 = vertex_areas(self._local_m, self._tables.triangles)
        return self._areas_m2[vertex]

    def reach(self, points_m: FloatArray, bound_m: float = np.inf) -> FloatArray:
        """Return (N,) distance to the nearest sample of the skin [m], inf beyond the bound."""
        local = (np.asarray(points_m, np.float64) - self.translation_m) @ self.rotation
        return _query(self._tree, local, bound_m)[0]

    def distance(self, points_m: FloatArray, bound_m: float = np.inf,
                 exact_m: float = np.inf) -> Distance:
        """
        Return the signed distance of points to the closed skin.

        Args:
            points_m: (N, 3) [m], camera frame.
            bound_m: points without a skin vertex this near are left out.
            exact_m: farther out the distance is that to the nearest vertex, which is faster.
        """
        local = (np.asarray(points_m, np.float64) - self.translation_m) @ self.rotation
        length, sample = _query(self._tree, local, bound_m)
        if bound_m < np.inf and np.isinf(length).any():
            signed = np.full(len(local), np.inf)
            normal = np.zeros((len(local), 3))
            vertex = np.full(len(local), -1, np.int64)
            near = np.flatnonzero(np.isfinite(length))
            signed[near], normal[near], vertex[near] = self._found(
                local[near], length[near], sample[near], exact_m)
            return Distance(signed, normal @ self.rotation.T, vertex)
        signed, normal, vertex = self._found(local, length, sample, exact_m)
        return Distance(signed, normal @ self.rotation.T, vertex)

    def _found(self, local_m: FloatArray, length_m: FloatArray, sample: IndexArray,
               exact_m: float) -> tuple[FloatArray, FloatArray, IndexArray]:
        """Return signed distance, normal in the head's frame, and skin vertex of points."""
        vertex = self._tables.vertex[sample]
        if exact_m == np.inf:
            return *self._exact(local_m, sample), vertex
        normal = self._local_normals[vertex]
        side = dot(local_m - self._local_m[vertex], normal)
        signed = np.where(side < 0, -length_m, length_m)
        close = np.flatnonzero(length_m < exact_m)
        if len(close):
            signed[close], normal[close] = self._exact(local_m[close], sample[close])
        return signed, normal, vertex

    def both_distances(self, points_m: FloatArray) -> tuple[Distance, Distance]:
        """
        Return signed distances of points that the camera SEES, and the plain `distance`.

        Both are exact within 10 mm. What is seen cannot lie behind skin that faces the camera in
        the same direction: such points count as inside, by their depth behind that skin, even
        beyond the back of the head.
        """
        plain = self.distance(points_m, exact_m=_EXACT_M)
        points = np.asarray(points_m, np.float64)
        # A point at skin that faces the camera is where it seems to be; others may be behind.
        doubtful = np.flatnonzero(((np.abs(plain.signed_m) > _BESIDE_M)
                                   | (dot(plain.normal, points) > 0)) & (points[:, 2] > 1e-3))
        if not len(doubtful):
            return plain, plain
        points = points[doubtful]
        directions = points[:, :2] / points[:, 2:]
        facing = self._camera_facing(directions, _BESIDE_M / float(points[:, 2].min()))
        if facing is None:
            return plain, plain
        front, slope = facing.vertex, facing.slope
        beside, index = _query(facing.tree, directions)
        gap = (points[:, 2] - self.vertices_m[front[index], 2]) * slope[index]
        behind = (beside * points[:, 2] < _BESIDE_M) & (gap > _BEHIND_M) \
            & (-gap < plain.signed_m[doubtful])
        if not behind.any():
            return plain, plain
        chosen, index = doubtful[behind], index[behind]
        seen = Distance(plain.signed_m.copy(), plain.normal.copy(), plain.vertex.copy())
        seen.signed_m[chosen] = -gap[behind]
        seen.normal[chosen] = facing.normals[index]
        seen.vertex[chosen] = front[index]
        return seen, plain

    def look_behind(self, directions: FloatArray) -> None:
        """Gather the skin that faces the camera about a hand's landmarks x/z, y/z (N, 2)."""
        # Its skin reaches beyond them, most at the wrist.
        self._camera_facing(directions, 0.3 * float(np.ptp(directions, axis=0).max()))

    def depth_factor(self, points_m: FloatArray) -> tuple[FloatArray, IndexArray]:
        """
        Return by how much each point has to be scaled about the camera to lie on the facing skin.

        Args:
            points_m: (N, 3) [m], camera frame, seen by the camera.

        Returns:
            (N,) natural logarithm of the factor: negative = the point lies behind the skin, inf =
            its ray misses the head; and (N,) the skin vertex there, -1 where it misses.
        """
        points = np.asarray(points_m, np.float64)
        factor, vertex = np.full(len(points), np.inf), np.full(len(points), -1)
        seen = np.flatnonzero(points[:, 2] > 1e-3)
        rays = points[seen] / points[seen, 2:]
        margin = _OUTLINE_M / max(float(self.vertices_m[self._tables.thin, 2].min()), 1e-3)
        facing = self._camera_facing(rays[:, :2], margin) if len(seen) else None
        if facing is None:
            return factor, vertex
        front = facing.vertex
        x, y = rays[:, 0], rays[:, 1]
        (left, top), (right, bottom) = facing.tree.mins - margin, facing.tree.maxes + margin
        inside = np.flatnonzero((x > left) & (x < right) & (y > top) & (y < bottom))
        ahead, rays = seen[inside], rays[inside]
        beside, index = _query(facing.tree, rays[:, :2])
        on_skin = self.vertices_m[front[index]]
        skin_depth = on_skin[:, 2]
        # Where the ray meets the tangent plane of the nearest skin vertex.
        normal = facing.normals[index]
        depth = dot(normal, on_skin) / np.minimum(dot(normal, rays), -0.1)
        depth = np.clip(depth, skin_depth - _PLANE_REACH_M, skin_depth + _PLANE_REACH_M)
        hit = (beside * skin_depth < _OUTLINE_M) & (depth > 1e-3)
        factor[ahead[hit]] = np.log(depth[hit] / points[ahead[hit], 2])
        vertex[ahead[hit]] = front[index[hit]]
        return factor, vertex

    def _camera_facing(self, directions: FloatArray, margin: float) -> _Facing | None:
        """
        Return the skin that faces the camera near some points; None = there is none.

        Args:
            directions: (N, 2) x/z, y/z of the points.
            margin: no vertex so near to one of them is missing.
        """
        low, high = directions.min(axis=0) - margin, directions.max(axis=0) + margin
        facing = self._facing
        if facing is not None and (facing.low <= low).all() and (facing.high >= high).all():
            return facing
        low, high = low - _FACING_SLACK, high + _FACING_SLACK
        skin = self._tables.thin
        points = self.vertices_m[skin]
        normals = self._thin_normals @ self.rotation.T
        cosine = dot(normals, points) / np.maximum(np.sqrt(dot(points, points)), 1e-9)
        chosen = np.flatnonzero((cosine < _FACING_COSINE) & (points[:, 2] > 1e-3))
        places = points[chosen, :2] / points[chosen, 2:]
        x, y = places[:, 0], places[:, 1]
        inside = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
        if not len(inside):
            return None
        chosen = chosen[inside]
        tree = KDTree(places[inside], balanced_tree=False, compact_nodes=False)
        self._facing = _Facing(tree, skin[chosen], -cosine[chosen], normals[chosen], low, high)
        return self._facing

    def _exact(self, local_m: FloatArray, sample: IndexArray) -> tuple[FloatArray, FloatArray]:
        """Return signed distance (N,) and outward normal (N, 3) in the head's frame."""
        around = self._tables.around[sample]
        corners = self._tables.triangles[around]  # (N, K, 3)
        a, b, c = np.moveaxis(self._local_m.take(corners, axis=0), 2, 0)
        weights, offset = closest_on_triangles(local_m[:, None], a, b, c)
        squared = dot(offset, offset)
        row = np.arange(len(sample))
        best = squared.argmin(1)
        triangle, weights, offset = around[row, best], weights[row, best], offset[row, best]
        corner = corners[row, best]
        normal = (weights[..., None] * self._local_normals[corner]).sum(1)
        normal /= np.maximum(np.sqrt(dot(normal, normal)), 1e-12)[:, None]
        # The side is that of the feature's pseudonormal (Baerentzen and Aanaes 2005): the face's
        # own, the sum of both faces' at an edge, the angle-weighted one at a vertex.
        side = self._face_normal(triangle)
        zero = weights <= _ON_FEATURE
        at_edge = np.flatnonzero(zero.sum(1) == 1)
        opposite = zero[at_edge].argmax(1)
        side[at_edge] += self._face_normal(self._tables.across[triangle[at_edge], opposite])
        at_vertex = np.flatnonzero(zero.sum(1) == 2)
        side[at_vertex] = self._local_normals[
            corner[at_vertex, weights[at_vertex].argmax(1)]]
        sign = np.where(dot(offset, side) < 0, -1.0, 1.0)
        return sign * np.sqrt(squared[row, best]), normal

    def _face_normal(self, triangle: IndexArray) -> FloatArray:
        a, b, c = self._local_m.take(self._tables.triangles[triangle].T, axis=0)
        normal = cross(b - a, c - a)
        return normal / np.maximum(np.sqrt(dot(normal, normal)), 1e-15)[:, None]


def _query(tree: KDTree, points: FloatArray, bound: float = np.inf
           ) -> tuple[FloatArray, IndexArray]:
    """Return distance and index of the nearest point of the tree, inf beyond the bound."""
    length, index = tree.query(points, distance_upper_bound=bound)
    return np.asarray(length), np.asarray(index)
