# SPDX-License-Identifier: Apache-2.0
"""Decimation: a subset of the vertices, the same surface, no holes."""
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import trimesh

from ros2_dice.bodies.levels import decimate


@pytest.fixture(scope='module', name='ball')
def make_ball() -> trimesh.Trimesh:
    """A closed ball of 1280 faces, 0.1 m."""
    return trimesh.creation.icosphere(subdivisions=3, radius=0.1)


@pytest.mark.parametrize('target', [800, 300, 120])
def test_a_ball_stays_closed_and_round(ball: trimesh.Trimesh, target: int) -> None:
    vertices = np.asarray(ball.vertices)
    faces = decimate(vertices, np.asarray(ball.faces), target)
    assert target - 2 <= len(faces) <= target
    edges = Counter(map(tuple, np.concatenate(
        (faces[:, :2], faces[:, 1:], faces[:, [2, 0]])).tolist()))
    assert max(edges.values()) == 1
    assert all((b, a) in edges for a, b in edges)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(axis=1)).sum(axis=1) > 0).all(), 'a triangle turned over'
    volume = np.einsum('ij,ij->', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert volume > 0.8 * ball.volume


def test_it_is_the_same_every_time(ball: trimesh.Trimesh) -> None:
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    np.testing.assert_array_equal(decimate(vertices, faces, 300), decimate(vertices, faces, 300))


def test_nothing_to_do_changes_nothing(ball: trimesh.Trimesh) -> None:
    faces = np.asarray(ball.faces)
    np.testing.assert_array_equal(decimate(np.asarray(ball.vertices), faces, 5000), faces)
