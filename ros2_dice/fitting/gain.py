# SPDX-License-Identifier: Apache-2.0
"""
How much of a new measurement a filter takes over: by its speed, its noise and its lasting error.

The rule of the one-euro filter (Casiez, Roussel, Vogel, CHI 2012), cutoff = rest + beta * speed,
with two things more. How noisy the measurements are is learnt while they come in: hands of 40
pixels are ten times noisier in metres than near ones, and what is right for one is wrong for the
other. And a filter as calm as that may stand still only as far as noise can explain: what lasts
beyond that is motion, however slow, and is made up for at once.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ros2_dice.types import FloatArray

Cutoff = TypeVar('Cutoff', float, FloatArray)

CALM_NOISE_M = 0.0005
"""Noise at which the cutoff at rest is the one that was asked for; it falls as noise grows."""
LEAST_CALM = 0.05
"""The cutoff at rest falls to this share of itself, no lower."""
NOISE_MEMORY_S = 1.5
"""Time constant of the noise that is learnt."""
OUTLIER = 3.0
"""A measurement counts for at most so many sigmas in it."""
LEAST_NOISE_M = 1e-4
"""A fresh outlier counts as so much at least: a picture that never changed has no noise at all."""
KNOWN_FROM = 5
"""Measurements from which the noise is believed."""
SURE = 4.0
"""An error that lasts, in sigmas of its running mean, beyond which it is motion."""
SURE_SPEED = 2.5
"""A speed, in sigmas of the filtered speed, below which it may be noise."""
LASTING_HZ = 1.5
"""Cutoff of the running mean of the error."""
_THIRD_DIFFERENCE = 20.0
"""Variance of the third difference of white noise (1 + 9 + 9 + 1)."""


@dataclass(frozen=True)
class Smoothing:
    """Strength of the filters; `enabled` False passes measurements through."""

    enabled: bool = True
    min_cutoff_hz: float = 1.0
    beta: float = 8.0
    """Hz for each metre a second."""


class Gain:
    """
    The gain of one filter, for vectors of any length.

    Args:
        calm: factor on the cutoff at rest.
        noise_mps: speed below which the filter hardly opens [m/s], whatever the noise.
        speed_cutoff_hz: of the speed's own low-pass.
    """

    def __init__(self, calm: float, noise_mps: float, speed_cutoff_hz: float) -> None:
        self._calm, self._noise_mps, self._cutoff_hz = calm, noise_mps, speed_cutoff_hz
        self.rate: FloatArray | float = 0.0
        """Filtered speed, units a second."""
        self._lasting: FloatArray | float = 0.0
        self._step: FloatArray | None = None
        self._bend: FloatArray | None = None
        self._dt_s = 1.0
        self._variance = 0.0
        self._known = 0

    def share(self, step: FloatArray, error: FloatArray, dt_s: float, lever_m: float,
              smoothing: Smoothing) -> float:
        """
        Return how much (0 to 1) of the error the filter shall make up for.

        Args:
            step: from the last measurement to this one, of any shape.
            error: from the filtered value to this measurement, of the same shape.
            dt_s: since the last measurement, > 0.
            lever_m: metres at the surface for one unit.
            smoothing: cutoff at rest, and how it opens with speed.
        """
        of_speed = low_pass_share(self._cutoff_hz, dt_s)
        self.rate = self.rate + of_speed * (step / dt_s - self.rate)
        noise_m = math.sqrt(self._learnt_variance(np.ravel(step) * lever_m, dt_s))
        # The more components there are, the less their length varies by chance.
        spread = step.size ** (-1.0 / 3.0)
        chance_mps = noise_m / dt_s * of_speed * math.sqrt(2.0 / (2.0 - of_speed))
        chance_mps *= 1.0 + (SURE_SPEED - 1.0) * spread
        speed_mps = max(0.0, lever_m * _length(self.rate) - chance_mps)
        calm = self._calm * max(LEAST_CALM, min(1.0, CALM_NOISE_M / max(noise_m, 1e-9)))
        share = low_pass_share(
            smoothing.min_cutoff_hz * calm + smoothing.beta * _clear(speed_mps, self._noise_mps),
            dt_s)

        of_mean = low_pass_share(LASTING_HZ, dt_s)
        self._lasting = self._lasting + of_mean * (error - self._lasting)
        if self._known >= KNOWN_FROM:
            lasting_m = lever_m * _length(self._lasting)
            allowed_m = noise_m * math.sqrt(of_mean / (2.0 - of_mean)) * (
                1.0 + (SURE - 1.0) * spread)
            if lasting_m > allowed_m:
                share = max(share, 1.0 - allowed_m / lasting_m)
        self._lasting = self._lasting * (1.0 - share)  # as the value is about to move
        return share

    def _learnt_variance(self, step_m: FloatArray, dt_s: float) -> float:
        """Return the variance [m^2] of the measurements, all components together."""
        # Third differences know no place, no speed and no acceleration, only what is not smooth.
        before, bend_before = self._step, self._bend
        self._bend = None if before is None else step_m - before * (dt_s / self._dt_s)
        self._step, self._dt_s = step_m, dt_s
        if self._bend is None or bend_before is None:
            return self._variance
        third = self._bend - bend_before
        square = float(third @ third) / _THIRD_DIFFERENCE
        self._known += 1
        if self._known > KNOWN_FROM:
            square = min(square, OUTLIER ** 2 * max(self._variance, LEAST_NOISE_M ** 2))
        self._variance += max(1.0 / self._known, min(1.0, dt_s / NOISE_MEMORY_S)) * (
            square - self._variance)
        return self._variance


def low_pass_share(cutoff_hz: Cutoff, dt_s: float) -> Cutoff:
    """Return the weight of a new sample in a first-order low-pass, for each cutoff."""
    turn = 2.0 * math.pi * cutoff_hz * dt_s
    return turn / (1.0 + turn)


def _clear(speed_mps: float, noise_mps: float) -> float:
    """Return the speed with what may be noise taken away: quadratic below, linear above."""
    return speed_mps * speed_mps / (speed_mps + noise_mps)


def _length(values: FloatArray | float) -> float:
    """Return the root of the sum of squares, over all axes."""
    flat = np.ravel(values)
    return math.sqrt(float(flat @ flat))
