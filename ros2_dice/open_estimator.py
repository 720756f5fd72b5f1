# SPDX-License-Identifier: Apache-2.0
"""The open estimator: landmark networks, bodies fitted to them, contact between the bodies."""
from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from threadpoolctl import ThreadpoolController

from ros2_dice.assets import find_asset
from ros2_dice.bodies import Topology, load_open_bodies
from ros2_dice.contact import ContactSolver, HandContact, PersonContact
from ros2_dice.errors import EstimatorError
from ros2_dice.fitting import FittedHand, FittedPerson, PersonFitter
from ros2_dice.landmarks import FaceSight, PersonObservation, PersonTracker
from ros2_dice.parameters import Settings
from ros2_dice.stamps import FrameClock
from ros2_dice.types import BodyEstimate, Camera, Frame, HandFaceEstimate, Roi, State


class OpenEstimator:
    """
    Follows people through a stream of frames, without any licensed file.

    Args:
        settings: `model.directory`, `backend.*`, `detection.*`, `tracking.*`, `smoothing.*`,
            `scale.*`, `camera.*` and `contact.*` are read.

    Raises:
        AssetError: a network or the bodies are missing, or are not the files of the manifest.
        EstimatorError: a backend or precision is forced that this estimator does not have.
    """

    def __init__(self, settings: Settings) -> None:
        _refuse_other_backends(settings)
        directory = settings.text('model.directory')
        bodies = load_open_bodies(find_asset('open_bodies', directory))
        self.topologies: tuple[Topology, ...] = bodies.topologies
        self._settings = settings
        self._tracker = PersonTracker(settings, directory)
        self._fitter = PersonFitter(bodies, settings)
        self._contact = ContactSolver(bodies)
        self._times_s: dict[str, float] = {}
        # OpenBLAS' threads go on spinning after a product and take the cores from the networks;
        # with products as small as ours they gain nothing.
        self._blas = ThreadpoolController().select(user_api='blas')
        self._camera: Camera | None = None
        self._clock = FrameClock()
        self.model_id = 'open/openvino-fp32'

    @property
    def stage_times_s(self) -> Mapping[str, float]:
        """Seconds that each stage of the last frame took; `total` is all of it."""
        return self._times_s

    @property
    def learnt_sizes(self) -> Mapping[str, str]:
        """What this session has learnt of people, as values of parameters, by person_id."""
        return {person_id: f'scale.hand_to_head {learnt.hand_to_head:.3f}, '
                           f'scale.hand_to_head_stddev {learnt.stddev:.3f}'
                for person_id, learnt in self._contact.hand_to_head.items()}

    def estimate(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """Return the people in the picture, sorted by person_id and hand_id."""
        with self._blas.limit(limits=1):
            return self._estimate(frame)

    def _estimate(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        start_s = time.perf_counter()
        if not self._settings.flag('tracking.enabled'):
            self.reset()
        frame = replace(frame, stamp_ns=self._clock.time_ns(frame.stamp_ns))
        camera = frame.camera or self._nominal_camera(frame)
        ahead_s = 0.0

        def ahead(faces: Sequence[FaceSight]) -> None:
            """Do what needs no hand of this frame while its network runs."""
            nonlocal ahead_s
            heads = self._fitter.fit_heads(faces, camera, frame.stamp_ns)
            ahead_s = -time.perf_counter()
            for sight in faces:
                if sight.hands_px and sight.person_id in heads:
                    self._contact.prepare(sight.person_id, heads[sight.person_id],
                                          sight.hands_px, camera, frame.stamp_ns)
            ahead_s += time.perf_counter()

        observations = self._tracker.observe(frame, ahead)
        fitted = self._fitter.fit(observations, camera, frame.stamp_ns)
        seen = {person.person_id: person for person in observations}
        times_s = {**self._tracker.stage_times_s, **self._fitter.stage_times_s,
                   'surface': ahead_s}
        estimates: list[HandFaceEstimate] = []
        for person in fitted:
            contact = self._contact.solve(person, camera, frame.stamp_ns)
            for stage, spent_s in self._contact.stage_times_s.items():
                times_s[stage] = times_s.get(stage, 0.0) + spent_s
            estimates += _person_estimates(person, contact, seen.get(person.person_id), frame)
        times_s['total'] = time.perf_counter() - start_s
        self._times_s = times_s
        return tuple(estimates)

    def apply(self, settings: Settings) -> None:
        """Take over new values of live parameters."""
        self._settings = settings
        self._camera = None
        self._tracker.apply(settings)
        self._fitter.apply(settings)

    def reset(self) -> None:
        """Forget ids, tracks and filters."""
        self._tracker.reset()
        self._fitter.reset()
        self._contact.reset()
        self._clock = FrameClock()

    def close(self) -> None:
        """Release the networks."""
        self._tracker.close()

    def _nominal_camera(self, frame: Frame) -> Camera:
        size = (frame.width_px, frame.height_px)
        if self._camera is None or (self._camera.width_px, self._camera.height_px) != size:
            self._camera = Camera.from_fov(
                *size, self._settings.number('camera.horizontal_fov'))
        return self._camera


def _refuse_other_backends(settings: Settings) -> None:
    allowed = {'backend.name': ('auto', 'openvino'), 'backend.device': ('auto', 'cpu'),
               'backend.precision': ('auto', 'fp32')}
    for name, values in allowed.items():
        if settings.text(name) not in values:
            raise EstimatorError(
                f'parameter {name} for model.id open', got=settings.text(name),
                expected=' or '.join(values),
                next_step='the landmark networks run on OpenVINO on the CPU in fp32 only')


def _person_estimates(person: FittedPerson, contact: PersonContact,
                      observation: PersonObservation | None,
                      frame: Frame) -> list[HandFaceEstimate]:
    """Return one entry for each hand, or one for a face alone."""
    face = None
    if person.head is not None and contact.face_vertices_m is not None:
        face = BodyEstimate(person.head.body.topology.topology_id, contact.face_vertices_m,
                            person.head.confidence)
    face_landmarks_px = (observation.face.points_px
                         if observation and observation.face is not None else None)
    common = {
        'person_id': person.person_id, 'scale_source': person.scale_source,
        'depth_stddev_m': person.depth_stddev_m, 'face_landmarks_px': face_landmarks_px,
        'face_pose': person.head.pose if person.head is not None else None,
    }
    if not person.hands:
        if face is None:
            return []
        assert person.head is not None
        return [HandFaceEstimate(
            **common, state=person.head.measured, face=face,
            roi=_bounding_roi(face_landmarks_px, None, frame))]
    return [_hand_estimate(hand, contact.hands[hand.hand_id], person, face, common, frame)
            for hand in person.hands]


def _hand_estimate(hand: FittedHand, contact: HandContact, person: FittedPerson,
                   face: BodyEstimate | None, common: dict, frame: Frame) -> HandFaceEstimate:
    settled = hand.with_state(contact.state)
    hand_landmarks_px = hand.observation.points_px if hand.observation is not None else None
    touches_known = face is not None and not math.isnan(contact.contact_probability)
    if face is not None:
        face = BodyEstimate(
            face.topology_id, face.vertices_m, face.confidence,
            contact.face_contact if touches_known else None,
            contact.deformation_m, has_deformation=touches_known)
    state = hand.measured
    if person.head is not None and person.head.measured == State.PREDICTED:
        state = State.PREDICTED
    return HandFaceEstimate(
        **common, hand_id=hand.hand_id, handedness=hand.handedness,
        handedness_confidence=hand.handedness_confidence, state=state,
        roi=_bounding_roi(common['face_landmarks_px'], hand_landmarks_px, frame),
        wrist_pose=settled.wrist_pose,
        hand=BodyEstimate(
            hand.body.topology.topology_id, contact.vertices_m, hand.confidence,
            contact.hand_contact if touches_known else None),
        face=face, contact_probability=contact.contact_probability,
        min_distance_m=contact.min_distance_m,
        min_distance_stddev_m=contact.min_distance_stddev_m,
        max_deformation_m=contact.max_deformation_m, joints=settled.joints,
        contacts=contact.regions, hand_landmarks_px=hand_landmarks_px)


def _bounding_roi(first_px: np.ndarray | None, second_px: np.ndarray | None,
                  frame: Frame) -> Roi:
    """Return the upright box around the landmarks, cut to the picture."""
    points = [p for p in (first_px, second_px) if p is not None]
    if not points:
        return Roi(0, 0, 0, 0)
    low, high = np.array([p.min(0) for p in points]), np.array([p.max(0) for p in points])
    low, high = np.floor(low.min(0)).astype(int), np.ceil(high.max(0)).astype(int)
    x0, y0 = (int(v) for v in np.clip(low, 0, (frame.width_px, frame.height_px)))
    x1, y1 = (int(v) for v in np.clip(high, (x0, y0), (frame.width_px, frame.height_px)))
    return Roi(x0, y0, x1 - x0, y1 - y0)
