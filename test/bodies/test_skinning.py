# SPDX-License-Identifier: Apache-2.0
"""Linear blend skinning against its formula."""
from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ros2_dice.bodies.skinning import skin


def test_it_is_the_blend_of_the_moved_vertices() -> None:
    rng = np.random.default_rng(0)
    rest, weights = rng.normal(size=(40, 3)), rng.dirichlet(np.ones(5), 40)
    rotations = Rotation.from_rotvec(rng.normal(size=(5, 3))).as_matrix()
    shifts = rng.normal(size=(5, 3))
    moved = np.einsum('jab,vb->vja', rotations, rest) + shifts
    expected = (weights[..., None] * moved).sum(axis=1)
    np.testing.assert_allclose(skin(rest.T.copy(), weights.T.copy(), rotations, shifts), expected,
                               atol=1e-12)


def test_one_motion_for_all_joints_is_rigid() -> None:
    rng = np.random.default_rng(2)
    rest, weights = rng.normal(size=(40, 3)), rng.dirichlet(np.ones(3), 40)
    rotation = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    posed = skin(rest.T.copy(), weights.T.copy(), np.stack([rotation] * 3), np.ones((3, 3)))
    np.testing.assert_allclose(posed, rest @ rotation.T + 1.0, atol=1e-12)


def test_single_precision_stays_single() -> None:
    rest = np.zeros((3, 4), np.float32)
    posed = skin(rest, np.ones((1, 4), np.float32), np.eye(3)[None], np.ones((1, 3)))
    assert posed.dtype == np.float32
    np.testing.assert_array_equal(posed, np.ones((4, 3)))
