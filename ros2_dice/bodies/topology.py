# SPDX-License-Identifier: Apache-2.0
"""The constant part of a mesh: triangles, rest shape, named regions, levels of detail."""
from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


class Part(enum.IntEnum):
    """Values as in MeshTopology.msg."""

    UNKNOWN = 0
    HAND = 1
    FACE = 2


class Side(enum.IntEnum):
    """Values as in MeshTopology.msg."""

    NONE = 0
    LEFT = 1
    RIGHT = 2


@dataclass(frozen=True, eq=False)
class Topology:
    """
    One surface at one level of detail.

    Code takes vertex counts from here, so that every body model passes through the same lines.
    """

    topology_id: str
    """`<family>_<part>_<side>_<V>_<8 hex of content hash>`."""
    family: str
    part: Part
    side: Side
    level_of_detail: int
    faces: npt.NDArray[np.uint32]
    """(T, 3) vertex indices, counter-clockwise seen from outside."""
    rest_vertices_m: npt.NDArray[np.float32]
    """(V, 3) [m], the body's own frame."""
    regions: npt.NDArray[np.uint8]
    """(V,) indices into region_names."""
    region_names: tuple[str, ...]
    license: str
    """Short identifier of the body model's licence."""
    may_be_shared: bool = True
    """False where the licence forbids passing triangles and rest shape on."""
    full_indices: npt.NDArray[np.uint32] | None = None
    """(V,) indices into the level 0 vertices; None at level 0."""
    coarser: tuple[Topology, ...] = field(default=(), repr=False)
    """Levels 1 and 2, on the level 0 topology only."""

    @property
    def vertex_count(self) -> int:
        """Number of vertices, V."""
        return len(self.rest_vertices_m)

    def level(self, level_of_detail: int) -> Topology:
        """Return the wanted level of detail, or the coarsest there is."""
        levels = (self, *self.coarser)
        return levels[min(level_of_detail, len(levels) - 1)]


def make_topology(
        family: str, part: Part, side: Side, faces: npt.NDArray[np.integer],
        rest_vertices_m: npt.NDArray[np.floating], regions: npt.NDArray[np.integer],
        region_names: tuple[str, ...], license: str, *, may_be_shared: bool = True,
        coarser_faces: tuple[npt.NDArray[np.integer], ...] = ()) -> Topology:
    """
    Return a level 0 topology, with its coarser levels.

    Args:
        coarser_faces: per coarser level (T', 3) faces over a SUBSET of the level 0 vertices, in
            level 0 indices; they are renumbered here.
    """
    def build(level: int, some_faces: npt.NDArray[np.integer],
              keep: npt.NDArray[np.uint32] | None, coarser: tuple[Topology, ...]) -> Topology:
        pick = slice(None) if keep is None else keep
        rest = np.ascontiguousarray(rest_vertices_m[pick], np.float32)
        labels = np.ascontiguousarray(regions[pick], np.uint8)
        triangles = np.ascontiguousarray(some_faces, np.uint32)
        digest = hashlib.sha256()
        for array in (triangles, rest, labels):
            digest.update(array.tobytes())
        digest.update('\n'.join(region_names).encode())
        parts = [family, part.name.lower()] + ([side.name.lower()] if side else [])
        name = '_'.join([*parts, str(len(rest)), digest.hexdigest()[:8]])
        for array in (triangles, rest, labels):
            array.flags.writeable = False
        return Topology(name, family, part, side, level, triangles, rest, labels, region_names,
                        license, may_be_shared, keep, coarser)

    coarser = []
    for level, some_faces in enumerate(coarser_faces, start=1):
        keep = np.unique(some_faces).astype(np.uint32)
        renumber = np.zeros(len(rest_vertices_m), np.uint32)
        renumber[keep] = np.arange(len(keep), dtype=np.uint32)
        coarser.append(build(level, renumber[some_faces], keep, ()))
    return build(0, faces, None, tuple(coarser))
