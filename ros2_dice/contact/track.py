# SPDX-License-Identifier: Apache-2.0
"""What is remembered of one hand's touching, from frame to frame."""
from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ros2_dice.contact.evidence import Fits
from ros2_dice.contact.movement import Look, Movement
from ros2_dice.contact.settle import NO_CORRECTION, Correction
from ros2_dice.contact.touch import probability
from ros2_dice.fitting.gain import Smoothing
from ros2_dice.fitting.smooth import DEPTH_SPEED_CUTOFF_HZ, OneEuro

MEMORY_S = 0.08
"""Time constant of the running mean of the log odds."""
HYSTERESIS = 0.3
"""A touch begins when the evidence passes +0.3 (p = 0.57) and ends when it passes -0.3 (0.43)."""
DEPTH_SMOOTHING, DEPTH_CALM, DEPTH_NOISE_MPS = Smoothing(True, 1.0, 15.0), 0.3, 0.15
"""Of the depth at which the hand touches: as of its fit (`fitting.smooth`)."""
DEPTH_LEVER_M = 0.6
"""A hand that touches is about so far away: metres for one unit of its log depth."""
LEAST_STEP_S = 1e-3
"""For stamps that stand still."""
RELEASE_S = 0.10
"""Time constant with which a hand that left goes back to its fitted depth."""
FORGET_S = 0.5
"""After a gap this long a hand starts afresh."""
UNSEEN_WEIGHT = 10.0
"""Log odds a second against a touch of a hand that is only carried on: what touches is seen."""


def _depth_filter() -> OneEuro:
    return OneEuro(DEPTH_LEVER_M, DEPTH_CALM, DEPTH_NOISE_MPS, DEPTH_SPEED_CUTOFF_HZ)


@dataclass
class TouchTrack:
    """State of one hand; `update` once per frame."""

    stamp_ns: int | None = None
    log_odds: float = 0.0
    touching: bool = False
    decided: bool = False
    """False until the first verdict, which needs no hysteresis."""
    fits: Fits = Fits()
    """Of the last frame that was measured."""
    depth_sigma: float = 0.1
    """One sigma of the log depth against the skin, in the last frame."""
    depth_shift: float = 0.0
    """Log factor that the hand was moved by along its viewing rays."""
    correction: Correction = NO_CORRECTION
    """What settling added in the last frame of touching."""
    unseen_s: float = 0.0
    """Since the hand was last measured."""
    movement: Movement = field(default_factory=Movement)
    _depth: OneEuro = field(default_factory=_depth_filter)

    def elapsed_s(self, stamp_ns: int) -> float:
        """Return the seconds since the last frame; 0 where the past does not count."""
        if self.stamp_ns is None:
            return 0.0
        elapsed_s = (stamp_ns - self.stamp_ns) * 1e-9
        return elapsed_s if 0.0 <= elapsed_s < FORGET_S else 0.0

    def update(self, look: Look, stamp_ns: int) -> float:
        """
        Take in one frame.

        Args:
            look: what it says.
            stamp_ns: of the frame [ns].

        Returns:
            The probability of touching, with memory and hysteresis: at least 0.5 exactly when the
            verdict is a touch.
        """
        elapsed_s = math.inf if self.stamp_ns is None else (stamp_ns - self.stamp_ns) * 1e-9
        self.stamp_ns = stamp_ns
        if not 0.0 <= elapsed_s < FORGET_S:
            self.decided, self.touching, elapsed_s = False, False, math.inf
            self.depth_shift, self.correction, self.unseen_s = 0.0, NO_CORRECTION, 0.0
            self.movement = Movement()
        self.movement.see(look, elapsed_s)
        self.unseen_s = 0.0 if look.measured or not self.decided else self.unseen_s + elapsed_s
        log_odds = look.log_odds - UNSEEN_WEIGHT * self.unseen_s
        self.log_odds += (log_odds - self.log_odds) * _share(elapsed_s, MEMORY_S)
        was_touching = self.touching
        shown = probability(self.log_odds + self._bias(look))
        self.touching, self.decided = shown >= 0.5, True
        if self.touching:
            self._stay(look, elapsed_s, was_touching)
        else:
            if was_touching:  # to begin again it has to be seen touching again
                self.log_odds = min(self.log_odds, -HYSTERESIS)
            self.movement.leave()
            self.depth_shift -= self.depth_shift * _share(elapsed_s, RELEASE_S)
        return shown

    def _bias(self, look: Look) -> float:
        """Return what the past adds to the log odds."""
        if not self.decided:
            return 0.0
        if self.touching:
            return HYSTERESIS - self.movement.against_stay(look)
        return -HYSTERESIS - self.movement.against_begin()

    def _stay(self, look: Look, elapsed_s: float, was_touching: bool) -> None:
        self.movement.rest(look, elapsed_s)
        if math.isfinite(look.shift):
            if not was_touching:
                self._depth = _depth_filter()
            # Where rays graze the skin its depth trembles far more than the hand does.
            depth = self._depth.update(np.array((look.shift,)), max(elapsed_s, LEAST_STEP_S),
                                       DEPTH_SMOOTHING)
            self.depth_shift = float(depth[0])


def _share(elapsed_s: float, memory_s: float) -> float:
    """Return how much of the new value a running mean takes in."""
    return 1.0 if math.isinf(elapsed_s) else 1.0 - math.exp(-elapsed_s / memory_s)
