# SPDX-License-Identifier: Apache-2.0
"""
Coarser levels of detail: decimation that keeps a subset of the vertices.

Half-edge collapse by quadric error (Garland and Heckbert, SIGGRAPH 1997). No vertex moves, so a
posed mesh is decimated by picking from its vertices.
"""
from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from ros2_dice.types import FloatArray

_FOLD_COSINE = 0.2
"""Triangles may not turn further than this when a neighbour collapses."""


def decimate(vertices_m: FloatArray, faces: npt.NDArray[np.integer],
             target: int) -> npt.NDArray[np.int64]:
    """
    Return about `target` faces over a subset of the vertices.

    Args:
        vertices_m: (V, 3) [m].
        faces: (F, 3) of an oriented manifold, with or without boundary.
        target: number of faces to stop at.
    """
    mesh = _Mesh(np.asarray(vertices_m, float), faces)
    while mesh.count > target and mesh.heap:
        mesh.collapse_cheapest()
    return np.array([face for face, alive in zip(mesh.faces, mesh.alive, strict=True) if alive])


class _Mesh:
    """Faces that change, with the quadric of each vertex and a heap of possible collapses."""

    def __init__(self, vertices: FloatArray, faces: npt.NDArray[np.integer]) -> None:
        self.vertices = vertices
        self.points = np.column_stack((vertices, np.ones(len(vertices))))
        self.faces = faces.astype(int).tolist()
        self.alive = [True] * len(self.faces)
        self.count = len(self.faces)
        self.around: list[set[int]] = [set() for _ in vertices]
        self.version = [0] * len(vertices)
        corners = vertices[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        areas = np.linalg.norm(normals, axis=1)
        normals = normals / np.maximum(areas, 1e-14)[:, None]
        planes = np.column_stack((normals, -(normals * corners[:, 0]).sum(axis=1)))
        self.quadrics = np.zeros((len(vertices), 4, 4))
        for index, face in enumerate(self.faces):
            for vertex in face:
                self.around[vertex].add(index)
                self.quadrics[vertex] += areas[index] * np.outer(planes[index], planes[index])
        self.heap: list[tuple[float, int, int, int, int]] = []
        for face in self.faces:
            for a, b in zip(face, face[1:] + face[:1], strict=True):
                self._push(a, b)
                self._push(b, a)

    def _push(self, gone: int, kept: int) -> None:
        """Note what it would cost to collapse one vertex onto a neighbour."""
        point = self.points[kept]
        length = self.vertices[gone] - self.vertices[kept]
        cost = point @ (self.quadrics[gone] + self.quadrics[kept]) @ point + 1e-9 * length @ length
        # Single precision: the last bits depend on the machine and would decide between equals.
        heapq.heappush(self.heap, (float(np.float32(cost)), gone, kept, self.version[gone],
                                   self.version[kept]))

    def _neighbours(self, vertex: int) -> set[int]:
        return {other for face in self.around[vertex] for other in self.faces[face]} - {vertex}

    def collapse_cheapest(self) -> None:
        """Take one collapse from the heap and do it, where it is still possible."""
        _, gone, kept, gone_version, kept_version = heapq.heappop(self.heap)
        if (self.version[gone] != gone_version or self.version[kept] != kept_version
                or not self.around[gone]):
            return
        neighbours = self._neighbours(gone)
        shared = self.around[gone] & self.around[kept]
        if kept not in neighbours or len(neighbours & self._neighbours(kept)) != len(shared):
            return  # the mesh would touch itself
        if any(self._folds(face, gone, kept) for face in self.around[gone] - shared):
            return
        for face in shared:
            self.alive[face] = False
            self.count -= 1
            for vertex in self.faces[face]:
                self.around[vertex].discard(face)
        for face in self.around[gone]:
            self.faces[face] = [kept if v == gone else v for v in self.faces[face]]
            self.around[kept].add(face)
        self.around[gone] = set()
        self.quadrics[kept] += self.quadrics[gone]
        self.version[gone] += 1
        self.version[kept] += 1
        for vertex in sorted(self._neighbours(kept)):
            self._push(vertex, kept)
            self._push(kept, vertex)

    def _folds(self, face: int, gone: int, kept: int) -> bool:
        """Tell whether a triangle would turn over or vanish."""
        before = self.vertices[self.faces[face]]
        after = self.vertices[[kept if v == gone else v for v in self.faces[face]]]
        old = np.cross(before[1] - before[0], before[2] - before[0])
        new = np.cross(after[1] - after[0], after[2] - after[0])
        size = float(np.linalg.norm(new))
        return size < 1e-12 or float(old @ new) < _FOLD_COSINE * float(np.linalg.norm(old)) * size
