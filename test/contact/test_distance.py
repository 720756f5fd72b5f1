# SPDX-License-Identifier: Apache-2.0
"""Signed distance to a posed head, against trimesh and under motions."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_dice.bodies import HeadState, OpenBodies
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.contact import HeadSurface, SkinTables
from ros2_dice.contact.distance import vertex_normals
from ros2_dice.contact.triangles import closest_on_triangles, vertex_areas

NEAR_M = 0.02
ALMOST_ALL_M = 0.0002
"""Tolerance for 99 % of the points near the skin: their nearest triangle is found."""
ALL_M = 0.002
"""Tolerance for the rest, where a long thin triangle is nearer than those looked at."""
vectors = st.tuples(*[st.floats(-2.0, 2.0)] * 3).map(np.array)


def head_state(bodies: OpenBodies, rng: np.random.Generator) -> HeadState:
    """Return a head with its own face, looking at the camera, somewhat turned."""
    expression = np.zeros(bodies.head.expression_count)
    expression[bodies.head.expression_names.index('jawOpen')] = rng.uniform(0, 0.6)
    rotation = rotation_matrix(rng.normal(0, 0.3, 3)) @ np.diag((1.0, -1.0, -1.0))
    return HeadState(rotation, np.array((0.02, -0.01, 0.6)), 0.03,
                     rng.normal(0, 0.7, bodies.head.identity_count), expression)


def posed(bodies: OpenBodies, tables: SkinTables, state: HeadState) -> HeadSurface:
    """Return the surface of a head."""
    surface = HeadSurface(tables)
    surface.pose(bodies.head.vertices(state), state.rotation, state.translation_m)
    return surface


def winding_number(point: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Return how often the triangles wind around a point (van Oosterom and Strackee 1983)."""
    a, b, c = a - point, b - point, c - point
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    solid = np.arctan2((a * np.cross(b, c)).sum(1), la * lb * lc + (a * b).sum(1) * lc
                       + (b * c).sum(1) * la + (c * a).sum(1) * lb)
    return float(solid.sum() / (2 * np.pi))


def test_distance_is_exact_against_trimesh(bodies: OpenBodies, tables: SkinTables):
    trimesh = pytest.importorskip('trimesh')
    error_m = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        surface = posed(bodies, tables, head_state(bodies, rng))
        triangles = surface.vertices_m[tables.triangles]
        spots = surface.vertices_m[rng.choice(tables.skin, 150)]
        points = spots + rng.normal(0, 1, (150, 3)) * rng.uniform(0, 0.5 * NEAR_M, (150, 1))
        found = surface.distance(points)
        for point, signed_m in zip(points, found.signed_m):
            everywhere = np.tile(point, (len(triangles), 1))
            nearest = trimesh.triangles.closest_point(triangles, everywhere)
            exact_m = float(np.linalg.norm(nearest - point, axis=1).min())
            inside = winding_number(point, *triangles.transpose(1, 0, 2)) > 0.5
            assert (signed_m < 0) == inside or exact_m < ALMOST_ALL_M
            error_m.append(abs(abs(signed_m) - exact_m))
    assert np.quantile(error_m, 0.99) < ALMOST_ALL_M
    assert max(error_m) < ALL_M


@settings(max_examples=15, deadline=None)
@given(turn=vectors, move=vectors)
def test_distance_does_not_change_under_rigid_motion(bodies: OpenBodies, tables: SkinTables,
                                                     turn: np.ndarray, move: np.ndarray):
    state = head_state(bodies, np.random.default_rng(7))
    surface = posed(bodies, tables, state)
    points = surface.vertices_m[tables.skin[::20]] + 0.01 * np.sin(np.arange(3))
    before = surface.distance(points)
    rotation = rotation_matrix(turn)
    surface.pose(surface.vertices_m @ rotation.T + move, rotation @ state.rotation,
                 rotation @ state.translation_m + move)
    after = surface.distance(points @ rotation.T + move)
    np.testing.assert_allclose(after.signed_m, before.signed_m, atol=1e-9)
    np.testing.assert_allclose(after.normal, before.normal @ rotation.T, atol=1e-6)


def test_a_kept_tree_is_as_exact_as_a_new_one(bodies: OpenBodies, tables: SkinTables):
    """The tree is kept while the face moves by less than a millimetre."""
    rng = np.random.default_rng(1)
    state = head_state(bodies, rng)
    vertices = bodies.head.vertices(state).astype(float)
    moved = vertices + 0.0009 * np.sin(40 * vertices)
    kept, fresh = HeadSurface(tables), HeadSurface(tables)
    kept.pose(vertices, state.rotation, state.translation_m)
    kept.pose(moved, state.rotation, state.translation_m)
    fresh.pose(moved, state.rotation, state.translation_m)
    points = moved[rng.choice(tables.skin, 500)] + rng.normal(0, 0.005, (500, 3))
    difference_m = kept.distance(points).signed_m - fresh.distance(points).signed_m
    assert np.quantile(np.abs(difference_m), 0.99) < ALMOST_ALL_M


def test_what_is_seen_can_not_be_behind_the_face(bodies: OpenBodies, tables: SkinTables):
    state = head_state(bodies, np.random.default_rng(2))
    surface = posed(bodies, tables, state)
    nose = surface.vertices_m[bodies.head.regions == bodies.head.region_names.index('nose')]
    tip = nose[nose[:, 2].argmin()]
    ray = tip[None] * np.linspace(0.9, 1.6, 30)[:, None]
    signed_m = surface.both_distances(ray)[0].signed_m
    assert (np.diff(signed_m) < 1e-3).all()  # falls all the way, also past the back of the head
    assert signed_m[-1] < -0.2
    assert surface.distance(ray[-1:]).signed_m[0] > 0  # though it is outside


def test_depth_factor_puts_points_on_the_facing_skin(bodies: OpenBodies, tables: SkinTables):
    state = head_state(bodies, np.random.default_rng(4))
    surface = posed(bodies, tables, state)
    chosen = tables.thin[surface.normals_of(tables.thin)[:, 2] < -0.7]
    points = surface.vertices_m[chosen] * np.linspace(0.8, 1.2, len(chosen))[:, None]
    factor, vertex = surface.depth_factor(points)
    hit = vertex >= 0
    assert hit.mean() > 0.95
    on_skin = points[hit] * np.exp(factor[hit])[:, None]
    assert np.quantile(np.abs(surface.distance(on_skin).signed_m), 0.9) < 0.003
    missed, none = surface.depth_factor(np.array([(2.0, 0.0, 0.6), (0.0, 0.0, -1.0)]))
    assert np.isinf(missed).all()
    assert (none == -1).all()


def test_points_beyond_the_bound_are_left_out(bodies: OpenBodies, tables: SkinTables):
    surface = posed(bodies, tables, head_state(bodies, np.random.default_rng(5)))
    found = surface.distance(surface.vertices_m[:2] + [[0, 0, 0], [5, 0, 0]], bound_m=0.02)
    assert np.isfinite(found.signed_m[0])
    assert np.isinf(found.signed_m[1])
    assert found.vertex[1] == -1


def test_far_points_need_not_be_exact_but_keep_their_side(bodies: OpenBodies, tables: SkinTables):
    rng = np.random.default_rng(6)
    surface = posed(bodies, tables, head_state(bodies, rng))
    points = surface.vertices_m[rng.choice(tables.skin, 500)] + rng.normal(0, 0.015, (500, 3))
    exact, quick = surface.distance(points), surface.distance(points, exact_m=0.01)
    near = np.abs(exact.signed_m) < 0.006
    np.testing.assert_allclose(quick.signed_m[near], exact.signed_m[near], atol=ALL_M)
    assert np.abs(quick.signed_m - exact.signed_m)[np.sign(quick.signed_m)
                                                   == np.sign(exact.signed_m)].max() < 0.006


def test_triangle_arithmetic_on_known_cases():
    a, b, c = (np.array([v], float) for v in ((0, 0, 0), (1, 0, 0), (0, 1, 0)))
    cases = {(0.25, 0.25, 2.0): (0.5, 0.25, 0.25), (-1.0, -1.0, 0.0): (1, 0, 0),
             (2.0, -1.0, 0.0): (0, 1, 0), (-1.0, 2.0, 0.0): (0, 0, 1),
             (0.5, -1.0, 0.0): (0.5, 0.5, 0), (1.0, 1.0, 0.0): (0, 0.5, 0.5),
             (-1.0, 0.5, 1.0): (0.5, 0, 0.5)}
    for point, weights in cases.items():
        found, offset = closest_on_triangles(np.array([point]), a, b, c)
        np.testing.assert_allclose(found[0], weights, atol=1e-12)
        np.testing.assert_allclose(point - offset[0], np.dot(weights, [a[0], b[0], c[0]]),
                                   atol=1e-12)
    vertices, triangle = np.concatenate([a, b, c]), np.array([(0, 1, 2)])
    np.testing.assert_allclose(vertex_areas(vertices, triangle), [1 / 6] * 3)
    np.testing.assert_allclose(vertex_normals(vertices, triangle), [(0, 0, 1)] * 3)
