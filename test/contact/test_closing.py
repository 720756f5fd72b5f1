# SPDX-License-Identifier: Apache-2.0
"""The lids over neck, mouth and eyes."""
from __future__ import annotations

import numpy as np
import pytest

from ros2_dice.bodies import OpenBodies
from ros2_dice.contact import SkinTables
from ros2_dice.contact.closing import boundary_loops, lid


def test_every_edge_of_the_skin_has_two_triangles_of_opposite_direction(tables: SkinTables):
    edges = np.concatenate([tables.triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    directed = {(int(a), int(b)) for a, b in edges}
    assert len(directed) == len(edges)
    assert all((b, a) in directed for a, b in directed)


def test_the_closed_skin_faces_outward(bodies: OpenBodies, tables: SkinTables):
    a, b, c = (bodies.head.rest_vertices_m[tables.triangles[:, k]] for k in range(3))
    volume_m3 = (a * np.cross(b, c)).sum() / 6
    assert 0.003 < volume_m3 < 0.006  # a head without its hair


def test_lids_use_no_eyeballs_and_no_inner_lips(bodies: OpenBodies, tables: SkinTables):
    assert bodies.head.is_skin[tables.skin].all()
    left_out = bodies.head.is_skin.sum() - len(tables.skin)
    assert left_out == 3 * 38  # three rings of the mouth's edge


def test_a_square_hole_gets_two_triangles_that_close_it():
    ring = np.array([(1, 1), (2, 1), (2, 2), (1, 2)], float)
    frame = np.array([(0, 0), (3, 0), (3, 3), (0, 3)], float)
    points = np.pad(np.concatenate([ring, frame]), ((0, 0), (0, 1)))
    faces = np.array([face for k in range(4) for n in ((k + 1) % 4,)
                      for face in ((k, 4 + k, 4 + n), (k, 4 + n, n))])
    loops = boundary_loops(faces)
    inner = next(loop for loop in loops if set(loop) == {0, 1, 2, 3})
    closing = lid(inner, points)
    assert len(closing) == 2
    a, b, c = (points[closing[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)[:, 2]
    assert normal.sum() == pytest.approx(2.0)  # twice the area, all in the faces' direction
    assert (normal > 0).all()
