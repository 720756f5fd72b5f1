# SPDX-License-Identifier: Apache-2.0
"""
Where a captured hand and head are in the camera's frame, in metres.

The network sees a square crop and answers with a scaled orthography, as if the camera looked
straight at the crop's middle from far away. Here the meshes are turned to the viewing ray that
they were seen along, and moved along it until a pinhole camera shows them where the network saw
them: three unknowns, one linear least-squares problem over all vertices. Distance over size is all
that a picture tells; the size is that of the network's bodies or of what the user measured.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ros2_dice.bodies import ParametricHand, ParametricHead, PosedBody
from ros2_dice.bodies.parametric import MIRROR
from ros2_dice.bodies.rotation import rotation_between
from ros2_dice.dice.postprocess import Captured, WeakCamera
from ros2_dice.dice.preprocess import Square
from ros2_dice.fitting.scale import FIT_SIGMA, HEAD_SIGMA, LENS_SIGMA, MEASURED_SIGMA
from ros2_dice.parameters import Settings
from ros2_dice.types import Camera, FloatArray, ScaleSource

_EVERY = 8
"""Vertices that the camera's place is fitted to: every so many."""


@dataclass(frozen=True, eq=False)
class Placement:
    """From the frame of a capture to the camera's: scale, then rotation, then translation."""

    scale: float
    rotation: FloatArray
    """(3, 3)."""
    translation_m: FloatArray
    """(3,) the head's centroid in the camera's frame [m]."""

    def points(self, points_m: FloatArray) -> FloatArray:
        """Return points (..., 3) [m] in the camera's frame."""
        return self.directions(points_m) + self.translation_m.astype(points_m.dtype)

    def directions(self, vectors_m: FloatArray) -> FloatArray:
        """Return displacements (..., 3) [m] in the camera's frame."""
        return vectors_m @ (self.scale * self.rotation.T).astype(vectors_m.dtype)

    def body(self, body: PosedBody) -> PosedBody:
        """Return a body in the camera's frame."""
        return PosedBody(self.points(body.vertices_m), self.points(body.joints_m),
                         self.rotation @ body.rotations)

    def at(self, translation_m: FloatArray) -> Placement:
        """Return the same at another place, turned with the viewing ray."""
        turn = rotation_between(self.translation_m, translation_m)
        return replace(self, translation_m=translation_m, rotation=turn @ self.rotation)

    def is_sane(self) -> bool:
        """Tell whether it is a place in front of the camera."""
        return bool(np.isfinite(self.translation_m).all() and self.translation_m[2] > 1e-3)


def seen_at_px(points_m: FloatArray, camera: WeakCamera, square: Square) -> FloatArray:
    """Return where in the picture (..., 2) [px] the network sees points of its own frame."""
    return square.to_image(camera.project(points_m))


def place(captured: Captured, square: Square, camera: Camera, scale: float = 1.0) -> Placement:
    """
    Return where a capture is.

    Args:
        captured: of one crop, as the network saw it (not yet turned back from a mirror).
        square: the crop in the picture.
        camera: of the picture.
        scale: true size of the bodies against the network's.
    """
    points = np.concatenate((captured.head.vertices_m[::_EVERY],
                             captured.hand.vertices_m[::_EVERY])).astype(float)
    seen = seen_at_px(points, captured.camera, square)
    centre = seen_at_px(np.zeros(3), captured.camera, square)
    if square.mirrored:
        points = points * MIRROR
    focal = np.array((camera.fx_px, camera.fy_px))
    middle = np.array((camera.cx_px, camera.cy_px))
    rotation = rotation_between(
        np.array((0.0, 0.0, 1.0)), np.append((centre - middle) / focal, 1.0))
    turned = scale * points @ rotation.T
    # u (z + t_z) = x + t_x for every point: linear in t.
    rays = (seen - middle) / focal
    wanted = rays * turned[:, 2:] - turned[:, :2]
    mean, spread = rays.mean(0), wanted.mean(0)
    centred = rays - mean
    depth = -float((centred * (wanted - spread)).sum()) / max(float((centred ** 2).sum()), 1e-30)
    return Placement(scale, rotation, np.append(spread + mean * depth, depth))


def unmirrored(captured: Captured, head: ParametricHead) -> Captured:
    """
    Return what a mirrored crop shows as it is: a left hand, and the head in its own topology.

    Args:
        captured: of a mirrored crop.
        head: whose mesh it is.
    """
    def posed(body: PosedBody, vertices_m: FloatArray) -> PosedBody:
        return PosedBody(vertices_m, body.joints_m * MIRROR,
                         MIRROR[:, None] * body.rotations * MIRROR)

    mirror = head.mirror
    return replace(
        captured, hand=posed(captured.hand, captured.hand.vertices_m * MIRROR.astype(
            captured.hand.vertices_m.dtype)),
        head=posed(captured.head, mirror.points(captured.head.vertices_m)),
        head_landmarks_m=head.landmarks_m(mirror.points(captured.head.vertices_m)),
        deformation_m=mirror.points(captured.deformation_m),
        head_contact=mirror.values(captured.head_contact), left=not captured.left)


@dataclass(frozen=True)
class TrueSize:
    """What is known of a person's size beside what the network says."""

    hand_length_m: float = 0.0
    """Wrist to middle tip; 0 = not measured."""
    eye_distance_m: float = 0.0
    """Eye to eye; 0 = not measured."""

    @classmethod
    def from_settings(cls, settings: Settings) -> TrueSize:
        """Return `scale.hand_length` and `scale.interpupillary_distance`."""
        return cls(settings.number('scale.hand_length'),
                   settings.number('scale.interpupillary_distance'))

    @property
    def is_measured(self) -> bool:
        """Tell whether the user measured something."""
        return self.hand_length_m > 0 or self.eye_distance_m > 0

    def scale(self, captured: Captured, hand: ParametricHand, head: ParametricHead) -> float:
        """
        Return true size over the network's; hand and head together, since they touch.

        Args:
            captured: with the shapes that the network sees.
            hand: the hand model, either side.
            head: the head model.
        """
        logs = []
        if self.hand_length_m > 0:
            logs.append(math.log(self.hand_length_m / hand.length_m(captured.shape)))
        if self.eye_distance_m > 0:
            logs.append(math.log(
                self.eye_distance_m / head.interpupillary_distance_m(captured.head_shape)))
        return math.exp(sum(logs) / len(logs)) if logs else 1.0

    def source(self, camera: Camera) -> ScaleSource:
        """Return what metric size and distance rest on."""
        if self.is_measured:
            return ScaleSource.CALIBRATED
        return ScaleSource.INTRINSICS if camera.calibrated else ScaleSource.PRIOR

    def depth_stddev_m(self, depth_m: float, camera: Camera) -> float:
        """Return one sigma [m] of the depth that hand and head share."""
        size = MEASURED_SIGMA if self.is_measured else HEAD_SIGMA
        lens = 0.0 if camera.calibrated else LENS_SIGMA
        return depth_m * math.sqrt(size ** 2 + lens ** 2 + FIT_SIGMA ** 2)
