# SPDX-License-Identifier: Apache-2.0
"""Where a hand that moves fast will be in the next frame."""
from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_CHANGE = 0.5
"""A motion goes on if it changed by less than this fraction of itself."""
_LONGEST_S = 0.1
"""Longer gaps than this between frames tell nothing about the next one."""


class Motion:
    """Speed in the picture, believed once two steps in a row agree."""

    def __init__(self) -> None:
        self._place: npt.NDArray[np.float64] | None = None
        self._stamp_ns = 0
        self._speed = np.zeros(2)
        self._steady = False

    def add(self, place_px: npt.ArrayLike, stamp_ns: int) -> None:
        """Count one sight at a place (2,) [px]."""
        place = np.asarray(place_px, np.float64)
        gap_s = (stamp_ns - self._stamp_ns) * 1e-9
        speed, before = np.zeros(2), self._speed
        if self._place is not None and 0 < gap_s <= _LONGEST_S:
            speed = (place - self._place) / gap_s
        change = math.hypot(*(speed - before).tolist())
        self._steady = change < _CHANGE * math.hypot(*speed.tolist())
        self._place, self._stamp_ns, self._speed = place, stamp_ns, speed

    def step_px(self, stamp_ns: int) -> tuple[float, float]:
        """Return the step (x, y) [px] to expect from the last sight to this frame, 0 if unsure."""
        gap_s = (stamp_ns - self._stamp_ns) * 1e-9
        if not self._steady or not 0 < gap_s <= _LONGEST_S:
            return 0.0, 0.0
        return float(self._speed[0]) * gap_s, float(self._speed[1]) * gap_s
