# SPDX-License-Identifier: Apache-2.0
"""The open hand: derivatives, mirror images, joints."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_dice.bodies import HandState, OpenBodies, OpenHand
from ros2_dice.bodies.openxr import JOINT_NAMES
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.types import FloatArray

SEEDS = st.integers(0, 2 ** 32 - 1)
MIRROR = np.array((-1.0, 1.0, 1.0))


def random_state(hand: OpenHand, seed: int) -> HandState:
    """Return a hand somewhere in front of the camera, fingers within their limits."""
    rng = np.random.default_rng(seed)
    return HandState(rotation_matrix(rng.normal(0.0, 1.0, 3)), np.array((0.05, -0.02, 0.6)),
                     rng.normal(0.0, 0.05), rng.uniform(hand.angle_low, hand.angle_high),
                     rng.normal(0.0, 0.3, 10))


def differences(function, x: FloatArray, step: float = 1e-6) -> FloatArray:
    """Return the central differences of a function, (..., len(x))."""
    columns = []
    for axis in np.eye(len(x)) * step:
        columns.append((function(x + axis) - function(x - axis)) / (2 * step))
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize('left', [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_derivatives_are_the_differences(bodies: OpenBodies, left: bool, seed: int) -> None:
    hand = bodies.hand(left)
    state = random_state(hand, seed)
    pose = hand.kinematics(state.angles_rad, state.shape)
    by_angle = differences(
        lambda angles: hand.kinematics(angles, state.shape).points, state.angles_rad)
    np.testing.assert_allclose(hand.by_angle(pose).transpose(1, 2, 0), by_angle, atol=1e-8)
    by_shape = differences(
        lambda shape: hand.kinematics(state.angles_rad, shape).points, state.shape)
    np.testing.assert_allclose(hand.by_shape(pose), by_shape, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_left_is_the_mirror_image_of_right(bodies: OpenBodies, seed: int) -> None:
    right = random_state(bodies.hand_right, seed)
    left = replace(right, rotation=MIRROR[:, None] * right.rotation * MIRROR,
                   translation_m=right.translation_m * MIRROR)
    np.testing.assert_allclose(bodies.hand_left.vertices(left),
                               bodies.hand_right.vertices(right) * MIRROR, atol=1e-6)
    np.testing.assert_allclose(bodies.hand_left.landmarks(left),
                               bodies.hand_right.landmarks(right) * MIRROR, atol=1e-12)
    np.testing.assert_allclose(bodies.hand_left.joints(left).positions_m,
                               bodies.hand_right.joints(right).positions_m * MIRROR, atol=1e-12)


@pytest.mark.parametrize('left', [False, True])
def test_rest_pose_is_the_rest_shape(bodies: OpenBodies, left: bool) -> None:
    hand = bodies.hand(left)
    rest = HandState(np.eye(3), np.zeros(3), 0.0, np.zeros(22), np.zeros(10))
    np.testing.assert_allclose(hand.vertices(rest), hand.rest_vertices_m, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_rigid_motion_and_size_go_through_the_skin(bodies: OpenBodies, seed: int) -> None:
    hand = bodies.hand_right
    state = random_state(hand, seed)
    plain = replace(state, rotation=np.eye(3), translation_m=np.zeros(3), log_scale=0.0)
    expected = (np.exp(state.log_scale) * hand.vertices(plain) @ state.rotation.T
                + state.translation_m)
    np.testing.assert_allclose(hand.vertices(state), expected, atol=2e-6)


@pytest.mark.parametrize('left', [False, True])
def test_flexion_brings_the_fingertips_to_the_palm(bodies: OpenBodies, left: bool) -> None:
    hand = bodies.hand(left)
    straight = hand.kinematics(np.zeros(22), np.zeros(10)).points
    bent = np.where((hand.dof_axis == 0) & (hand.dof_joint > 3), 0.4, 0.0)
    fist = hand.kinematics(bent, np.zeros(10)).points
    tips = [8, 12, 16, 20]
    assert (fist[tips, 1] < straight[tips, 1] - 0.01).all(), 'the palm is on the -y side'
    assert (np.linalg.norm(fist[tips], axis=1) < np.linalg.norm(straight[tips], axis=1)).all()


def test_weights_sum_to_one(bodies: OpenBodies) -> None:
    weights = bodies.hand_right.weights
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    assert (weights >= 0).all()
    assert ((weights > 0).sum(axis=1) <= 4).all()


@pytest.mark.parametrize('left', [False, True])
def test_openxr_joints(bodies: OpenBodies, left: bool) -> None:
    hand = bodies.hand(left)
    state = replace(random_state(hand, 3), angles_rad=hand.angle_mean)
    joints = hand.joints(state)
    assert joints.positions_m.shape == (26, 3)
    assert joints.quaternions_xyzw.shape == (26, 4)
    np.testing.assert_allclose(np.linalg.norm(joints.quaternions_xyzw, axis=1), 1.0)
    assert (joints.radii_m > 0.002).all()
    assert (joints.radii_m < 0.03).all()
    wrist = hand.wrist_pose(state)
    np.testing.assert_allclose(joints.positions_m[JOINT_NAMES.index('wrist')], wrist.position_m)
    assert abs(joints.quaternions_xyzw[1] @ wrist.quaternion_xyzw) == pytest.approx(1.0)


@pytest.mark.parametrize('left', [False, True])
def test_openxr_axes_point_to_the_tips(bodies: OpenBodies, left: bool) -> None:
    from scipy.spatial.transform import Rotation

    hand = bodies.hand(left)
    joints = hand.joints(random_state(hand, 7))
    for finger in ('index', 'middle', 'ring', 'little'):
        for here, there in (('proximal', 'intermediate'), ('intermediate', 'distal'),
                            ('distal', 'tip')):
            a, b = (JOINT_NAMES.index(f'{finger}_{part}') for part in (here, there))
            bone = joints.positions_m[b] - joints.positions_m[a]
            axes = Rotation.from_quat(joints.quaternions_xyzw[a]).as_matrix()
            assert -axes[:, 2] @ bone / np.linalg.norm(bone) > 0.97


def test_length_is_that_of_an_adult(bodies: OpenBodies) -> None:
    assert 0.17 < bodies.hand_right.length_m(np.zeros(10)) < 0.21
