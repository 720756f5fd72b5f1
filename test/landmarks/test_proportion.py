# SPDX-License-Identifier: Apache-2.0
"""Depth from sizes, and faces that the edge cuts off."""
from __future__ import annotations

import math

import numpy as np
import pytest
from scene import FakeFace, FakeHand, Scene, Thing

from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.partial import beyond_edge
from ros2_dice.landmarks.proportion import log_depth_ratio
from ros2_dice.types import Frame

FRAME = Frame(np.zeros((480, 640, 3), np.uint8))


def seen(face_px: float, hand_px: float) -> tuple[HandObservation, FaceObservation]:
    """Return a hand and a face of these sizes."""
    scene = Scene([Thing(320, 200, face_px)], [Thing(300, 260, hand_px)])
    return (FakeHand(scene).observe(FRAME, Region(300, 260, hand_px, 0.0)),
            FakeFace(scene).observe(FRAME, Region(320, 200, face_px, 0.0)))


def test_log_depth_ratio() -> None:
    """Half the size is twice as far; the picture's scale does not matter."""
    near = log_depth_ratio(*seen(100, 110))
    assert abs(near) < 0.2
    assert log_depth_ratio(*seen(100, 55)) == pytest.approx(near + math.log(2.0), abs=1e-5)
    assert log_depth_ratio(*seen(200, 220)) == pytest.approx(near, abs=1e-5)


def test_log_depth_ratio_of_nothing_is_finite() -> None:
    """Landmarks that all lie in one place raise nothing."""
    hand, face = seen(100, 110)
    flat = HandObservation(hand.points_px * 0, hand.depth_px, hand.world_m * 0, 0.0, 0.5, hand.roi)
    assert math.isfinite(log_depth_ratio(flat, face))


def test_beyond_edge() -> None:
    """Only a face whose forehead is outside is looked at in a larger square, farther out."""
    assert beyond_edge(FRAME, Region(320, 240, 200, 0.3)) is None
    top = beyond_edge(FRAME, Region(320, 20, 200, 0.0))
    assert top is not None
    assert top.cy_px < 20
    assert top.cx_px == pytest.approx(320)
    assert top.size_px > 200
    assert beyond_edge(FRAME, Region(320, 460, 200, 0.0)) is None, 'the chin is outside'
    upside_down = beyond_edge(FRAME, Region(320, 460, 200, math.pi))
    assert upside_down is not None
    assert upside_down.cy_px > 460
    assert beyond_edge(FRAME, Region(-900, -900, 200, 0.0)) is None
