# SPDX-License-Identifier: Apache-2.0
"""
Turned and mirrored cameras: the estimator sees upright pictures, results return to the camera.

A picture turned upright belongs to a camera turned about its optical axis, so results are turned
back about z. A mirrored picture is flipped back; its results stay those of the real scene, as the
camera without the mirror sees it.
"""
from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.types import (
    BodyEstimate,
    Camera,
    HandFaceEstimate,
    HandJoints,
    Pose,
    RegionContact,
    Roi,
)

FloatArray = npt.NDArray[np.floating]

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
# (cos, sin) of the clockwise turn; x right and y down make it a positive turn about z.
_COS_SIN = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}


class Upright:
    """
    The way from the camera's picture to an upright one, and of results back.

    Args:
        rotation_deg: clockwise turn that makes the picture upright: 0, 90, 180 or 270.
        mirrored: the picture is a mirror image; it is flipped before it is turned.
    """

    def __init__(self, rotation_deg: int = 0, mirrored: bool = False) -> None:
        self.rotation_deg = rotation_deg
        self.mirrored = mirrored
        cos, sin = _COS_SIN[rotation_deg]
        self._back = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
        half = np.deg2rad(-rotation_deg) / 2.0
        self._back_quaternion_xyzw = np.array([0.0, 0.0, np.sin(half), np.cos(half)])

    def picture(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the upright picture; the same array where there is nothing to do."""
        if self.mirrored:
            pixels = cv2.flip(pixels, 1)  # type: ignore[assignment]
        if self.rotation_deg:
            pixels = cv2.rotate(pixels, _TURNS[self.rotation_deg])  # type: ignore[assignment]
        return pixels

    def camera(self, camera: Camera) -> Camera:
        """Return the camera of the upright picture."""
        width, height = camera.width_px, camera.height_px
        fx, fy, cx, cy = camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px
        if self.mirrored:
            cx = width - cx
        if self.rotation_deg == 90:
            width, height, fx, fy, cx, cy = height, width, fy, fx, height - cy, cx
        elif self.rotation_deg == 180:
            cx, cy = width - cx, height - cy
        elif self.rotation_deg == 270:
            width, height, fx, fy, cx, cy = height, width, fy, fx, cy, width - cx
        return Camera(width, height, fx, fy, cx, cy, camera.calibrated)

    def intrinsics(self, camera: Camera) -> tuple[float, float, float, float]:
        """
        Return fx, fy, cx, cy [px] that project results into the picture as it came.

        In a mirrored picture x runs backwards: fx is negative.
        """
        sign = -1.0 if self.mirrored else 1.0
        return sign * camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px

    def restore(self, estimates: tuple[HandFaceEstimate, ...],
                size_px: tuple[int, int]) -> tuple[HandFaceEstimate, ...]:
        """
        Return the estimates in the camera's own optical frame, with rois in its own picture.

        Args:
            size_px: (width, height) of the picture as it came.
        """
        if not self.rotation_deg and not self.mirrored:
            return estimates
        return tuple(self._estimate(estimate, size_px) for estimate in estimates)

    def _estimate(self, estimate: HandFaceEstimate,
                  size_px: tuple[int, int]) -> HandFaceEstimate:
        return dataclasses.replace(
            estimate, roi=self._roi(estimate.roi, size_px),
            face_pose=self._pose(estimate.face_pose), wrist_pose=self._pose(estimate.wrist_pose),
            hand=self._body(estimate.hand), face=self._body(estimate.face),
            joints=self._joints(estimate.joints),
            contacts=tuple(self._contact(contact) for contact in estimate.contacts),
            hand_landmarks_px=None, face_landmarks_px=None)

    def _points(self, points: FloatArray) -> FloatArray:
        return points @ self._back.T.astype(points.dtype)

    def _quaternions(self, quaternions_xyzw: FloatArray) -> FloatArray:
        """Turn (..., 4) quaternions: back * q, back being about z."""
        x, y, z, w = np.moveaxis(np.asarray(quaternions_xyzw), -1, 0)
        _, _, s, c = self._back_quaternion_xyzw
        return np.stack([c * x - s * y, c * y + s * x, c * z + s * w, c * w - s * z], -1)

    def _pose(self, pose: Pose | None) -> Pose | None:
        if pose is None:
            return None
        return Pose(self._points(np.asarray(pose.position_m)),
                    self._quaternions(pose.quaternion_xyzw))

    def _body(self, body: BodyEstimate | None) -> BodyEstimate | None:
        if body is None:
            return None
        deformation_m = body.deformation_m
        return dataclasses.replace(
            body, vertices_m=self._points(body.vertices_m),
            deformation_m=None if deformation_m is None else self._points(deformation_m))

    def _joints(self, joints: HandJoints | None) -> HandJoints | None:
        if joints is None:
            return None
        return dataclasses.replace(joints, positions_m=self._points(joints.positions_m),
                                   quaternions_xyzw=self._quaternions(joints.quaternions_xyzw))

    def _contact(self, contact: RegionContact) -> RegionContact:
        return dataclasses.replace(
            contact, position_m=self._points(np.asarray(contact.position_m)),
            normal=self._points(np.asarray(contact.normal)))

    def _roi(self, roi: Roi, size_px: tuple[int, int]) -> Roi:
        width, height = size_px
        x, y, w, h = roi.x_px, roi.y_px, roi.width_px, roi.height_px
        if not w or not h:
            return roi
        if self.rotation_deg == 90:
            x, y, w, h = y, height - x - w, h, w
        elif self.rotation_deg == 180:
            x, y = width - x - w, height - y - h
        elif self.rotation_deg == 270:
            x, y, w, h = width - y - h, x, h, w
        if self.mirrored:
            x = width - x - w
        return Roi(x, y, w, h)
