# SPDX-License-Identifier: Apache-2.0
"""The open head: landmarks on the skin, pose conventions."""
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ros2_dice.bodies import HeadState, OpenBodies
from ros2_dice.bodies.rotation import rotation_matrix


def state(rng: np.random.Generator, turn: tuple[float, float, float] = (0.1, 0.2, 0.3)
          ) -> HeadState:
    """Return a head that looks into the camera, turned a little."""
    return HeadState(
        rotation_matrix(np.array(turn)) @ np.diag((1.0, -1.0, -1.0)), np.array((0.02, 0.03, 0.7)),
        0.03, rng.normal(0.0, 0.7, 24), rng.uniform(0.0, 0.5, 52))


def test_vertices_are_the_formula(bodies: OpenBodies) -> None:
    head = bodies.head
    some = state(np.random.default_rng(0))
    plain = HeadState(np.eye(3), np.zeros(3), 0.0, some.identity, some.expression)
    expected = (np.exp(some.log_scale) * head.vertices(plain) @ some.rotation.T
                + some.translation_m)
    np.testing.assert_allclose(head.vertices(some), expected, atol=2e-6)
    rest = HeadState(np.eye(3), np.zeros(3), 0.0, np.zeros(24), np.zeros(52))
    np.testing.assert_allclose(head.vertices(rest), head.rest_vertices_m, atol=1e-6)


def test_the_kept_identity_does_not_stay_for_another_person(bodies: OpenBodies) -> None:
    rng = np.random.default_rng(1)
    first, second = state(rng), state(rng)
    head = bodies.head
    before = head.vertices(first)
    head.vertices(second)
    np.testing.assert_array_equal(head.vertices(first), before)


def test_landmarks_lie_at_the_skin(bodies: OpenBodies) -> None:
    """Where the network really sees them: off the skin, by a few millimetres in the mean."""
    head = bodies.head
    used = head.landmark_weight > 0
    skin = KDTree(head.rest_vertices_m)
    distance, _ = skin.query(head.skin_landmarks_m[used])
    assert distance.max() < 0.012, 'no further than a triangle is long'
    off = np.linalg.norm(head.landmark_rest_m - head.skin_landmarks_m, axis=1)
    assert 0.001 < off.mean() < 0.004
    assert off.max() < 0.02
    some = state(np.random.default_rng(2))
    moved, _ = KDTree(head.vertices(some)).query(head.landmarks(some)[used])
    assert moved.max() < 0.025


def test_landmarks_are_symmetrical(bodies: OpenBodies) -> None:
    """Most have a counterpart on the other side; a mirrored face shall fit as it did."""
    mirror = np.array((-1.0, 1.0, 1.0))
    head = bodies.head
    skin, other = map(np.asarray, KDTree(head.skin_landmarks_m).query(
        head.skin_landmarks_m * mirror))
    offset = head.landmark_rest_m - head.skin_landmarks_m
    paired = (skin < 1e-4) & (other[other] == np.arange(468))
    assert paired.mean() > 0.5
    np.testing.assert_allclose(offset[other[paired]] * mirror, offset[paired], atol=1e-6)


def test_face_pose_follows_rep_155(bodies: OpenBodies) -> None:
    rng = np.random.default_rng(3)
    some = state(rng, (0.0, 0.0, 0.0))
    pose = bodies.head.face_pose(some)
    forward, left, up = Rotation.from_quat(pose.quaternion_xyzw).as_matrix().T
    np.testing.assert_allclose(forward, (0.0, 0.0, -1.0), atol=1e-9)  # to the camera
    np.testing.assert_allclose(up, (0.0, -1.0, 0.0), atol=1e-9)  # the picture's y is down
    np.testing.assert_allclose(left, (1.0, 0.0, 0.0), atol=1e-9)  # the subject's left
    off_skin, _ = KDTree(bodies.head.vertices(some)).query(pose.position_m)
    assert off_skin < 0.003
    assert np.linalg.norm(pose.position_m - bodies.head.landmarks(some)[168]) < 0.01


def test_the_jaw_opens_downwards(bodies: OpenBodies) -> None:
    head = bodies.head
    closed = HeadState(np.eye(3), np.zeros(3), 0.0, np.zeros(24), np.zeros(52))
    opened = np.zeros(52)
    opened[head.expression_names.index('jawOpen')] = 1.0
    moved = head.vertices(HeadState(np.eye(3), np.zeros(3), 0.0, np.zeros(24), opened))
    chin = head.regions == head.region_names.index('chin')
    assert (moved - head.vertices(closed))[chin, 1].mean() < -0.005


def test_eyes_are_as_far_apart_as_an_adults(bodies: OpenBodies) -> None:
    assert bodies.head.interpupillary_distance_m(np.zeros(24)) == pytest.approx(0.0601, abs=1e-4)
