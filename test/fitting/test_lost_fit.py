# SPDX-License-Identifier: Apache-2.0
"""A hand that a cold fit once lost: its depth ran away to 12 m before the fingers fitted."""
from __future__ import annotations

import numpy as np

from ros2_dice.bodies import OpenBodies
from ros2_dice.fitting.gain import Smoothing
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.fitting.tracks import Context, HandTrack
from ros2_dice.landmarks import HandObservation, TrackedHand
from ros2_dice.landmarks.crop import Region
from ros2_dice.types import Camera, Handedness

# What the network sees in the mirror image of a picture of two hands that type.
POINTS_PX = np.array((
    (315.9, 54.2), (334.4, 77.6), (367.2, 96.1), (399.8, 109.4),
    (423.9, 119.9), (396.9, 57.4), (441.6, 87.3), (457.5, 110.5),
    (470.7, 130.7), (399.8, 49.2), (458.6, 66.0), (487.5, 88.8),
    (507.1, 110.0), (394.6, 51.4), (448.9, 65.7), (476.7, 81.6),
    (493.8, 95.2), (385.1, 61.6), (424.6, 74.9), (444.5, 83.2),
    (457.2, 89.6),
))
WORLD_MM = np.array((
    (-48, 2, 59), (-35, 9, 44), (-15, 12, 30), (-3, 17, 12),
    (11, 24, -6), (1, -4, -2), (12, 7, -9), (27, 21, -4),
    (39, 37, 0), (1, -2, -1), (23, -2, -12), (46, 13, -11),
    (67, 32, -2), (0, 3, 0), (15, 3, -5), (38, 9, -2),
    (58, 21, 8), (-8, 12, 12), (2, 11, 9), (21, 15, 8),
    (32, 23, 12),
))


def test_a_hand_is_not_put_metres_away_where_its_landmarks_are_met_nearby(
        bodies: OpenBodies) -> None:
    seen = HandObservation(POINTS_PX.astype(np.float32), np.zeros(21, np.float32),
                           (WORLD_MM * 1e-3).astype(np.float32), 0.9, 0.25,
                           Region(400.5, 78.8, 287.7, 1.68, True))
    hand = TrackedHand('one', Handedness.LEFT, 0.9, seen, True)
    context = Context(Camera(640, 480, 552.5, 552.5, 320.0, 240.0), 0, Smoothing(), 0.5)
    fitted = HandTrack(bodies).measure(hand, context, SizePrior(0.0, 0.065))
    assert fitted.fit is not None
    assert fitted.fit.cost < 100.0
    assert 0.35 < fitted.state.translation_m[2] < 0.6
