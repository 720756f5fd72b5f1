# SPDX-License-Identifier: Apache-2.0
"""
Collision, touchness and F-score of DICE and Decaf, and what these leave out.

The rules are those of the published evaluator (dice/check.md, section Metrics; decaf_spec.md,
section 4), on exact signed distances of the hand's points to the head's mesh. The published rule
that depths of 50 mm and more become 0 makes a buried hand perfect: it touches and does not
collide. `buried` counts such frames, and the strict ratios take them as collisions.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ros2_dice.evaluation.metrics import number
from ros2_dice.types import FloatArray

TOLERANCE_M = 0.005
"""A hand point this deep collides; a point this near, on either side, touches."""
LEAK_M = 0.05
"""The published evaluator takes deeper points for errors of the sign and sets them to 0."""


@dataclass(frozen=True)
class FramePlausibility:
    """One frame's answers."""

    collides: bool
    """Some point lies 5 mm deep or more, after the leak rule."""
    touches: bool
    """Some point lies within 5 mm of the surface, after the leak rule."""
    collision_distance_m: float
    """Sum of the depths over the number of hand points."""
    buried: bool
    """Some point lies more than 50 mm deep, before the leak rule."""
    deepest_m: float
    """Largest depth, before the leak rule; negative = the hand is outside."""

    @classmethod
    def of(cls, signed_m: FloatArray) -> FramePlausibility:
        """
        Judge one frame.

        Args:
            signed_m: (N,) distance of each hand point to the head [m], negative inside.
        """
        raw = -np.asarray(signed_m, np.float64)
        depth = np.where(raw >= LEAK_M, 0.0, raw)
        return cls(bool((depth >= TOLERANCE_M).any()), bool((np.abs(depth) <= TOLERANCE_M).any()),
                   float(depth[depth >= 0].sum() / len(depth)), bool((raw > LEAK_M).any()),
                   float(raw.max()))


@dataclass(frozen=True)
class Plausibility:
    """Counts over frames; ratios in percent, as published."""

    frames: int
    non_colliding: int
    truly_touching: int
    """Frames whose truth touches; touchness counts only these."""
    touching: int
    """Of those, frames whose prediction touches."""
    collision_distance_sum_m: float
    buried: int
    strictly_non_colliding: int
    """Non-colliding and not buried."""
    strictly_touching: int
    """Touching and not buried, where the truth touches."""

    @classmethod
    def of(cls, predicted: Iterable[FramePlausibility],
           truth_touches: Iterable[bool]) -> Plausibility:
        """Count frames, given whether the truth touches in each."""
        pairs = list(zip(predicted, truth_touches, strict=True))
        wanted = [frame for frame, touches in pairs if touches]
        frames = [frame for frame, _ in pairs]
        return cls(len(frames), sum(not f.collides for f in frames), len(wanted),
                   sum(f.touches for f in wanted), sum(f.collision_distance_m for f in frames),
                   sum(f.buried for f in frames),
                   sum(not (f.collides or f.buried) for f in frames),
                   sum(f.touches and not f.buried for f in wanted))

    @property
    def non_collision_ratio(self) -> float:
        """Percent of the frames that don't collide."""
        return _percent(self.non_colliding, self.frames)

    @property
    def touchness_ratio(self) -> float:
        """Percent that touches of the frames whose truth does."""
        return _percent(self.touching, self.truly_touching)

    @property
    def collision_distance_m(self) -> float:
        """Mean over all frames [m]."""
        return self.collision_distance_sum_m / self.frames if self.frames else float('nan')

    @property
    def f_score(self) -> float:
        """Harmonic mean of the two ratios."""
        return _harmonic(self.non_collision_ratio, self.touchness_ratio)

    @property
    def strict_f_score(self) -> float:
        """The same with buried frames as collisions that don't touch."""
        return _harmonic(_percent(self.strictly_non_colliding, self.frames),
                         _percent(self.strictly_touching, self.truly_touching))

    def as_json(self) -> dict[str, float | int | None]:
        """Return ratios in percent and distances in millimetres."""
        return {
            'frames': self.frames, 'frames_truly_touching': self.truly_touching,
            'non_collision_percent': number(self.non_collision_ratio),
            'touchness_percent': number(self.touchness_ratio),
            'f_score_percent': number(self.f_score),
            'collision_distance_mm': number(1e3 * self.collision_distance_m),
            'buried_frames': self.buried,
            'strict_f_score_percent': number(self.strict_f_score),
        }


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else float('nan')


def _harmonic(a: float, b: float) -> float:
    if not a + b:
        return 0.0
    return 2 * a * b / (a + b)
