# SPDX-License-Identifier: Apache-2.0
"""One head or one hand over time: warm starts, settled shapes, filters, predictions."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ros2_dice.bodies import HandState, HeadState, OpenBodies, OpenHand
from ros2_dice.fitting.hand import HandFit, Held, first_guess, fit_hand
from ros2_dice.fitting.head import HeadFitter
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.fitting.results import FittedHand, FittedHead
from ros2_dice.fitting.smooth import HandFilter, HeadFilter, Smoothing
from ros2_dice.stamps import NOMINAL_STEP_S, StepClock
from ros2_dice.types import Camera, FloatArray, Handedness, State

if TYPE_CHECKING:
    from ros2_dice.landmarks import FaceObservation, HandObservation, TrackedHand

SETTLED_AFTER = 20
"""Good frames after which identity and shape are kept."""
_LEAST_MEMORY_S = 2.0 * NOMINAL_STEP_S
WARM_ITERATIONS, COLD_ITERATIONS, EARLY_ITERATIONS = 4, 40, 15
EARLY_FRAMES = 5
"""A new hand is fitted patiently in so many frames: it shall not creep to its place later."""
HELD_RAD = 0.4
"""How far a joint may turn within a thirtieth of a second without need; in pictures that leave a
bend open a fit would flip between two postures."""
HEAD_WARM_ITERATIONS, HEAD_COLD_ITERATIONS = 2, 6
GOOD_HAND_COST = 90.0
FITTING_HAND_COST = 60.0
"""A worse fit lowers the hand's confidence: the network is sure even of wrong fingers."""
DOUBTFUL_HAND_COST, CLEARLY_BETTER, RETRY_EVERY = 100.0, 0.8, 5
"""A fit this bad is tried from the landmarks again, every so many frames, on both sides."""
LOST_HAND_COST = 150.0
"""A cold fit this bad meets hardly any landmark: all of them far off cost 189."""
SIDE_WEIGHT = 6.0
"""How much the network's opinion on the side counts against the fits' costs."""
SIDE_LEAD = 12.0
"""Cost difference, summed over the frames, from which only one side is fitted."""
SIDE_FRAMES = 3
"""Frames in which both sides are fitted at least, and frames in a row that change a settled one:
for a frame or two the network takes a hand for the other one."""


@dataclass(frozen=True)
class Context:
    """What all fits of one frame share."""

    camera: Camera
    stamp_ns: int
    smoothing: Smoothing
    timeout_s: float

    @property
    def memory_s(self) -> float:
        """For so long the past counts."""
        return max(self.timeout_s, _LEAST_MEMORY_S)


class HeadTrack:
    """
    One person's head.

    Args:
        fitter: shared by all heads.
    """

    def __init__(self, fitter: HeadFitter) -> None:
        self._fitter = fitter
        self._clock = StepClock()
        self._filter = HeadFilter()
        self._state: HeadState | None = None
        self._sum = np.zeros(fitter.head.identity_count + 1)
        self._frames = 0.0
        self._kept = False
        self._confidence = 0.0

    @property
    def log_scale(self) -> float | None:
        """Log size as it is believed now; None before the first frame."""
        return None if self._state is None else self._state.log_scale

    def measure(self, observation: FaceObservation, context: Context, size_prior: SizePrior,
                trust: FloatArray | None) -> FittedHead:
        """Fit one frame's landmarks."""
        dt_s = self._clock.step_s(context.stamp_ns, context.memory_s)
        if dt_s is None:
            self._filter = HeadFilter()
        settled = self._frames >= SETTLED_AFTER
        start = self._state if dt_s is not None else None
        if settled and start is None:
            start = self._known(self._fitter.rigid_start(observation, context.camera, size_prior))
        fit = self._fitter.fit(
            observation, context.camera, start=start, fixed_identity=settled,
            size_prior=size_prior, trust=trust,
            iterations=HEAD_WARM_ITERATIONS if dt_s is not None else HEAD_COLD_ITERATIONS)
        self._state = fit.state
        self._confidence = float(observation.score)
        if settled and not self._kept:
            self._filter.renew()
        self._kept = settled
        if not settled:
            self._sum += observation.score * np.append(fit.state.identity, fit.state.log_scale)
            self._frames += observation.score
            if self._frames >= SETTLED_AFTER:
                self._state = self._known(fit.state)
        smooth = self._filter.update(fit.state, dt_s or NOMINAL_STEP_S, context.smoothing)
        return FittedHead(self._fitter.head, smooth, State.MEASURED, self._confidence, fit,
                          observation, settled)

    def predict(self, context: Context) -> FittedHead | None:
        """Return where the head should be now; None = lost for too long."""
        gap_s = self._clock.gap_s(context.stamp_ns)
        if not 0 <= gap_s <= context.timeout_s:
            return None
        return FittedHead(self._fitter.head, self._filter.coast(gap_s), State.PREDICTED,
                          self._confidence, None, None, self._frames >= SETTLED_AFTER)

    def _known(self, state: HeadState) -> HeadState:
        """Return a state with the mean identity and size of the frames so far."""
        mean = self._sum / self._frames
        return replace(state, identity=mean[:-1], log_scale=float(mean[-1]))


class _Side:
    """One chirality that a hand may have."""

    def __init__(self, left: bool) -> None:
        self.left = left
        self.state: HandState | None = None
        self.cost = 0.0
        """Sum over the frames, with the network's opinion."""
        self.fit: HandFit | None = None


class HandTrack:
    """
    One hand.

    Args:
        bodies: both hands; which one it is shows in the first frames.
    """

    def __init__(self, bodies: OpenBodies) -> None:
        self._bodies = bodies
        self._clock = StepClock()
        self._filter = HandFilter()
        self._sides = [_Side(False), _Side(True)]
        self._frame = self._side_since = self._retry_from = self._against = 0
        self._sum = np.zeros(10)
        self._good = 0.0
        self._kept = False
        self._held_rad = math.inf
        self._last: FittedHand | None = None
        self._began_ns = 0

    @property
    def _settled(self) -> bool:
        return self._good >= SETTLED_AFTER

    def measure(self, hand: TrackedHand, context: Context, prior: SizePrior) -> FittedHand:
        """Fit one frame's landmarks."""
        dt_s = self._clock.step_s(context.stamp_ns, context.memory_s)
        if dt_s is None:
            self._filter = HandFilter()
        if not self._frame:
            self._began_ns = context.stamp_ns
        self._frame += 1
        self._held_rad = HELD_RAD * math.sqrt((dt_s or NOMINAL_STEP_S) / NOMINAL_STEP_S) \
            if context.smoothing.enabled else math.inf
        best = self._best_side(hand, context, prior, dt_s is not None)
        fit = best.fit
        assert fit is not None
        if self._last is not None and self._last.body.left != best.left:
            self._filter = HandFilter()
            self._sum[:], self._good = 0.0, 0.0
        settled = self._settled
        if settled and not self._kept:
            self._filter.renew()
        self._kept = settled
        if not settled and fit.cost < GOOD_HAND_COST:
            self._sum += hand.observation.score * fit.state.shape
            self._good += hand.observation.score
            if self._settled:
                best.state = replace(fit.state, shape=self._sum / self._good)
        smooth = self._filter.update(fit.state, dt_s or NOMINAL_STEP_S, context.smoothing)
        handedness = Handedness.LEFT if best.left else Handedness.RIGHT
        confidence = hand.handedness_confidence
        trust = min(1.0, FITTING_HAND_COST / max(fit.cost, 1.0))
        self._last = FittedHand(
            hand.hand_id, handedness,
            confidence if handedness == hand.handedness else 1.0 - confidence,
            self._bodies.hand(best.left), smooth, State.MEASURED,
            float(hand.observation.score) * trust, fit, hand.observation, prior, context.camera,
            settled)
        return self._last

    def predict(self, context: Context) -> FittedHand | None:
        """Return where the hand should be now; None = lost for too long."""
        gap_s = self._clock.gap_s(context.stamp_ns)
        if self._last is None or not 0 <= gap_s <= context.timeout_s:
            return None
        return replace(self._last, state=self._filter.coast(gap_s), measured=State.PREDICTED,
                       fit=None, observation=None)

    def is_found_as(self, other: HandTrack) -> bool:
        """Whether another track began on this side after this one was lost: the same hand."""
        return (self._last is not None and other._last is not None
                and self._last.body.left == other._last.body.left
                and self._clock.stamp_ns is not None and other._began_ns > self._clock.stamp_ns)

    def _best_side(self, hand: TrackedHand, context: Context, prior: SizePrior,
                   warm: bool) -> _Side:
        """Fit the sides that are still possible and return the better one."""
        for side in self._sides:
            self._fit(side, hand, context, prior, warm)
        best = min(self._sides, key=lambda side: side.cost)
        assert best.fit is not None
        if best.fit.cost <= DOUBTFUL_HAND_COST:
            self._against = 0
        elif warm and self._frame >= self._retry_from:
            self._retry_from = self._frame + RETRY_EVERY
            best = self._started_anew(best, hand, context, prior)
        if len(self._sides) == 2 and self._frame - self._side_since >= SIDE_FRAMES and abs(
                self._sides[0].cost - self._sides[1].cost) > SIDE_LEAD:
            self._sides = [best]
        return best

    def _started_anew(self, old: _Side, hand: TrackedHand, context: Context,
                      prior: SizePrior) -> _Side:
        """Return a better side than a doubtful one, or that one again."""
        assert old.fit is not None
        sides = [_Side(False), _Side(True)]
        for side in sides:
            self._fit(side, hand, context, prior, warm=False)
        best = min(sides, key=lambda side: side.cost)
        if best.left != old.left and len(self._sides) == 1:
            self._against += 1
            if self._against < SIDE_FRAMES:
                self._retry_from = self._frame + 1
                best = sides[old.left]
        assert best.fit is not None
        if best.fit.cost > CLEARLY_BETTER * old.fit.cost:
            return old
        if best.left == old.left and len(self._sides) == 1:
            self._sides = [best]
        else:
            self._sides, self._side_since = sides, self._frame
        return best

    def _fit(self, side: _Side, hand: TrackedHand, context: Context, prior: SizePrior,
             warm: bool) -> None:
        body, observation = self._bodies.hand(side.left), hand.observation
        start = side.state if warm else None
        early = self._frame <= EARLY_FRAMES
        if start is not None:
            side.fit = fit_hand(body, observation, context.camera, prior, start=start,
                                iterations=EARLY_ITERATIONS if early else WARM_ITERATIONS,
                                fixed_shape=self._settled, patient=early,
                                held=None if early else Held(start.angles_rad, self._held_rad))
        else:
            known = self._sum / self._good if self._settled else None
            guesses = _guesses(body, observation, context, prior, known)

            def fitted(guess: HandState, log_z: float | None = None) -> HandFit:
                return fit_hand(body, observation, context.camera, prior, start=guess,
                                log_z=log_z, iterations=COLD_ITERATIONS,
                                fixed_shape=self._settled, patient=early)

            side.fit = min((fitted(guess) for guess in guesses), key=lambda fit: fit.cost)
            if side.fit.cost > LOST_HAND_COST:  # fingers first, where the depth ran away from them
                at_guess = fitted(guesses[0], math.log(guesses[0].translation_m[2]))
                side.fit = min(side.fit, fitted(at_guess.state), key=lambda fit: fit.cost)
        side.state = side.fit.state
        right = min(max(float(observation.right_probability), 1e-3), 1.0 - 1e-3)
        side.cost += side.fit.cost - SIDE_WEIGHT * math.log(1.0 - right if side.left else right)


def _guesses(body: OpenHand, observation: HandObservation, context: Context, prior: SizePrior,
             shape: FloatArray | None) -> tuple[HandState, HandState]:
    """Return starts for a cold fit: fingers bent as seen, and half way to the mean."""
    guess = first_guess(body, observation, context.camera, prior)
    if shape is not None:
        guess = replace(guess, shape=shape)
    return guess, replace(guess, angles_rad=0.5 * (guess.angles_rad + body.angle_mean))
