# SPDX-License-Identifier: Apache-2.0
"""Exact signed distances, against trimesh and on shapes that need no oracle."""
from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_dice.evaluation.signed_distance import signed_distances_m, winding_numbers


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_box_has_its_known_distance(seed: int):
    rng = np.random.default_rng(seed)
    box = trimesh.creation.box((0.2, 0.3, 0.1))
    points = rng.uniform(-0.3, 0.3, (60, 3))
    over = np.abs(points) - np.array((0.1, 0.15, 0.05))
    expected = np.where((over < 0).all(1), over.max(1),
                        np.linalg.norm(np.maximum(over, 0), axis=1))
    found = signed_distances_m(points, box.vertices, box.faces)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_distances_are_those_of_trimesh():
    rng = np.random.default_rng(4)
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.09)
    vertices = ball.vertices * (1, 1.3, 0.8) + 0.004 * np.sin(90 * ball.vertices)
    points = rng.normal(0, 0.08, (200, 3))
    corners = vertices[ball.faces]
    distance = [np.linalg.norm(trimesh.triangles.closest_point(
        corners, np.tile(point, (len(corners), 1))) - point, axis=1).min() for point in points]
    # The shape is seen as a whole from the origin: a point is inside if it lies before the
    # triangle that it is seen through.
    weights = np.linalg.solve(corners.transpose(0, 2, 1)[None], points[:, None, :, None])[..., 0]
    through = (weights >= -1e-12).all(2)
    assert through.any(1).all()
    inside = weights.sum(2)[np.arange(200), through.argmax(1)] < 1
    assert 20 < inside.sum() < 180
    found = signed_distances_m(points, vertices, ball.faces)
    np.testing.assert_allclose(found, np.where(inside, -1.0, 1.0) * distance, atol=1e-9)


def test_a_hole_leaves_inside_inside():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    top = ball.vertices[ball.faces].mean(1)[:, 2] > 0.08
    points = np.array([(0, 0, 0.0), (0, 0, -0.09), (0, 0, 0.099), (0, 0, 0.2)])
    winding = winding_numbers(points, ball.vertices, ball.faces[~top])
    assert (winding > 0.5).tolist() == [True, True, False, False]


def test_distances_stay_under_a_rigid_motion():
    rng = np.random.default_rng(5)
    box = trimesh.creation.box((0.2, 0.3, 0.1))
    points = rng.uniform(-0.2, 0.2, (40, 3))
    move = trimesh.transformations.random_rotation_matrix(rng.random(3))
    move[:3, 3] = (3.0, -2.0, 5.0)
    moved = trimesh.transform_points(points, move)
    before = signed_distances_m(points, box.vertices, box.faces)
    after = signed_distances_m(moved, trimesh.transform_points(box.vertices, move), box.faces)
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_only_what_is_far_outside_may_be_left_out():
    rng = np.random.default_rng(6)
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.09)
    points = rng.normal(0, 0.1, (300, 3))
    exact = signed_distances_m(points, ball.vertices, ball.faces)
    quick = signed_distances_m(points, ball.vertices, ball.faces, within_m=0.01)
    np.testing.assert_array_equal(quick[exact <= 0.01], exact[exact <= 0.01])
    assert np.isinf(quick[exact > 0.06]).all()


def test_no_points_no_distances():
    box = trimesh.creation.box()
    assert signed_distances_m(np.zeros((0, 3)), box.vertices, box.faces).shape == (0,)


@pytest.mark.parametrize('count', [1, 2, 5])
def test_few_points(count: int):
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    points = np.linspace(0.0, 0.4, count)[:, None] * (1.0, 0.0, 0.0)
    np.testing.assert_allclose(signed_distances_m(points, box.vertices, box.faces),
                               points[:, 0] - 0.5, atol=1e-12)
