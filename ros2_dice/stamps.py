# SPDX-License-Identifier: Apache-2.0
"""Time of frames whose stamps may stand still or go back."""
from __future__ import annotations

import math

NOMINAL_STEP_S = 1.0 / 30.0
"""From a frame to the next one with the same stamp."""
NOMINAL_STEP_NS = 33_333_333


class FrameClock:
    """
    Gives each frame a time that goes on where its stamp does not.

    A camera without stamps sends zeros. What is predicted would never end then, and what needs
    several frames, such as a touch, would never begin.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._added_ns = 0

    def time_ns(self, stamp_ns: int) -> int:
        """Return the time of the next frame [ns]; it goes back where the stamp does."""
        if stamp_ns == self._last_ns:
            self._added_ns += NOMINAL_STEP_NS
        self._last_ns = stamp_ns
        return stamp_ns + self._added_ns


class StepClock:
    """Time between the measurements of one thing."""

    def __init__(self) -> None:
        self.stamp_ns: int | None = None
        """Of the last measurement."""

    def gap_s(self, stamp_ns: int) -> float:
        """Return the seconds since the last measurement; infinite before the first."""
        return math.inf if self.stamp_ns is None else (stamp_ns - self.stamp_ns) * 1e-9

    def step_s(self, stamp_ns: int, memory_s: float) -> float | None:
        """Return the seconds to this measurement; None = the past does not count any more."""
        gap_s = self.gap_s(stamp_ns)
        self.stamp_ns = stamp_ns
        if not 0.0 <= gap_s <= memory_s:
            return None
        return gap_s or NOMINAL_STEP_S
