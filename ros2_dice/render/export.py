# SPDX-License-Identifier: Apache-2.0
"""
Estimates as mesh files: PLY for tools that read values, GLB for viewers.

PLY holds one surface in the camera's optical frame [m] (x right, y down, z forward), for each
vertex its colour, `contact` [0, 1] and `deformation_x`, `_y`, `_z` [m]. GLB holds all surfaces of
a picture in the axes of glTF (x right, y up, z backward), with normals, colours and the attributes
`_CONTACT` and `_DEFORMATION`.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import Topology
from ros2_dice.errors import DiceError
from ros2_dice.render.overlay import Surface
from ros2_dice.types import BodyEstimate, HandFaceEstimate

if TYPE_CHECKING:
    import trimesh

_OPTICAL_TO_GLTF = np.array([1, -1, -1], np.float32)


@dataclass(frozen=True)
class ExportMesh:
    """One surface with what was estimated on it."""

    name: str
    """`<person_id>_face` or `<person_id>_<hand_id>`."""
    topology: Topology
    vertices_m: npt.NDArray[np.float32]
    """(V, 3), optical frame, deformed."""
    contact: npt.NDArray[np.float32]
    """(V,) probability; zero where it was not estimated."""
    deformation_m: npt.NDArray[np.float32]
    """(V, 3) in all, by every hand."""

    def colours_rgb(self) -> npt.NDArray[np.uint8]:
        """Return (V, 3), as the overlay has them."""
        dent_m = np.linalg.norm(self.deformation_m, axis=1)
        bgr = Surface(self.topology, self.vertices_m, self.contact, dent_m).colours_bgr()
        return np.clip(bgr[:, ::-1], 0, 255).astype(np.uint8)


def export_meshes(topologies: Sequence[Topology], estimates: Iterable[HandFaceEstimate],
                  level: int = 0) -> list[ExportMesh]:
    """
    Return each face once, with the contacts and deformations by all its hands, and each hand.

    Args:
        topologies: those of the estimator, at level of detail 0.
        level: wanted level of detail, 0 to 2.

    Raises:
        DiceError: an estimate names a topology that isn't among the given ones.
    """
    known = {topology.topology_id: topology for topology in topologies}
    found: dict[str, ExportMesh] = {}
    for estimate in estimates:
        for name, body in ((f'{estimate.person_id}_face', estimate.face),
                           (f'{estimate.person_id}_{estimate.hand_id}', estimate.hand)):
            if body is None or not len(body.vertices_m):
                continue
            mesh = _export_mesh(name, known, body, level)
            before = found.get(name)
            if before is not None:  # a face comes once for each of its hands
                mesh = ExportMesh(name, mesh.topology, mesh.vertices_m,
                                  np.maximum(mesh.contact, before.contact),
                                  mesh.deformation_m + before.deformation_m)
            found[name] = mesh
    return list(found.values())


def write_ply(path: Path, mesh: ExportMesh) -> None:
    """Write one surface as a binary PLY file."""
    solid = _trimesh(mesh, mesh.vertices_m)
    solid.vertex_attributes['contact'] = mesh.contact
    for axis, values in zip('xyz', mesh.deformation_m.T):
        solid.vertex_attributes[f'deformation_{axis}'] = np.ascontiguousarray(values)
    path.write_bytes(_bytes(solid.export(file_type='ply', vertex_normal=False)))


def write_glb(path: Path, meshes: Iterable[ExportMesh]) -> None:
    """Write all surfaces of a picture as one GLB file; there must be at least one."""
    import trimesh

    scene = trimesh.Scene()
    for mesh in meshes:
        solid = _trimesh(mesh, mesh.vertices_m * _OPTICAL_TO_GLTF)
        solid.vertex_attributes['_CONTACT'] = mesh.contact
        solid.vertex_attributes['_DEFORMATION'] = mesh.deformation_m * _OPTICAL_TO_GLTF
        scene.add_geometry(solid, node_name=mesh.name, geom_name=mesh.name)
    path.write_bytes(_bytes(scene.export(file_type='glb', include_normals=True)))


def _export_mesh(name: str, known: dict[str, Topology], body: BodyEstimate,
                 level: int) -> ExportMesh:
    if body.topology_id not in known:
        raise DiceError('topology', got=body.topology_id, expected='one of ' + ', '.join(known))
    topology = known[body.topology_id].level(level)
    pick = slice(None) if topology.full_indices is None else topology.full_indices
    count = len(body.vertices_m)
    contact = np.zeros(count) if body.contact is None else np.nan_to_num(body.contact)
    deformation_m = np.zeros((count, 3)) if body.deformation_m is None \
        else np.nan_to_num(body.deformation_m)
    return ExportMesh(name, topology, body.vertices_m[pick].astype(np.float32),
                      contact[pick].astype(np.float32), deformation_m[pick].astype(np.float32))


def _trimesh(mesh: ExportMesh, vertices: npt.NDArray[np.float32]) -> trimesh.Trimesh:
    import trimesh

    # process=False: no vertex may be merged or moved, values belong to their index
    return trimesh.Trimesh(vertices, mesh.topology.faces, vertex_colors=mesh.colours_rgb(),
                           process=False)


def _bytes(data: object) -> bytes:
    assert isinstance(data, bytes), type(data)
    return data
