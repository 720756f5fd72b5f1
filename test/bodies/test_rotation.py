# SPDX-License-Identifier: Apache-2.0
"""Rotations: vectors, matrices, quaternions."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ros2_dice.bodies.rotation import (
    matrix_to_quaternion,
    nearest_rotation,
    rotation_matrix,
    rotation_vector,
    skew,
)

COORDINATE = st.floats(-4.0, 4.0)
VECTOR = st.tuples(COORDINATE, COORDINATE, COORDINATE).map(np.array)


@given(VECTOR)
def test_matrix_is_scipys(vector: np.ndarray) -> None:
    np.testing.assert_allclose(rotation_matrix(vector),
                               Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@given(VECTOR)
def test_vector_leads_back_to_the_matrix(vector: np.ndarray) -> None:
    matrix = rotation_matrix(vector)
    again = rotation_vector(matrix)
    assert np.linalg.norm(again) <= np.pi + 1e-9
    np.testing.assert_allclose(rotation_matrix(again), matrix, atol=1e-7)


@pytest.mark.parametrize('axis', [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.8, 0), (-0.6, 0, 0.8)])
@pytest.mark.parametrize('angle', [0.0, 1e-13, 1e-7, 1.0, np.pi - 1e-6, np.pi])
def test_vector_at_the_edges(axis: tuple[float, ...], angle: float) -> None:
    matrix = rotation_matrix(np.array(axis) * angle)
    np.testing.assert_allclose(rotation_matrix(rotation_vector(matrix)), matrix, atol=1e-6)


@given(VECTOR)
def test_quaternion_is_scipys(vector: np.ndarray) -> None:
    quaternion = matrix_to_quaternion(rotation_matrix(vector))
    assert quaternion[3] >= 0
    expected = Rotation.from_rotvec(vector).as_quat()
    assert abs(quaternion @ expected) == pytest.approx(1.0, abs=1e-12)


def test_many_quaternions_at_once() -> None:
    vectors = np.random.default_rng(1).normal(size=(50, 3))
    matrices = Rotation.from_rotvec(vectors).as_matrix().reshape(5, 10, 3, 3)
    quaternions = matrix_to_quaternion(matrices)
    assert quaternions.shape == (5, 10, 4)
    np.testing.assert_allclose(
        Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix().reshape(matrices.shape),
        matrices, atol=1e-12)


@given(VECTOR, VECTOR)
def test_skew_is_the_cross_product(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(skew(a) @ b, np.cross(a, b), atol=1e-12)


def test_nearest_rotation_never_mirrors() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = nearest_rotation(rng.normal(size=(3, 3)))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1.0)
