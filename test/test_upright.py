# SPDX-License-Identifier: Apache-2.0
"""Turned and mirrored cameras: pictures, cameras and results stay consistent."""
import math

import numpy as np
import pytest

from ros2_dice.types import (
    BodyEstimate,
    Camera,
    HandFaceEstimate,
    HandJoints,
    Pose,
    RegionContact,
    Roi,
)
from ros2_dice.upright import Upright

WIDTH, HEIGHT = 64, 40
CAMERA = Camera(WIDTH, HEIGHT, 50.0, 51.0, 30.3, 19.2)
PIXELS = np.random.default_rng(2).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
WAYS = [(turn, mirrored) for turn in (0, 90, 180, 270) for mirrored in (False, True)]


def rotation(quaternion_xyzw):
    x, y, z, w = quaternion_xyzw
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def estimate(points_m):
    pose = Pose(points_m[0], np.array([0.1, 0.2, 0.3, math.sqrt(1 - 0.14)]))
    body = BodyEstimate('a', points_m.astype(np.float32), 1.0,
                        deformation_m=0.1 * points_m.astype(np.float32), has_deformation=True)
    joints = HandJoints(np.tile(points_m[0], (26, 1)), np.tile(pose.quaternion_xyzw, (26, 1)),
                        np.ones(26), np.ones(26, np.uint8))
    contact = RegionContact('a', 'b', 1.0, points_m[0], np.array([0.0, 0.6, -0.8]), 1.0, 1.0, 0.0,
                            0.0)
    return HandFaceEstimate('p', hand=body, face=body, face_pose=pose, wrist_pose=pose,
                            joints=joints, contacts=(contact,), roi=Roi(3, 5, 7, 11))


@pytest.mark.parametrize(('turn', 'mirrored'), WAYS)
def test_a_point_lands_on_the_same_pixel_both_ways(turn, mirrored):
    upright = Upright(turn, mirrored)
    picture, camera = upright.picture(PIXELS), upright.camera(CAMERA)
    assert picture.shape == (camera.height_px, camera.width_px, 3)
    points_m = np.array([[0.11, 0.07, 0.5], [-0.13, 0.02, 0.61], [0.015, -0.09, 0.7]])
    back, = upright.restore((estimate(points_m),), (WIDTH, HEIGHT))
    assert back.hand is not None
    fx, fy, cx, cy = upright.intrinsics(CAMERA)
    for upright_point, point in zip(points_m, back.hand.vertices_m):
        u, v = camera.project(upright_point)
        x, y = point[0] / point[2] * fx + cx, point[1] / point[2] * fy + cy
        if 0 <= u < camera.width_px and 0 <= v < camera.height_px:
            assert (picture[int(v), int(u)] == PIXELS[int(y), int(x)]).all()


@pytest.mark.parametrize(('turn', 'mirrored'), WAYS)
def test_everything_turns_alike(turn, mirrored):
    points_m = np.array([[0.11, 0.07, 0.5], [-0.13, 0.02, 0.61]])
    before = estimate(points_m)
    after, = Upright(turn, mirrored).restore((before,), (WIDTH, HEIGHT))
    assert after.hand is not None
    assert after.hand.deformation_m is not None
    assert after.joints is not None
    assert before.wrist_pose is not None
    assert after.wrist_pose is not None
    turned = after.hand.vertices_m[0]
    np.testing.assert_allclose(after.wrist_pose.position_m, turned, atol=1e-6)
    np.testing.assert_allclose(after.contacts[0].position_m, turned, atol=1e-6)
    np.testing.assert_allclose(after.hand.deformation_m[0], 0.1 * turned, atol=1e-6)
    # The pose's axes turn as points do.
    axes = rotation(after.wrist_pose.quaternion_xyzw) @ rotation(
        before.wrist_pose.quaternion_xyzw).T
    np.testing.assert_allclose(axes @ points_m[0], turned, atol=1e-6)
    np.testing.assert_allclose(axes @ before.contacts[0].normal, after.contacts[0].normal,
                               atol=1e-6)
    np.testing.assert_allclose(after.joints.quaternions_xyzw[3], after.wrist_pose.quaternion_xyzw)


@pytest.mark.parametrize(('turn', 'mirrored'), WAYS)
def test_rois_cover_the_same_pixels(turn, mirrored):
    upright = Upright(turn, mirrored)
    picture = upright.picture(PIXELS)
    points_m = np.array([[0.0, 0.0, 1.0]])
    back, = upright.restore((estimate(points_m),), (WIDTH, HEIGHT))
    inside = picture[5:16, 3:10]
    roi = back.roi
    original = PIXELS[roi.y_px:roi.y_px + roi.height_px, roi.x_px:roi.x_px + roi.width_px]
    assert sorted(inside.reshape(-1, 3).tolist()) == sorted(original.reshape(-1, 3).tolist())


def test_an_upright_picture_is_left_alone():
    upright = Upright()
    assert upright.picture(PIXELS) is PIXELS
    estimates = (estimate(np.array([[0.0, 0.0, 1.0]])),)
    assert upright.restore(estimates, (WIDTH, HEIGHT)) is estimates
