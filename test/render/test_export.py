# SPDX-License-Identifier: Apache-2.0
"""Mesh files hold what was estimated, vertex by vertex."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from ros2_dice.bodies import Part, Side, make_topology
from ros2_dice.errors import DiceError
from ros2_dice.render.export import export_meshes, write_glb, write_ply
from ros2_dice.types import BodyEstimate, HandFaceEstimate

POINTS_M = np.array([[0, 0, 0.5], [0.1, 0, 0.5], [0, 0.1, 0.5], [0, 0, 0.6]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
HAND = make_topology('test', Part.HAND, Side.RIGHT, FACES, POINTS_M, np.zeros(4, np.uint8),
                     ('all',), 'CC0', coarser_faces=(FACES[3:],))
FACE = make_topology('test', Part.FACE, Side.NONE, FACES, POINTS_M + 1, np.zeros(4, np.uint8),
                     ('all',), 'CC0')


def colours(solid: Any) -> np.ndarray:
    """Return the (V, 3) colours of a mesh that was read."""
    return solid.visual.vertex_colors[:, :3]


def estimates() -> tuple[HandFaceEstimate, ...]:
    """Return a face dented by two hands at different vertices."""
    found = []
    for number in (0, 1):
        contact = np.zeros(4, np.float32)
        contact[number] = 0.75
        deformation_m = np.zeros((4, 3), np.float32)
        deformation_m[number, 2] = 0.001 * (1 + number)
        face = BodyEstimate(FACE.topology_id, POINTS_M + 0.2, 1.0, contact, deformation_m)
        hand = BodyEstimate(HAND.topology_id, POINTS_M - 0.1 * number, 1.0,
                            np.array([math.nan, 0, 0, 1], np.float32))
        found.append(HandFaceEstimate('a0000', f'h000{number}', hand=hand, face=face))
    return tuple(found)


def test_each_face_once_with_what_all_hands_do_to_it() -> None:
    meshes = {mesh.name: mesh for mesh in export_meshes([HAND, FACE], estimates())}
    assert list(meshes) == ['a0000_face', 'a0000_h0000', 'a0000_h0001']
    face = meshes['a0000_face']
    np.testing.assert_allclose(face.contact, [0.75, 0.75, 0, 0])
    np.testing.assert_allclose(face.deformation_m[:, 2], [0.001, 0.002, 0, 0])
    np.testing.assert_allclose(meshes['a0000_h0000'].contact, [0, 0, 0, 1])
    rgb = face.colours_rgb()
    assert (rgb[0] != rgb[3]).any()
    assert (rgb[2] == rgb[3]).all()


def test_ply_holds_contact_and_deformation(tmp_path: Path) -> None:
    mesh = export_meshes([HAND, FACE], estimates())[0]
    write_ply(tmp_path / 'face.ply', mesh)
    header = (tmp_path / 'face.ply').read_bytes().split(b'end_header')[0].decode()
    for name in ('contact', 'deformation_x', 'deformation_y', 'deformation_z', 'red'):
        assert f' {name}\n' in header
    solid = trimesh.load_mesh(tmp_path / 'face.ply', process=False)
    np.testing.assert_allclose(solid.vertices, mesh.vertices_m, atol=1e-6)
    np.testing.assert_array_equal(solid.faces, FACES)
    np.testing.assert_array_equal(colours(solid), mesh.colours_rgb())
    data = solid.metadata['_ply_raw']['vertex']['data']
    np.testing.assert_allclose(np.ravel(data['contact']), mesh.contact)
    np.testing.assert_allclose(np.ravel(data['deformation_z']), mesh.deformation_m[:, 2])


def test_glb_holds_all_meshes_the_right_way_up(tmp_path: Path) -> None:
    meshes = export_meshes([HAND, FACE], estimates())
    write_glb(tmp_path / 'all.glb', meshes)
    scene: Any = trimesh.load(tmp_path / 'all.glb')  # load_scene came with 4.6
    assert set(scene.geometry) == {mesh.name for mesh in meshes}
    solid = scene.geometry['a0000_face']
    np.testing.assert_allclose(solid.vertices, meshes[0].vertices_m * [1, -1, -1], atol=1e-6)
    np.testing.assert_array_equal(colours(solid), meshes[0].colours_rgb())
    np.testing.assert_allclose(np.ravel(solid.vertex_attributes['_CONTACT']), meshes[0].contact)
    np.testing.assert_allclose(solid.vertex_attributes['_DEFORMATION'],
                               meshes[0].deformation_m * [1, -1, -1])


def test_levels_of_detail() -> None:
    coarse = export_meshes([HAND, FACE], estimates(), level=1)
    assert [len(mesh.vertices_m) for mesh in coarse] == [4, 3, 3], 'a face without levels is full'
    np.testing.assert_allclose(coarse[1].contact, [0, 0, 1])
    np.testing.assert_allclose(coarse[1].vertices_m, POINTS_M[1:])


def test_an_unknown_topology_is_named() -> None:
    with pytest.raises(DiceError, match='test_hand'):
        export_meshes([FACE], estimates())


def test_empty_parts_are_left_out() -> None:
    empty = BodyEstimate(FACE.topology_id, np.zeros((0, 3), np.float32), 0.0)
    assert export_meshes([FACE], [HandFaceEstimate('a0000', face=empty)]) == []
