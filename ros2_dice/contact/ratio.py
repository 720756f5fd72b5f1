# SPDX-License-Identifier: Apache-2.0
"""
How large one person's hands are against the head, learnt while the person is watched.

One camera knows a hand's depth only through its size. A hand that is seen is never behind the
skin, and one that stops before the face touches it often: over several approaches the depths at
which hands end up tell how much larger or smaller than the mean they are. Each approach counts
once, however long the hand stays: within one approach neither the gap nor the landmarks' errors
change much, so that a second look is no second witness.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from ros2_dice.contact.touch import DepthNoise

FloatArray = npt.NDArray[np.floating]

NU = 4.0
"""Degrees of freedom of Student's t: depths have heavy tails."""
TOUCHES = 0.5
"""Share of the approaches that end in a touch."""
FREE_RANGE = 0.5
"""Log depths before the skin over which a free hand is spread."""
APPROACH_S = 0.6
"""An approach has had its say after so long near the face."""
WITNESS = 0.5
"""What one approach counts: hands come to rest at the same few poses, whose depths err alike. With
1 the stated sigma is too small by a fifth after ten approaches."""
AWAY_ODDS = -3.0
"""A hand with lower log odds of touching has gone; when it comes back is a new approach."""
_REACH = 4.0
_STEPS = 161


class LearntRatio(NamedTuple):
    """What a session has learnt of one person; may be kept for the next one."""

    hand_to_head: float
    """Hand size over head size, 1 = mean anatomy."""
    stddev: float
    """One sigma, as a fraction."""
    approaches: float
    """Hands that came to the face so far."""


class PersonRatio:
    """
    What is believed of one person's hand size against the head.

    Args:
        sigma: one sigma of its logarithm between people, or of what was measured or kept.
        log_ratio: its logarithm as known beforehand; `mean` counts from here.
    """

    def __init__(self, sigma: float, log_ratio: float = 0.0) -> None:
        self.prior = log_ratio, sigma
        self.approaches = 0.0
        self._grid = np.linspace(-_REACH * sigma, _REACH * sigma, _STEPS)
        self._log_belief: FloatArray = -0.5 * (self._grid / sigma) ** 2
        self._left: dict[str, float] = {}
        self.mean, self.sigma = 0.0, sigma

    def update(self, hand_id: str, factor: float, noise: DepthNoise, log_odds: float,
               elapsed_s: float) -> None:
        """
        Take in one frame.

        Args:
            hand_id: of the hand.
            factor: log factor of its depth to the skin under the mean ratio, inf = none.
            noise: error of this factor, beside that of the ratio.
            log_odds: of this hand touching.
            elapsed_s: since the last frame.
        """
        if log_odds < AWAY_ODDS or not math.isfinite(factor):
            self._left[hand_id] = 1.0
            return
        share = min(max(elapsed_s, 0.0) / APPROACH_S, self._left.setdefault(hand_id, 1.0))
        if share <= 0.0:
            return
        self._left[hand_id] -= share
        self.approaches += share
        z = (factor - noise.mean - self._grid) / noise.sigma
        touching = TOUCHES * _density(z) / noise.sigma
        free = (1.0 - TOUCHES) * stdtr(NU, z) / FREE_RANGE
        self._log_belief = self._log_belief + WITNESS * share * np.log(touching + free + 1e-9)
        belief = np.exp(self._log_belief - self._log_belief.max())
        belief /= belief.sum()
        self.mean = float(belief @ self._grid)
        self.sigma = math.sqrt(max(float(belief @ (self._grid - self.mean) ** 2), 1e-8))

    def learnt(self) -> LearntRatio:
        """Return what is believed now."""
        return LearntRatio(math.exp(self.prior[0] + self.mean), self.sigma, self.approaches)


def _density(z: FloatArray) -> FloatArray:
    norm = math.exp(math.lgamma(0.5 * (NU + 1.0)) - math.lgamma(0.5 * NU)) / math.sqrt(
        NU * math.pi)
    return norm * (1.0 + z * z / NU) ** (-0.5 * (NU + 1.0))
