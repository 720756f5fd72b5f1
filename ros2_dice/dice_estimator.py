# SPDX-License-Identifier: Apache-2.0
"""The dice estimator: crops from the landmarks' tracker, the network, its bodies, contact."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import ThreadpoolController

from ros2_dice.assets import find_asset
from ros2_dice.bodies import ParametricHand, ParametricHead, Topology, load_open_bodies
from ros2_dice.bodies.parametric_hand import VERTICES as HAND_VERTICES
from ros2_dice.bodies.parametric_head import VERTICES as HEAD_VERTICES
from ros2_dice.bodies.rotation import nearest_rotation
from ros2_dice.contact import HeadSurface
from ros2_dice.dice.choosing import Upgrade
from ros2_dice.dice.crops import united
from ros2_dice.dice.engines import engine_for
from ros2_dice.dice.folder import model_folder
from ros2_dice.dice.imported import ImportedModel, load_imported
from ros2_dice.dice.inference import Inference
from ros2_dice.dice.people import (
    HandMemory,
    Look,
    PersonMemory,
    look_in_the_middle,
    looks_at,
)
from ros2_dice.dice.placement import Placement, TrueSize, place, unmirrored
from ros2_dice.dice.postprocess import Behaviour, Captured, Outputs
from ros2_dice.dice.smooth import OutputFilter, PlaceFilter, ScriptFilter
from ros2_dice.dice.touching import TouchFinder
from ros2_dice.errors import AssetError, EstimatorError
from ros2_dice.fitting.smooth import Smoothing
from ros2_dice.landmarks import PersonObservation, PersonTracker
from ros2_dice.landmarks.ids import IdSource
from ros2_dice.parameters import Settings
from ros2_dice.runtime import Engine
from ros2_dice.stamps import NOMINAL_STEP_S, FrameClock
from ros2_dice.types import (
    BodyEstimate,
    Camera,
    FloatArray,
    Frame,
    HandFaceEstimate,
    Roi,
    State,
)

_LEAST_MEMORY_S = 0.2


@dataclass(frozen=True, eq=False)
class _Sight:
    """One hand (or a face alone) of one person in this frame."""

    look: Look
    captured: Captured
    """Not mirrored."""
    placement: Placement | None
    """Of this frame, not filtered; None = the network was not asked, it is an older sight."""


class DiceEstimator:
    """
    Follows people through a stream of frames with the network of DICE.

    Args:
        settings: `model.*`, `backend.*`, `detection.*`, `tracking.*`, `smoothing.*`, `scale.*`,
            `camera.*` and `dice.*` are read.
        model: already loaded, for tests; None = the folder that `model.id` names.
        engine: already loaded, for tests.

    Raises:
        AssetError: the model was not imported, or is not what its hashes say; or a landmark
            network is missing. The message holds the next command.
        EngineError: no engine can run the network.
    """

    def __init__(self, settings: Settings, model: ImportedModel | None = None,
                 engine: Engine | None = None) -> None:
        directory = settings.text('model.directory')
        self._name = settings.text('model.id')
        model = model or load_imported(model_folder(self._name, directory))
        guides = load_open_bodies(find_asset('open_bodies', directory))
        self._right = ParametricHand(model.hand, guides.hand_right)
        self._left = ParametricHand(model.hand, guides.hand_left, left=True)
        self._head = ParametricHead(model.head, guides.head)
        _require_counts(self._right, self._head)
        assert self._head.mirror is not None  # made now, so that no left hand waits for it
        self.topologies: tuple[Topology, ...] = (
            self._left.topology, self._right.topology, self._head.topology)
        self._touch = TouchFinder(self._head)
        self._tracker = None if Behaviour.from_settings(settings).centre_crop else \
            PersonTracker(settings, directory)
        self._engine = engine or engine_for(model, settings)
        self._inference = Inference(self._engine, self._right, self._head)
        self._blas = ThreadpoolController().select(user_api='blas')
        self._times_s: dict[str, float] = {}
        self.apply(settings)
        self.reset()

    @property
    def model_id(self) -> str:
        """Return `<model.id>/<engine>-<precision>`; the engine may change while it runs."""
        return f'{self._name}/{self._engine.name}-{self._engine.precision}'

    @property
    def upgrade(self) -> Upgrade | None:
        """Return what builds better engines and says which one serves; None = nothing does."""
        return self._engine if isinstance(self._engine, Upgrade) else None

    @property
    def stage_times_s(self) -> Mapping[str, float]:
        """Seconds that each stage of the last frame took; `total` is all of it."""
        return self._times_s

    def estimate(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """
        Return the people in the picture, sorted by person_id and hand_id.

        A hand for which the network answers with what is not a number is returned as predicted
        where it was seen before, else not at all.

        Raises:
            EstimatorError: it answered so for every hand that it was asked about.
        """
        start_s = time.perf_counter()
        if not self._settings.flag('tracking.enabled'):
            self.reset()
        frame = replace(frame, stamp_ns=self._clock.time_ns(frame.stamp_ns))
        camera = frame.camera or Camera.from_fov(
            frame.width_px, frame.height_px, self._settings.number('camera.horizontal_fov'))
        people, looks = self._looks(frame)
        asked = [look for look in looks if look.hand_fresh or self._memory(look).captured is None]
        rows = self._inference.outputs(frame, [look.square for look in asked],
                                       exact=self._behaviour.exact_resize)
        asked, rows = _finite(asked, rows)
        looks = [look for look in looks
                 if look in asked or self._memory(look).captured is not None]
        inferred_s = time.perf_counter()
        with self._blas.limit(limits=1):  # products too small for threads that go on spinning
            filtered = [self._filtered(look, outputs, frame)
                        for look, outputs in zip(asked, rows)]
            for look, captured in zip(asked, self._inference.captured(filtered,
                                                                      self._behaviour)):
                self._remember(look, captured)
            sights = [self._sight(look, camera, look in asked) for look in looks]
            meshes_s = time.perf_counter()
            estimates: list[HandFaceEstimate] = []
            for person_id in {look.person_id: None for look in looks}:
                estimates += self._person([s for s in sights if s.look.person_id == person_id],
                                          people.get(person_id), camera, frame)
        end_s = time.perf_counter()
        self._times_s = {
            **(self._tracker.stage_times_s if self._tracker is not None else {}),
            **self._inference.stage_times_s, 'meshes': meshes_s - inferred_s,
            'contact': end_s - meshes_s, 'total': end_s - start_s}
        return tuple(sorted(estimates, key=lambda one: (one.person_id, one.hand_id)))

    def apply(self, settings: Settings) -> None:
        """Take over new values of live parameters."""
        self._settings = settings
        self._behaviour = Behaviour.from_settings(settings)
        self._size = TrueSize.from_settings(settings)
        self._smoothing = Smoothing(settings.flag('smoothing.enabled'),
                                    settings.number('smoothing.min_cutoff'),
                                    settings.number('smoothing.beta'))
        if self._tracker is not None:
            self._tracker.apply(settings)

    def reset(self) -> None:
        """Forget ids, tracks and filters."""
        self._memories: dict[str, PersonMemory] = {}
        self._clock = FrameClock()
        if self._tracker is not None:
            self._tracker.reset()
        else:
            ids = IdSource(self._settings.flag('tracking.deterministic_ids'))
            self._middle_ids = ids.new(), ids.new()

    def close(self) -> None:
        """Release the networks."""
        if self._tracker is not None:
            self._tracker.close()
        self._inference.close()

    def _looks(self, frame: Frame) -> tuple[dict[str, PersonObservation], list[Look]]:
        """Return who is there and where to look; people who are gone are forgotten."""
        if self._tracker is None:
            self._memories.setdefault(self._middle_ids[0], PersonMemory())
            return {}, [look_in_the_middle(frame, *self._middle_ids)]
        people = {person.person_id: person for person in self._tracker.observe(frame)}
        self._memories = {name: self._memories.get(name, PersonMemory()) for name in people}
        margin = self._settings.number('detection.crop_margin')
        looks = []
        for name, person in people.items():
            memory = self._memories[name]
            names = {hand.hand_id for hand in person.hands} or {''}
            memory.hands = {key: kept for key, kept in memory.hands.items() if key in names}
            looks += looks_at(person, memory, margin, (frame.width_px, frame.height_px))
        return people, looks

    @property
    def _memory_s(self) -> float:
        """For so long the past counts."""
        return max(self._settings.number('tracking.timeout'), _LEAST_MEMORY_S)

    def _memory(self, look: Look) -> HandMemory:
        return self._memories[look.person_id].of(look.hand_id)

    def _filtered(self, look: Look, outputs: Outputs, frame: Frame) -> Outputs:
        """Return what the network says about one square in the light of what it said before."""
        memory = self._memory(look)
        step_s = memory.clock.step_s(frame.stamp_ns, self._memory_s)
        if step_s is None or (memory.square or look.square).mirrored != look.square.mirrored:
            memory.outputs, memory.script = OutputFilter(), ScriptFilter()
        if self._behaviour.smooth_by_frame:
            return outputs
        return memory.outputs.update(outputs, step_s or NOMINAL_STEP_S, self._smoothing)

    def _remember(self, look: Look, captured: Captured) -> None:
        """Keep the meshes of one square."""
        memory = self._memory(look)
        if self._behaviour.smooth_by_frame and self._smoothing.enabled:
            captured = memory.script.update(captured)
        memory.square, memory.seen = look.square, captured
        memory.captured = unmirrored(captured, self._head) if look.square.mirrored else captured

    def _sight(self, look: Look, camera: Camera, asked: bool) -> _Sight:
        """Return what is known of one hand now."""
        memory = self._memory(look)
        assert memory.captured is not None
        assert memory.seen is not None
        if not asked:
            return _Sight(look, memory.captured, None)
        scale = self._size.scale(memory.seen, self._right, self._head)
        return _Sight(look, memory.captured, place(memory.seen, look.square, camera, scale))

    def _person(self, sights: Sequence[_Sight], seen: PersonObservation | None, camera: Camera,
                frame: Frame) -> list[HandFaceEstimate]:
        """Return one entry for each hand, or one for a face alone; all on one head."""
        memory = self._memories[sights[0].look.person_id]
        base = next((sight for sight in sights if sight.placement is not None), sights[0])
        if base.placement is not None and base.placement.is_sane():
            step_s = memory.clock.step_s(frame.stamp_ns, self._memory_s)
            if step_s is None:
                memory.place = PlaceFilter()
            memory.placement = memory.place.update(base.placement, step_s or NOMINAL_STEP_S,
                                                   self._smoothing)
        placement = memory.placement
        if placement is None:
            return []  # of no size: it can't be anywhere
        has_face = seen is None or seen.face is not None
        head = placement.body(base.captured.head)
        captures = [_on_the_head_of(base.captured, sight.captured) for sight in sights]
        deformation_m = placement.directions(
            _deepest([captured.deformation_m for captured in captures])).astype(np.float32)
        vertices_m = head.vertices_m.astype(np.float32) + deformation_m
        face_fresh = seen is None or seen.face_fresh
        common = {
            'person_id': base.look.person_id, 'scale_source': self._size.source(camera),
            'depth_stddev_m': self._size.depth_stddev_m(
                float(placement.translation_m[2]), camera),
            'face_pose': self._head.face_pose(head) if has_face else None,
            'face_landmarks_px': seen.face.points_px if seen and seen.face else None}
        face = BodyEstimate(
            self._head.topology.topology_id, vertices_m,
            seen.face.score if seen and seen.face else 1.0) if has_face else None
        if has_face:
            memory.surface = self._touch.surface(head, memory.surface)
        surface = memory.surface if has_face else None
        result = []
        for sight, captured in zip(sights, captures):
            look = sight.look
            measured = look.hand_fresh and face_fresh and sight.placement is not None
            state = State.MEASURED if measured else State.PREDICTED
            roi = Roi(*united([look.square], (frame.width_px, frame.height_px)))
            entry = HandFaceEstimate(**common, state=state, roi=roi, face=face)
            result.append(entry if not look.hand_id else self._with_hand(
                entry, look, captured, placement, surface))
        return result

    def _with_hand(self, entry: HandFaceEstimate, look: Look, captured: Captured,
                   placement: Placement, surface: HeadSurface | None) -> HandFaceEstimate:
        """Return an entry with its hand, and what that has to do with the face."""
        model = self._left if captured.left else self._right
        hand = placement.body(captured.hand)
        body = BodyEstimate(
            model.topology.topology_id, hand.vertices_m.astype(np.float32),
            look.hand.score if look.hand is not None else 1.0)
        entry = replace(
            entry, hand_id=look.hand_id, handedness=look.handedness,
            handedness_confidence=look.handedness_confidence, hand=body,
            wrist_pose=model.wrist_pose(hand),
            joints=model.openxr_joints(hand, captured.shape, placement.scale),
            hand_landmarks_px=look.hand.points_px if look.hand is not None else None)
        if entry.face is None or surface is None:
            return entry
        deformation_m = placement.directions(captured.deformation_m)
        touching = self._touch.find(surface, model, hand.vertices_m, captured.head_contact,
                                    deformation_m)
        return replace(
            entry, hand=replace(body, contact=captured.hand_contact.astype(np.float32)),
            face=replace(
                entry.face, contact=captured.head_contact.astype(np.float32),
                deformation_m=deformation_m.astype(np.float32) if deformation_m.any() else None,
                has_deformation=True),
            contact_probability=captured.presence, min_distance_m=touching.min_distance_m,
            max_deformation_m=touching.max_deformation_m, contacts=touching.regions)


def _on_the_head_of(base: Captured, other: Captured) -> Captured:
    """Return a capture turned so that its head lies on another view of the same head."""
    if other is base:
        return other
    turn = nearest_rotation(base.head.vertices_m.T @ other.head.vertices_m)
    placed = Placement(1.0, turn, np.zeros(3))
    return replace(other, hand=placed.body(other.hand), head=placed.body(other.head),
                   deformation_m=placed.directions(other.deformation_m))


def _deepest(deformations_m: Sequence[FloatArray]) -> FloatArray:
    """Return the displacement of a face under several hands: the deepest counts."""
    total = deformations_m[0]
    for other in deformations_m[1:]:
        deeper = (other ** 2).sum(1) > (total ** 2).sum(1)
        total = np.where(deeper[:, None], other, total)
    return total


def _finite(looks: Sequence[Look], rows: Sequence[Outputs]
            ) -> tuple[list[Look], list[Outputs]]:
    """Return the looks that the network answered with numbers, and these; none at all raises."""
    good = [(look, row) for look, row in zip(looks, rows) if row.is_finite()]
    if rows and not good:
        raise EstimatorError(
            'what the network says about ' + ('a hand' if len(rows) == 1 else
                                              f'all {len(rows)} hands'), state='not finite',
            expected='finite numbers', next_step='set backend.precision to fp32')
    return [look for look, _ in good], [row for _, row in good]


def _require_counts(hand: ParametricHand, head: ParametricHead) -> None:
    """Refuse bodies that the network's masks do not fit."""
    for label, body, wanted in (('hand', hand, HAND_VERTICES), ('head', head, HEAD_VERTICES)):
        if len(body.rest_vertices_m) != wanted:
            raise AssetError(f'the {label} model', expected=str(wanted),
                             state=f'of {len(body.rest_vertices_m)} vertices',
                             next_step='import the right file')
