# SPDX-License-Identifier: Apache-2.0
"""The facade of fitting: everybody's landmarks of one frame in, their bodies out."""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ros2_dice.bodies import OpenBodies
from ros2_dice.fitting.cover import trust_beside_hands
from ros2_dice.fitting.head import HeadFitter
from ros2_dice.fitting.results import FittedHand, FittedHead, FittedPerson
from ros2_dice.fitting.scale import ScaleModel
from ros2_dice.fitting.smooth import Smoothing
from ros2_dice.fitting.tracks import Context, HandTrack, HeadTrack
from ros2_dice.parameters import Settings
from ros2_dice.types import Camera

if TYPE_CHECKING:
    from ros2_dice.landmarks import FaceObservation, FaceSight, HandObservation, PersonObservation


class _Person:
    """The tracks of one person."""

    def __init__(self) -> None:
        self.head: HeadTrack | None = None
        self.hands: dict[str, HandTrack] = {}


class PersonFitter:
    """
    Fits bodies to landmarks, frame by frame.

    Args:
        bodies: the open bodies.
        settings: reads scale.*, smoothing.*, tracking.timeout and detection.max_persons.
    """

    def __init__(self, bodies: OpenBodies, settings: Settings) -> None:
        self._bodies = bodies
        self._head_fitter = HeadFitter(bodies.head)
        self._persons: dict[str, _Person] = {}
        self._early: dict[str, FittedHead] = {}
        self._early_s = 0.0, 0.0
        self._scale = ScaleModel(bodies, settings)
        self.stage_times_s: dict[str, float] = {}
        """Seconds of the last frame: head_fit, hand_fit, meshes."""
        self.apply(settings)

    def apply(self, settings: Settings) -> None:
        """Take over new values of live parameters; a new measured size starts people anew."""
        scale = ScaleModel(self._bodies, settings)
        if (scale.head(), scale.hand(None), scale.ratio) != (
                self._scale.head(), self._scale.hand(None), self._scale.ratio):
            self.reset()  # settled sizes would stay
        self._scale = scale
        self._smoothing = Smoothing(settings.flag('smoothing.enabled'),
                                    settings.number('smoothing.min_cutoff'),
                                    settings.number('smoothing.beta'))
        self._timeout_s = settings.number('tracking.timeout')
        self._max_persons = settings.integer('detection.max_persons')

    def reset(self) -> None:
        """Forget everybody."""
        self._persons.clear()
        self._early.clear()

    def fit_heads(self, faces: Sequence[FaceSight], camera: Camera, stamp_ns: int,
                  ) -> dict[str, FittedHead]:
        """
        Return the heads that are followed already, before the hands of this frame are known.

        `fit` then takes them from here. Where a hand covers a face is foreseen from the frames
        before, not seen.

        Returns:
            By person_id, with their vertices made.
        """
        started = time.perf_counter()
        context = Context(camera, stamp_ns, self._smoothing, self._timeout_s)
        self._early = {}
        for sight in faces:
            person = self._persons.get(sight.person_id)
            if person is not None and person.head is not None and _is_finite_face(sight.face):
                trust = trust_beside_hands(sight.face.points_px, [
                    hand_px for hand_px in sight.hands_px if np.isfinite(hand_px).all()])
                self._early[sight.person_id] = person.head.measure(
                    sight.face, context, self._scale.head(), trust)
        fitted_s = time.perf_counter()
        for head in self._early.values():
            head.vertices_m  # noqa: B018  made here, where there is time
        self._early_s = fitted_s - started, time.perf_counter() - fitted_s
        return self._early

    def fit(self, persons: Sequence[PersonObservation], camera: Camera,
            stamp_ns: int) -> tuple[FittedPerson, ...]:
        """
        Return everybody's bodies, sorted by person_id.

        Who was there and is not seen now is predicted for tracking.timeout seconds, then
        forgotten; at once where detection.max_persons others are seen (a cut in the film), and a
        hand at once where a new one of its person and side is seen: it moved too fast to follow.
        Landmarks that are not finite count as not seen.
        """
        self.stage_times_s = {'head_fit': self._early_s[0], 'hand_fit': 0.0,
                              'meshes': self._early_s[1]}
        context = Context(camera, stamp_ns, self._smoothing, self._timeout_s)
        seen = {person.person_id: person for person in persons}
        if len(seen) >= self._max_persons:
            self._persons = {name: self._persons[name] for name in self._persons if name in seen}
        fitted = []
        for person_id in sorted(seen.keys() | self._persons.keys()):
            person = self._persons.setdefault(person_id, _Person())
            result = self._fit_person(person_id, person, seen.get(person_id), context)
            if result.head is None and not result.hands:
                del self._persons[person_id]
            else:
                fitted.append(result)
        self._early, self._early_s = {}, (0.0, 0.0)
        return tuple(fitted)

    def _fit_person(self, person_id: str, person: _Person, seen: PersonObservation | None,
                    context: Context) -> FittedPerson:
        fresh = [hand for hand in (seen.hands if seen else ())
                 if hand.fresh and _is_finite_hand(hand.observation)]
        started = time.perf_counter()
        head = self._fit_head(person, seen, [hand.observation for hand in fresh], context)
        head_done = time.perf_counter()
        hands = {}
        for hand in fresh:
            track = person.hands.setdefault(hand.hand_id, HandTrack(self._bodies))
            prior = self._scale.hand(person.head.log_scale if person.head else None)
            hands[hand.hand_id] = track.measure(hand, context, prior)
        for hand_id in sorted(person.hands.keys() - hands.keys()):
            track = person.hands[hand_id]
            again = any(track.is_found_as(person.hands[name]) for name in hands)
            predicted = None if again else track.predict(context)
            if predicted is None:
                del person.hands[hand_id]
            else:
                hands[hand_id] = predicted
        hands_done = time.perf_counter()
        result = self._result(person_id, head, [hands[name] for name in sorted(hands)], context)
        self.stage_times_s['head_fit'] += head_done - started
        self.stage_times_s['hand_fit'] += hands_done - head_done
        self.stage_times_s['meshes'] += time.perf_counter() - hands_done
        return result

    def _fit_head(self, person: _Person, seen: PersonObservation | None,
                  hands: Sequence[HandObservation], context: Context) -> FittedHead | None:
        if seen and seen.person_id in self._early:
            return self._early[seen.person_id]
        if seen and seen.face is not None and seen.face_fresh and _is_finite_face(seen.face):
            if person.head is None:
                person.head = HeadTrack(self._head_fitter)
            trust = trust_beside_hands(seen.face.points_px, [hand.points_px for hand in hands])
            return person.head.measure(seen.face, context, self._scale.head(), trust)
        if person.head is None:
            return None
        predicted = person.head.predict(context)
        if predicted is None:
            person.head = None
        return predicted

    def _result(self, person_id: str, head: FittedHead | None, hands: Sequence[FittedHand],
                context: Context) -> FittedPerson:
        for body in (head, *hands):
            if body is not None:
                body.vertices_m  # noqa: B018  made here, where its time is counted
        states = [body.state for body in (head, *hands) if body is not None]
        depth_m = float(states[0].translation_m[2]) if states else float('nan')
        return FittedPerson(
            person_id, head, tuple(hands), self._scale.ratio,
            self._scale.source(context.camera),
            self._scale.depth_stddev_m(depth_m, context.camera, head is not None))


def _is_finite_hand(hand: HandObservation) -> bool:
    return bool(np.isfinite(hand.points_px).all() and np.isfinite(hand.world_m).all())


def _is_finite_face(face: FaceObservation) -> bool:
    return bool(np.isfinite(face.points_px).all() and np.isfinite(face.depth_px).all())
