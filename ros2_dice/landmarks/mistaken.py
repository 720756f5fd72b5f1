# SPDX-License-Identifier: Apache-2.0
"""Palms and fists that pass for faces."""
from __future__ import annotations

import cv2

from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.proportion import log_depth_ratio

_COVERED = 0.45
"""Share of a face's landmarks within a hand's outline from which the hand would hide the face."""
_NEARER = -0.35
"""Log depth of such a hand over the face's, below which it is the hand itself that is seen."""


def is_part_of_hand(face: FaceObservation, hand: HandObservation) -> bool:
    """
    Whether a new face is nothing but the creases of a palm or the knuckles of a fist.

    Such a face lies in the hand and is small beside it, as if it were far behind. In 160 crops
    around the hands of photographs, four ways up, it passed six times: 56 to 90 % of it lay in
    the hand, with log depths of -0.51 to -0.92. Hands that touch a real face cover at most 61 % of
    it (log depth above -0.15), and a thumb held out to the camera covers a fifth (-0.5).
    """
    if not log_depth_ratio(hand, face) < _NEARER:
        return False
    outline = cv2.convexHull(hand.points_px)
    inside = sum(cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0
                 for x, y in face.points_px)
    return inside >= _COVERED * len(face.points_px)
