# SPDX-License-Identifier: Apache-2.0
"""Which face points a hand hides."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ros2_dice.landmarks.hand import BONES
from ros2_dice.types import FloatArray

COVERED_TRUST = 0.25
"""The network guesses covered points from the rest of the face: some say, not all."""
FINGER_WIDTH = 0.13
"""Half a finger with its shadow, as a fraction of wrist to middle knuckle."""
_STROKES = np.vstack((BONES, np.array(((5, 9), (9, 13), (13, 17)))))
"""(23, 2) landmarks whose connections cover the skin: the bones, and across the knuckles."""


def trust_beside_hands(face_px: FloatArray, hands_px: Sequence[FloatArray]) -> FloatArray | None:
    """
    Return how far each face point counts, (468,) 0 to 1; None = no hand is near.

    Args:
        face_px: (468, 2) [px].
        hands_px: (21, 2) [px] each.
    """
    trust = None
    low, high = face_px.min(axis=0), face_px.max(axis=0)
    for hand_px in hands_px:
        width = FINGER_WIDTH * math.dist(hand_px[9], hand_px[0])
        first, last = hand_px.min(axis=0) - width, hand_px.max(axis=0) + width
        if (last < low).any() or (first > high).any():
            continue
        near = np.flatnonzero(((face_px > first) & (face_px < last)).all(axis=1))
        ends = hand_px[_STROKES].transpose(1, 2, 0)  # (2, 2, B)
        start_x, start_y = ends[0]
        bone_x, bone_y = ends[1] - ends[0]
        face_x, face_y = face_px[near].T
        x, y = face_x[:, None] - start_x, face_y[:, None] - start_y
        along = (x * bone_x + y * bone_y) / np.maximum(bone_x * bone_x + bone_y * bone_y, 1e-9)
        np.clip(along, 0.0, 1.0, out=along)
        x -= along * bone_x
        y -= along * bone_y
        covered = near[(x * x + y * y).min(axis=1) < width ** 2]
        if len(covered):
            trust = np.ones(len(face_px)) if trust is None else trust
            trust[covered] = COVERED_TRUST
    return trust
