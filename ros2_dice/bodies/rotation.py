# SPDX-License-Identifier: Apache-2.0
"""Rotations as vectors, matrices and quaternions."""
from __future__ import annotations

import math

import numpy as np

from ros2_dice.types import FloatArray

_SKEW = np.zeros((3, 9))
for _axis, (_row, _column) in enumerate(((2, 1), (0, 2), (1, 0))):
    _SKEW[_axis, 3 * _row + _column] = 1.0
    _SKEW[_axis, 3 * _column + _row] = -1.0


def skew(vectors: FloatArray) -> FloatArray:
    """Return the matrices (..., 3, 3) with `skew(a) @ b == cross(a, b)` of vectors (..., 3)."""
    return (vectors @ _SKEW).reshape(*vectors.shape[:-1], 3, 3)


def rotation_matrix(vector: FloatArray) -> FloatArray:
    """Return the rotation (3, 3) about a vector (3,) by its length [rad] (Rodrigues)."""
    x, y, z = map(float, vector)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = x / angle, y / angle, z / angle
    c, s = math.cos(angle), math.sin(angle)
    k = 1.0 - c
    return np.array(((c + k * x * x, k * x * y - s * z, k * x * z + s * y),
                     (k * x * y + s * z, c + k * y * y, k * y * z - s * x),
                     (k * x * z - s * y, k * y * z + s * x, c + k * z * z)))


def rotation_matrices(vectors: FloatArray) -> FloatArray:
    """Return the rotations (..., 3, 3) about vectors (..., 3): many `rotation_matrix` at once."""
    vectors = np.asarray(vectors, float)
    angle = np.sqrt((vectors ** 2).sum(-1))[..., None, None]
    cross = skew(vectors)
    # Sine and cosine over the angle; sinc is exact where the angle vanishes.
    half = np.sinc(angle / (2.0 * np.pi))
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * half * half * (cross @ cross)


def rotation_vector(matrix: FloatArray) -> FloatArray:
    """Return the vector (3,) [rad] of a rotation (3, 3): the inverse of `rotation_matrix`."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    trace = a + e + i
    if trace > -0.9:  # far from half a turn: straight from the antisymmetric part
        x, y, z = 0.5 * (h - f), 0.5 * (c - g), 0.5 * (d - b)
        sine = math.sqrt(x * x + y * y + z * z)
        factor = 1.0 if sine < 1e-9 else math.atan2(sine, 0.5 * (trace - 1.0)) / sine
        return np.array((factor * x, factor * y, factor * z))
    x, y, z, w = matrix_to_quaternion(matrix)
    sine = math.sqrt(x * x + y * y + z * z)
    factor = 2.0 if sine < 1e-9 else 2.0 * math.atan2(sine, w) / sine
    return factor * np.array((x, y, z))


def matrix_to_quaternion(matrices: FloatArray) -> FloatArray:
    """Return unit quaternions (..., 4), ROS order xyzw and w >= 0, of rotations (..., 3, 3)."""
    m = np.asarray(matrices, float)
    if m.ndim == 2:
        return _quaternion(m)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # The four rows of 4 q q^T; the one with the largest diagonal is the best conditioned.
    table = np.empty((*m.shape[:-2], 4, 4))
    table[..., 0, 0] = 1 + xx - yy - zz
    table[..., 1, 1] = 1 - xx + yy - zz
    table[..., 2, 2] = 1 - xx - yy + zz
    table[..., 3, 3] = 1 + xx + yy + zz
    for i, j in ((0, 1), (0, 2), (1, 2)):
        table[..., i, j] = table[..., j, i] = m[..., i, j] + m[..., j, i]
    for i, (j, k) in enumerate(((2, 1), (0, 2), (1, 0))):
        table[..., i, 3] = table[..., 3, i] = m[..., j, k] - m[..., k, j]
    best = np.argmax(np.diagonal(table, axis1=-2, axis2=-1), axis=-1)
    row = np.take_along_axis(table, best[..., None, None], axis=-2)[..., 0, :]
    row = row / np.linalg.norm(row, axis=-1, keepdims=True)
    return np.where(row[..., 3:] < 0, -row, row)


def _quaternion(matrix: FloatArray) -> FloatArray:
    """Return `matrix_to_quaternion` of a single rotation, without the cost of arrays."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    # The diagonal of 4 q q^T, and the row of the largest.
    squares = 1 + a - e - i, 1 - a + e - i, 1 - a - e + i, 1 + a + e + i
    best = squares.index(max(squares))
    x, y, z, w = ((squares[0], b + d, c + g, h - f), (b + d, squares[1], f + h, c - g),
                  (c + g, f + h, squares[2], d - b), (h - f, c - g, d - b, squares[3]))[best]
    length = math.copysign(math.sqrt(x * x + y * y + z * z + w * w), w)
    return np.array((x / length, y / length, z / length, w / length))


def rotation_between(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the smallest rotation (3, 3) that turns one direction (3,) to another."""
    a, b = (v / max(float(np.linalg.norm(v)), 1e-12) for v in (start, end))
    axis, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1.0 + 1e-9:  # half a turn, about anything square to it
        axis = np.cross(a, np.eye(3)[np.abs(a).argmin()])
        return rotation_matrix(np.pi * axis / np.linalg.norm(axis))
    cross = skew(axis)
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)


def nearest_rotation(matrix: FloatArray) -> FloatArray:
    """Return the rotation (3, 3) that maximises trace(R^T matrix) (Kabsch, no reflection)."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag((1.0, 1.0, 1.0 if np.linalg.det(u @ vt) > 0 else -1.0)) @ vt
