# SPDX-License-Identifier: Apache-2.0
"""
How a hand moves against the face: what tells when a touch begins and when it ends.

Within one touch the errors of size and landmarks hardly change. So the change of a depth says far
sooner than the depth itself that a finger is leaving; and a hand that rushes past the face in the
picture has not stopped at it.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ros2_dice.types import FloatArray

PASSING, PASSING_WEIGHT = 1.5, 3.0
"""Speed in the picture, in face widths a second, from which a touch hardly begins, and the log
odds against it for each further one. Fingers that do touch rub faster than that."""
SPEED_MEMORY_S = 0.06
REST_MEMORY_S = 0.2
"""Time constant of the place at which a touching hand rests."""
DEPTH_SLACK, DEPTH_WEIGHT = 0.02, 50.0
"""Change of the log depth that landmarks make by themselves, and the log odds against a touch for
each unit beyond it."""
GAP_SLACK, GAP_WEIGHT = 0.02, 20.0
"""Likewise of the gap in the picture, in face widths."""
MOST = 4.0
"""Log odds that leaving may have against a touch."""
_FAR = 1.0


class Look(NamedTuple):
    """What one frame says about one hand."""

    log_odds: float
    """Of a touch, by this frame alone."""
    depth_factor: float = math.inf
    """Log factor to the skin; inf = its rays miss it."""
    shift: float = math.inf
    """Log factor by which a touching hand is moved along its rays; inf = it stays where it is."""
    picture_gap: float = math.inf
    """Between hand and face, in face widths."""
    place: FloatArray | None = None
    """(2,) the middle of the hand's landmarks from that of the face's, in face widths."""
    measured: bool = True
    """False = the hand was not seen in this frame, and is only carried on."""


class Movement:
    """State of one hand; `see` once per frame."""

    def __init__(self) -> None:
        self.speed = 0.0
        """Against the face, in the picture [face widths / s]."""
        self._place: FloatArray | None = None
        self._rest_depth, self._rest_gap = math.inf, _FAR

    def see(self, look: Look, elapsed_s: float) -> None:
        """Take in where the hand is; `elapsed_s` since the last frame, > 0."""
        if look.place is not None and self._place is not None and elapsed_s > 0.0:
            speed = float(np.linalg.norm(look.place - self._place)) / elapsed_s
            self.speed += (speed - self.speed) * -math.expm1(-elapsed_s / SPEED_MEMORY_S)
        self._place = look.place

    def against_begin(self) -> float:
        """Return the log odds against a touch that begins now, as the hand is passing."""
        return PASSING_WEIGHT * max(0.0, self.speed - PASSING)

    def against_stay(self, look: Look) -> float:
        """Return the log odds against a touch that lasts, as the hand has left its rest."""
        if math.isinf(self._rest_depth):
            return 0.0
        odds = GAP_WEIGHT * max(0.0, min(look.picture_gap, _FAR) - self._rest_gap - GAP_SLACK)
        if math.isfinite(look.depth_factor):
            odds += DEPTH_WEIGHT * max(0.0, look.depth_factor - self._rest_depth - DEPTH_SLACK)
        return min(odds, MOST)

    def rest(self, look: Look, elapsed_s: float) -> None:
        """Take in a frame of touching."""
        if math.isinf(look.depth_factor):
            return
        share = 1.0 if math.isinf(self._rest_depth) else -math.expm1(-elapsed_s / REST_MEMORY_S)
        gap = min(look.picture_gap, _FAR)
        if share == 1.0:
            self._rest_depth, self._rest_gap = look.depth_factor, gap
        else:
            self._rest_depth += (look.depth_factor - self._rest_depth) * share
            self._rest_gap += (gap - self._rest_gap) * share

    def leave(self) -> None:
        """Forget where the hand rested: it does not touch."""
        self._rest_depth, self._rest_gap = math.inf, _FAR
