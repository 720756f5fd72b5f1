# SPDX-License-Identifier: Apache-2.0
"""Time of frames whose stamps may stand still."""
from __future__ import annotations

NOMINAL_STEP_NS = 33_333_333
"""From a frame to the next one with the same stamp [ns]."""


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
