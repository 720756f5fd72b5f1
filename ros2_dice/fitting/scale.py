# SPDX-License-Identifier: Apache-2.0
"""
Metric size and how far to trust it.

One picture gives depth only through size. Sizes come from what the user measured or kept of an
earlier session, else from mean anatomy; the lens adds its own share where it is assumed.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ros2_dice.bodies import OpenBodies
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.parameters import Settings
from ros2_dice.types import Camera, ScaleSource

HEAD_SIGMA = 0.04
"""Of log head size between adults."""
HAND_SIGMA = 0.065
"""Of log hand size between adults without a head to compare with."""
RATIO_SIGMA = 0.06
"""Of log hand size against head size, within one person."""
MEASURED_SIGMA = 0.015
"""Of a size that the user measured."""
LENS_SIGMA = 0.12
"""Of log focal length where the lens is assumed."""
FIT_SIGMA = 0.03
"""Of log depth from landmark errors and tilt."""


@dataclass(frozen=True)
class Ratio:
    """What is known beforehand of the natural logarithm of hand against head size."""

    log_ratio: float = 0.0
    sigma: float = RATIO_SIGMA


class ScaleModel:
    """
    Size priors from the settings.

    Args:
        bodies: whose mean sizes the measured ones are compared with.
        settings: `scale.*`.
    """

    def __init__(self, bodies: OpenBodies, settings: Settings) -> None:
        hand = settings.number('scale.hand_length')
        eyes = settings.number('scale.interpupillary_distance')
        self._hand = self._head = None
        if hand > 0:
            mean = bodies.hand_right.length_m(np.zeros(10))
            self._hand = SizePrior(math.log(hand / mean), MEASURED_SIGMA)
        if eyes > 0:
            mean = bodies.head.interpupillary_distance_m(np.zeros(bodies.head.identity_count))
            self._head = SizePrior(math.log(eyes / mean), MEASURED_SIGMA)
        kept = settings.number('scale.hand_to_head')
        self.ratio = Ratio() if kept <= 0 else Ratio(
            math.log(kept), settings.number('scale.hand_to_head_stddev'))
        """Of this person; what was measured counts more than what was kept."""
        if self._hand is not None and self._head is not None:
            self.ratio = Ratio(self._hand.log_scale - self._head.log_scale,
                               math.hypot(self._hand.sigma, self._head.sigma))

    def head(self) -> SizePrior:
        """Return the prior of the head's log size."""
        if self._head is not None:
            return self._head
        anatomy = SizePrior(0.0, HEAD_SIGMA)
        if self._hand is None:
            return anatomy
        return combined(anatomy, SizePrior(self._hand.log_scale - self.ratio.log_ratio,
                                           math.hypot(self._hand.sigma, self.ratio.sigma)))

    def hand(self, head_log_scale: float | None) -> SizePrior:
        """Return the prior of the hand's log size, beside a head of known size or alone."""
        if self._hand is not None:
            return self._hand
        if head_log_scale is None:
            return SizePrior(self.ratio.log_ratio, HAND_SIGMA)
        return SizePrior(head_log_scale + self.ratio.log_ratio, self.ratio.sigma)

    def source(self, camera: Camera) -> ScaleSource:
        """Return what the metric scale rests on."""
        if self._hand is not None or self._head is not None:
            return ScaleSource.CALIBRATED
        return ScaleSource.INTRINSICS if camera.calibrated else ScaleSource.PRIOR

    def depth_stddev_m(self, depth_m: float, camera: Camera, with_head: bool) -> float:
        """Return one sigma [m] of the depth that hand and face share."""
        size = self.head().sigma if with_head else self.hand(None).sigma
        lens = 0.0 if camera.calibrated else LENS_SIGMA
        return depth_m * math.sqrt(size ** 2 + lens ** 2 + FIT_SIGMA ** 2)


def combined(first: SizePrior, second: SizePrior) -> SizePrior:
    """Return the product of two Gaussian priors."""
    a, b = first.sigma ** -2, second.sigma ** -2
    return SizePrior((a * first.log_scale + b * second.log_scale) / (a + b), (a + b) ** -0.5)
