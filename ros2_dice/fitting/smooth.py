# SPDX-License-Identifier: Apache-2.0
"""
Filters over the states of hands and heads.

Each group of numbers is filtered as one vector whose speed is given in metres a second at the
surface (a turn counts with its lever, an angle with a finger's length), so that one pair of
parameters fits all of them; `gain` says how much of a measurement is taken over. Depth and size
are seen worst and are held longest.
"""
from __future__ import annotations

import math

import numpy as np

from ros2_dice.bodies import HandState, HeadState
from ros2_dice.bodies.rotation import rotation_matrix, rotation_vector
from ros2_dice.fitting.gain import Gain, Smoothing, low_pass_share
from ros2_dice.types import FloatArray

SPEED_CUTOFF_HZ, DEPTH_SPEED_CUTOFF_HZ = 3.0, 1.0
"""Cutoff of the speed that opens the filter."""
NOISE_MPS, DEPTH_NOISE_MPS = 0.03, 0.15
"""Speeds below this hardly open the filter [m/s]."""
RAY_CALM, DEPTH_CALM = 3.0, 0.2
"""Cutoff at rest across the picture and along depth, as a factor: noise differs as much."""
SHAPE_CUTOFF_HZ = 0.3
"""Shapes and sizes do not change with time, only what is known of them."""
NEGLIGIBLE = 2e-3
"""Change of a shape, in standard deviations, that no picture shows."""
COASTING_S = 0.1
"""Time constant with which a predicted motion stops."""
HAND_LEVER_M, HEAD_LEVER_M, ANGLE_LEVER_M, EXPRESSION_LEVER_M = 0.08, 0.1, 0.05, 0.01


class OneEuro:
    """
    The filter for one vector.

    Args:
        lever_m: metres at the surface for one unit.
        calm: factor on the cutoff at rest.
        noise_mps: speed that noise alone may show.
        speed_cutoff_hz: of the speed's own low-pass.
    """

    def __init__(self, lever_m: float = 1.0, calm: float = 1.0, noise_mps: float = NOISE_MPS,
                 speed_cutoff_hz: float = SPEED_CUTOFF_HZ) -> None:
        self.value: FloatArray | None = None
        self.lever_m = lever_m
        self._gain = Gain(calm, noise_mps, speed_cutoff_hz)
        self._count = 0
        self._measured = np.zeros(0)

    def update(self, measured: FloatArray, dt_s: float, smoothing: Smoothing) -> FloatArray:
        """Return the filtered value; `dt_s` > 0."""
        if self.value is None or not smoothing.enabled:
            self.value = measured
        else:
            error = measured - self.value
            share = self._gain.share(measured - self._measured, error, dt_s, self.lever_m,
                                     smoothing)
            share = max(share, 1.0 / (self._count + 1))  # the mean, until enough are known
            self.value = self.value + share * error
        self._count += 1
        self._measured = measured
        return self.value

    def renew(self) -> None:
        """Forget what the measurements before said, from now on: what is measured changes."""
        self._count = min(self._count, 1)

    def coast(self, gap_s: float) -> FloatArray:
        """Return the value so long after the last measurement, its motion dying out."""
        assert self.value is not None
        return self.value + self._gain.rate * _coasted(gap_s)


class RotationOneEuro:
    """The filter for a rotation: the same along the shortest turn."""

    def __init__(self, lever_m: float) -> None:
        self.value: FloatArray | None = None
        self.lever_m = lever_m
        self._gain = Gain(1.0, NOISE_MPS, SPEED_CUTOFF_HZ)
        self._count = 0
        self._measured = np.eye(3)

    def update(self, measured: FloatArray, dt_s: float, smoothing: Smoothing) -> FloatArray:
        """Return the filtered rotation (3, 3); `dt_s` > 0."""
        if self.value is None or not smoothing.enabled:
            self.value = measured
        else:
            turn = rotation_vector(measured @ self.value.T)
            share = self._gain.share(rotation_vector(measured @ self._measured.T), turn, dt_s,
                                     self.lever_m, smoothing)
            share = max(share, 1.0 / (self._count + 1))  # the mean, until enough are known
            self.value = rotation_matrix(share * turn) @ self.value
        self._count += 1
        self._measured = measured
        return self.value

    def renew(self) -> None:
        """Forget what the measurements before said, as `OneEuro.renew` does."""
        self._count = min(self._count, 1)

    def coast(self, gap_s: float) -> FloatArray:
        """Return the rotation so long after the last measurement."""
        assert self.value is not None
        return rotation_matrix(np.zeros(3) + self._gain.rate * _coasted(gap_s)) @ self.value


class _Slow:
    """A first-order low-pass that starts as a running mean."""

    def __init__(self) -> None:
        self.value: FloatArray | None = None
        self._count = 0

    def update(self, measured: FloatArray, dt_s: float, smoothing: Smoothing) -> FloatArray:
        self._count += 1
        if self.value is None or not smoothing.enabled:
            self.value = measured
        else:
            share = max(low_pass_share(SHAPE_CUTOFF_HZ, dt_s), 1.0 / self._count)
            change = measured - self.value
            # Settled shapes come to rest, so that what follows from them is not made anew.
            self.value = (measured if float(np.abs(change).max()) < NEGLIGIBLE
                          else self.value + share * change)
        return self.value


class _Place:
    """Rotation and position; the position as viewing ray and log of depth over size."""

    def __init__(self, lever_m: float) -> None:
        self._rotation = RotationOneEuro(lever_m)
        self._ray = OneEuro(calm=RAY_CALM)
        self._depth = OneEuro(calm=DEPTH_CALM, noise_mps=DEPTH_NOISE_MPS,
                              speed_cutoff_hz=DEPTH_SPEED_CUTOFF_HZ)
        self._log_scale = 0.0

    def update(self, state: HandState | HeadState, log_scale: float, dt_s: float,
               smoothing: Smoothing) -> tuple[FloatArray, FloatArray]:
        """Return rotation and translation for the size (log) that is believed now."""
        depth = float(state.translation_m[2])
        self._ray.lever_m = self._depth.lever_m = depth
        self._log_scale = log_scale
        ray = self._ray.update(state.translation_m[:2] / depth, dt_s, smoothing)
        # Depth over size is what the picture shows: a better size moves the body, not its image.
        over_size = self._depth.update(
            np.array((math.log(depth) - state.log_scale,)), dt_s, smoothing)
        return (self._rotation.update(state.rotation, dt_s, smoothing),
                self._point(ray, over_size))

    def renew(self) -> None:
        """Find the place anew, from now on."""
        for one in (self._rotation, self._ray, self._depth):
            one.renew()

    def coast(self, gap_s: float) -> tuple[FloatArray, FloatArray]:
        """Return them so long after the last measurement."""
        return self._rotation.coast(gap_s), self._point(
            self._ray.coast(gap_s), self._depth.coast(gap_s))

    def _point(self, ray: FloatArray, over_size: FloatArray) -> FloatArray:
        depth = math.exp(float(over_size[0]) + self._log_scale)
        return np.array((ray[0] * depth, ray[1] * depth, depth))


class _BodyFilter:
    """Place and shape of one hand or head; what bends is its own."""

    def __init__(self, lever_m: float) -> None:
        self._place = _Place(lever_m)
        self._shape = _Slow()

    def renew(self) -> None:
        """Find the place anew: a shape that is kept from now on fits best elsewhere."""
        self._place.renew()


class HandFilter(_BodyFilter):
    """Filters the states of one hand."""

    def __init__(self) -> None:
        super().__init__(HAND_LEVER_M)
        self._angles = OneEuro(ANGLE_LEVER_M)

    def update(self, state: HandState, dt_s: float, smoothing: Smoothing) -> HandState:
        """Return the filtered state; `dt_s` > 0."""
        shape = self._shape.update(np.append(state.shape, state.log_scale), dt_s, smoothing)
        place = self._place.update(state, float(shape[-1]), dt_s, smoothing)
        angles = self._angles.update(state.angles_rad, dt_s, smoothing)
        return HandState(*place, float(shape[-1]), angles, shape[:-1])

    def coast(self, gap_s: float) -> HandState:
        """Return the predicted state so long after the last measurement."""
        shape, angles = self._shape.value, self._angles.value
        assert shape is not None
        assert angles is not None
        # Fingers stay as they are: their speed is too noisy to be carried on.
        return HandState(*self._place.coast(gap_s), float(shape[-1]), angles, shape[:-1])


class HeadFilter(_BodyFilter):
    """Filters the states of one head."""

    def __init__(self) -> None:
        super().__init__(HEAD_LEVER_M)
        self._expression = OneEuro(EXPRESSION_LEVER_M)

    def update(self, state: HeadState, dt_s: float, smoothing: Smoothing) -> HeadState:
        """Return the filtered state; `dt_s` > 0."""
        shape = self._shape.update(np.append(state.identity, state.log_scale), dt_s, smoothing)
        place = self._place.update(state, float(shape[-1]), dt_s, smoothing)
        expression = self._expression.update(state.expression, dt_s, smoothing)
        return HeadState(*place, float(shape[-1]), shape[:-1], expression)

    def coast(self, gap_s: float) -> HeadState:
        """Return the predicted state so long after the last measurement."""
        shape, expression = self._shape.value, self._expression.value
        assert shape is not None
        assert expression is not None
        return HeadState(*self._place.coast(gap_s), float(shape[-1]), shape[:-1], expression)


def _coasted(gap_s: float) -> float:
    """Return the time [s] that a motion which dies out is worth."""
    return COASTING_S * (1.0 - math.exp(-gap_s / COASTING_S))
