# SPDX-License-Identifier: Apache-2.0
"""
One-euro filters over what the network says about one hand and head, and over where they are.

Parameters are filtered, not vertices, so that every mesh is one that the bodies can take on. The
hand is filtered against the head and both are placed together: a moving head leaves the contact
between them as it is.
"""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ros2_dice.bodies.rotation import rotation_matrix, rotation_vector
from ros2_dice.dice.placement import Placement
from ros2_dice.dice.postprocess import Captured, FrameOneEuro, Outputs
from ros2_dice.fitting.smooth import (
    ANGLE_LEVER_M,
    DEPTH_CALM,
    DEPTH_NOISE_MPS,
    DEPTH_SPEED_CUTOFF_HZ,
    EXPRESSION_LEVER_M,
    HAND_LEVER_M,
    HEAD_LEVER_M,
    RAY_CALM,
    OneEuro,
    RotationOneEuro,
    Smoothing,
)
from ros2_dice.types import FloatArray

_SHAPE_CALM = 0.3
"""Shapes do not change with time, only what is known of them."""
_CONTACT_CALM = 4.0
"""Contact begins and ends at once; it is only kept from flickering."""


class OutputFilter:
    """Filters the outputs for one hand of one person."""

    def __init__(self) -> None:
        self._turns = {name: RotationOneEuro(lever) for name, lever in (
            ('rh_rot', HAND_LEVER_M), ('face_root', HEAD_LEVER_M), ('face_rot', HEAD_LEVER_M))}
        # A lever of zero: no speed opens the filter.
        self._lines = {
            'offset': OneEuro(), 'rh_pose': OneEuro(ANGLE_LEVER_M), 'jaw': OneEuro(ANGLE_LEVER_M),
            'face_exp': OneEuro(EXPRESSION_LEVER_M),
            'rh_betas': OneEuro(0.0, _SHAPE_CALM), 'face_shape': OneEuro(0.0, _SHAPE_CALM),
            'deform_ungated': OneEuro(0.0, _CONTACT_CALM),
            'hand_contact': OneEuro(0.0, _CONTACT_CALM),
            'head_contact': OneEuro(0.0, _CONTACT_CALM), 'presence': OneEuro(0.0, _CONTACT_CALM)}

    def update(self, seen: Outputs, dt_s: float, smoothing: Smoothing) -> Outputs:
        """
        Return the filtered outputs.

        Args:
            seen: of this frame, finite.
            dt_s: since the last one, positive.
            smoothing: strength.

        The camera is not filtered here but with the place; all translations are against the head.
        """
        if not smoothing.enabled:
            return seen

        def line(name: str, values: FloatArray) -> FloatArray:
            return self._lines[name].update(values, dt_s, smoothing)

        def turn(name: str, vector: FloatArray) -> FloatArray:
            return rotation_vector(self._turns[name].update(
                rotation_matrix(vector), dt_s, smoothing))

        return replace(
            seen, rh_rot=turn('rh_rot', seen.rh_rot), face_rot=turn('face_rot', seen.face_rot),
            face_pose=np.concatenate((turn('face_root', seen.face_pose[:3]),
                                      line('jaw', seen.face_pose[3:]))),
            rh_transl=line('offset', seen.rh_transl - seen.face_transl),
            face_transl=np.zeros(3),
            presence=float(line('presence', np.array([seen.presence]))[0]),
            **{name: line(name, getattr(seen, name)) for name in (
                'rh_pose', 'face_exp', 'rh_betas', 'face_shape', 'deform_ungated',
                'hand_contact', 'head_contact')})


class PlaceFilter:
    """Filters where a person's head is: as viewing ray and log of depth."""

    def __init__(self) -> None:
        self._ray = OneEuro(calm=RAY_CALM)
        self._depth = OneEuro(calm=DEPTH_CALM, noise_mps=DEPTH_NOISE_MPS,
                              speed_cutoff_hz=DEPTH_SPEED_CUTOFF_HZ)

    def update(self, seen: Placement, dt_s: float, smoothing: Smoothing) -> Placement:
        """Return the filtered placement; `seen` lies in front of the camera, `dt_s` > 0."""
        if not smoothing.enabled:
            return seen
        depth_m = float(seen.translation_m[2])
        self._ray.lever_m = self._depth.lever_m = depth_m
        ray = self._ray.update(seen.translation_m[:2] / depth_m, dt_s, smoothing)
        log_depth = self._depth.update(np.array([math.log(depth_m)]), dt_s, smoothing)
        return seen.at(math.exp(float(log_depth[0])) * np.append(ray, 1.0))


class ScriptFilter:
    """The published script's filter: over the merged vertices, hand first, in frames from 1."""

    def __init__(self) -> None:
        self._series = FrameOneEuro()
        self._count = 0

    def update(self, captured: Captured) -> Captured:
        """Return a capture whose vertices are filtered, the rest as it is."""
        self._count += 1
        hand = captured.hand.vertices_m
        merged = self._series.update(
            np.concatenate((hand, captured.deformed_head_m)), float(self._count))
        head = merged[len(hand):] - captured.deformation_m
        return replace(captured, hand=replace(captured.hand, vertices_m=merged[:len(hand)]),
                       head=replace(captured.head, vertices_m=head))
