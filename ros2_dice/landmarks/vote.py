# SPDX-License-Identifier: Apache-2.0
"""Left or right: one vote a frame, because a hand does not change sides while it is followed."""
from __future__ import annotations

import math

_CERTAIN = 4.0
"""Log odds from which a side is settled: two or three clear frames."""
_MOST = 12.0
"""Log odds are kept below this, so that an early mistake can be outvoted."""


class SideVote:
    """Log odds that the hand looks like a right hand in the picture."""

    def __init__(self) -> None:
        self.log_odds = 0.0

    def add(self, right_probability: float, weight: float = 1.0) -> None:
        """Count one frame's probability."""
        p = min(max(right_probability, 0.02), 0.98)
        total = self.log_odds + weight * math.log(p / (1.0 - p))
        self.log_odds = min(max(total, -_MOST), _MOST)

    @property
    def looks_right(self) -> bool:
        """Whether right is the more likely side in the picture."""
        return self.log_odds >= 0.0

    @property
    def settled(self) -> bool:
        """Whether enough frames agree."""
        return abs(self.log_odds) >= _CERTAIN

    @property
    def confidence(self) -> float:
        """Probability of the more likely side, 0.5 to 1."""
        return 1.0 / (1.0 + math.exp(-abs(self.log_odds)))
