# SPDX-License-Identifier: Apache-2.0
"""
The rooms behind the landmarks on scenes with known truth: fit, then contact.

Each scene is one frame from a cold start; a motion is a stream of them. `generated_scores` makes
figures of the results.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import OpenBodies
from ros2_dice.contact import ContactSolver, HandContact, SkinTables
from ros2_dice.evaluation.metrics import Score, centred_error_m, vertex_error_m
from ros2_dice.evaluation.motions import MOTION_KINDS, MotionKind, MotionSampler
from ros2_dice.evaluation.plausibility import TOLERANCE_M, FramePlausibility
from ros2_dice.evaluation.signed_distance import signed_distances_m
from ros2_dice.evaluation.synthetic import Kind, Scene, SceneSampler, observe
from ros2_dice.evaluation.truth import true_contact
from ros2_dice.fitting import FittedPerson, PersonFitter
from ros2_dice.landmarks import PersonObservation
from ros2_dice.parameters import Settings
from ros2_dice.types import FloatArray

KINDS: tuple[Kind, ...] = ('touch', 'hover', 'touch', 'pass', 'touch', 'apart')
"""As the samples take turns: the population for which the touch model's probabilities are meant,
see PRIOR in tools/train_touch.py."""
BAR_GAP_M, BAR_DEPTH_M = (0.0195, 0.0205), (0.4, 0.8)
"""Hover and camera of the bar: a single frame cannot tell touch from hover for sure."""
KNOWN_SIGMA = 0.01
"""Spread of the person's hand-to-head ratio where it is given."""
STAY_M = 0.01
"""A hand stays while it is no farther than this from its nearest."""
_HALF = 0.5


class Observer(Protocol):
    """Makes landmarks of the frames of one motion, or of one scene."""

    def stream(self, scenes: Sequence[Scene], stamps_ns: Sequence[int],
               rng: np.random.Generator) -> tuple[PersonObservation, ...]:
        """Return what the landmark networks might report, a frame each."""
        ...


class PlainNoise:
    """
    Landmarks with independent noise, frame by frame.

    Args:
        bodies: of the scenes.
        noise_px: standard deviation of each picture coordinate [px].
    """

    def __init__(self, bodies: OpenBodies, noise_px: float) -> None:
        self._bodies, self._noise_px = bodies, noise_px

    def stream(self, scenes: Sequence[Scene], stamps_ns: Sequence[int],
               rng: np.random.Generator) -> tuple[PersonObservation, ...]:
        """Return the landmarks of each frame."""
        return tuple(observe(scene, self._bodies, rng, self._noise_px) for scene in scenes)


@dataclass(frozen=True)
class MeshOutcome:
    """How far the meshes of one scene are off, and whether they are plausible."""

    hand_aligned_m: float
    """PA-PVE of the hand."""
    head_aligned_m: float
    """PA-PVE of the head's skin."""
    centred_m: float
    """PVE* of head skin and hand."""
    hand_in_head_m: float
    """Mean distance of hand vertices with the heads' centres together."""
    joints_m: float
    """MPJPE of the 21 hand landmarks, the heads' centres together."""
    joints_aligned_m: float
    joints_mirrored_m: float
    """PA-MPJPE, without and with reflection."""
    depth_ratio: float
    """Relative error of the hand's depth over the head's."""
    hand_vertices: Score
    head_vertices: Score
    plausibility: FramePlausibility
    truth_touches: bool
    """By the published rule: some hand vertex within 5 mm of the skin, or in it."""


@dataclass(frozen=True)
class Outcome:
    """One scene's truth and what became of it."""

    kind: str
    touch: bool
    gap_m: float
    """True smallest signed distance, negative = overlap."""
    probability: float
    """NaN = cannot tell, or no hand or head came out of the fit."""
    distance_m: float
    distance_stddev_m: float
    is_lost: bool
    """The fit gave no pair of hand and head."""
    region_right: bool | None = None
    """Of a touch that is said and true: is the face region where they truly are nearest."""
    meshes: MeshOutcome | None = None
    """Where it was asked for."""


class Bench:
    """
    Fit and contact, as the open estimator has them.

    Args:
        bodies: of the scenes.
        settings: of both.
    """

    def __init__(self, bodies: OpenBodies, settings: Settings) -> None:
        self._bodies = bodies
        self._fitter = PersonFitter(bodies, settings)
        self._solver = ContactSolver(bodies)
        head = bodies.head
        self._skin = SkinTables(head.faces, head.is_skin, head.rest_vertices_m,
                                head.regions == head.region_names.index('lips')).triangles
        self._face_m: FloatArray | None = None

    def apply(self, settings: Settings) -> None:
        """Take over other settings of the fit."""
        self._fitter.apply(settings)

    def single(self, scene: Scene, observation: PersonObservation, *, meshes: bool) -> Outcome:
        """Return what becomes of one scene from a cold start; judging `meshes` takes longest."""
        self._reset()
        fitted, contact = self._step(scene, observation, 0)
        outcome = Outcome(scene.kind, scene.is_touch, scene.gap_m, math.nan, math.nan, math.nan,
                          is_lost=True)
        if fitted is None or contact is None:
            return outcome
        said = {c.face_region for c in contact.regions if c.probability >= _HALF}
        both = scene.is_touch and contact.contact_probability >= _HALF
        return replace(
            outcome, probability=contact.contact_probability, distance_m=contact.min_distance_m,
            distance_stddev_m=contact.min_distance_stddev_m, is_lost=False,
            region_right=scene.face_region in said if both else None,
            meshes=self._meshes(scene, fitted, contact) if meshes else None)

    def follow(self, scenes: Sequence[Scene], observations: Sequence[PersonObservation],
               stamps_ns: Sequence[int]) -> list[float]:
        """Return the probability of touching in each frame of a motion, NaN = cannot tell."""
        self._reset()
        found = []
        for scene, observation, stamp_ns in zip(scenes, observations, stamps_ns):
            contact = self._step(scene, observation, stamp_ns)[1]
            found.append(math.nan if contact is None else contact.contact_probability)
        return found

    def _reset(self) -> None:
        self._fitter.reset()
        self._solver.reset()

    def _step(self, scene: Scene, observation: PersonObservation, stamp_ns: int
              ) -> tuple[FittedPerson | None, HandContact | None]:
        people = self._fitter.fit((observation,), scene.camera, stamp_ns)
        if not people or people[0].head is None or not people[0].hands:
            return None, None
        solved = self._solver.solve(people[0], scene.camera, stamp_ns)
        self._face_m = solved.face_vertices_m
        return people[0], solved.hands[people[0].hands[0].hand_id]

    def _meshes(self, scene: Scene, fitted: FittedPerson, contact: HandContact) -> MeshOutcome:
        """Hold one scene's meshes against its truth."""
        assert fitted.head is not None
        assert self._face_m is not None
        skin = self._bodies.head.is_skin
        true_head = np.asarray(scene.head_vertices_m, np.float64)
        true_signed_m = self._near_m(scene.hand_vertices_m, true_head)
        head, hand = np.asarray(fitted.head.vertices_m, np.float64), contact.vertices_m
        shift = true_head[skin].mean(0) - head[skin].mean(0)
        joints = fitted.hands[0].body.landmarks(contact.state)
        true_joints = self._bodies.hand(scene.left).landmarks(scene.hand)
        ratio = (hand[:, 2].mean() / head[skin, 2].mean()
                 / (scene.hand_vertices_m[:, 2].mean() / true_head[skin, 2].mean()))
        hand_touch, head_touch = self._touched(contact)
        true_hand_touch, true_head_touch = true_contact(
            true_signed_m, scene.hand_vertices_m, true_head, self._bodies.head)
        return MeshOutcome(
            vertex_error_m(hand, scene.hand_vertices_m, aligned=True),
            vertex_error_m(head[skin], true_head[skin], aligned=True),
            centred_error_m(head[skin], hand, true_head[skin], scene.hand_vertices_m),
            vertex_error_m(hand + shift, scene.hand_vertices_m, aligned=False),
            vertex_error_m(joints + shift, true_joints, aligned=False),
            vertex_error_m(joints, true_joints, aligned=True),
            vertex_error_m(joints, true_joints, aligned=True, reflection=True),
            float(ratio - 1),
            Score.of(hand_touch, true_hand_touch), Score.of(head_touch, true_head_touch),
            FramePlausibility.of(self._near_m(hand, self._face_m)),
            FramePlausibility.of(true_signed_m).touches)

    def _near_m(self, hand_m: FloatArray, head_m: FloatArray) -> FloatArray:
        return signed_distances_m(hand_m, head_m, self._skin, within_m=2 * TOLERANCE_M)

    def _touched(self, contact: HandContact) -> tuple[npt.NDArray[np.bool_], ...]:
        """Return which hand and head vertices are said to touch."""
        hand, face = contact.hand_contact, contact.face_contact
        nowhere = (np.zeros(len(contact.vertices_m), bool),
                   np.zeros(len(self._bodies.head.is_skin), bool))
        return (nowhere[0] if hand is None else hand >= _HALF,
                nowhere[1] if face is None else face >= _HALF)


def run_samples(bench: Bench, sampler: SceneSampler, observer: Observer, count: int, seed: int,
                show: Callable[[Scene, Outcome], None], advance: Callable[[str], None]
                ) -> list[Outcome]:
    """Return the outcomes of scenes of every kind, in turns; `show` is called with each."""
    rng = np.random.default_rng(seed)
    kinds: list[Kind] = [kind for kind in KINDS if kind in sampler.spread.gaps_m]
    found = []
    for number in range(count):
        scene = sampler.sample(rng, kinds[number % len(kinds)])
        observation = observer.stream((scene,), (0,), rng)[0]
        found.append(bench.single(scene, observation, meshes=True))
        show(scene, found[-1])
        advance('scenes')
    return found


def run_bar(bench: Bench, sampler: SceneSampler, observer: Observer, count: int, seed: int,
            known: Callable[[Scene, float], Settings] | None,
            advance: Callable[[str], None]) -> list[Outcome]:
    """
    Return the outcomes of touch and of hover at 2 cm in turns, camera 0.4 to 0.8 m away.

    Args:
        bench: fit and contact.
        sampler: of the scenes.
        observer: of the landmarks.
        count: of the scenes; the same seed gives the same scenes and landmarks.
        seed: of scenes and landmarks.
        known: settings that hold a scene's person's ratio with a relative error; None = unknown.
        advance: called after each scene.
    """
    rng = np.random.default_rng((seed, 2))
    errors = np.random.default_rng((seed, 3))
    found = []
    for number in range(count):
        kind: Kind = 'touch' if number % 2 == 0 else 'hover'
        scene = sampler.sample(rng, kind, gap_m=BAR_GAP_M if kind == 'hover' else None,
                               depth_m=BAR_DEPTH_M)
        observation = observer.stream((scene,), (0,), rng)[0]
        if known is not None:
            bench.apply(known(scene, float(errors.normal(0.0, KNOWN_SIGMA))))
        found.append(bench.single(scene, observation, meshes=False))
        advance('touch and hover at 2 cm')
    return found


@dataclass(frozen=True)
class MotionOutcome:
    """One motion's truth and what was said in each frame."""

    kind: str
    times_s: tuple[float, ...]
    truth: tuple[bool, ...]
    gaps_m: tuple[float, ...]
    probabilities: tuple[float, ...]
    """NaN = cannot tell."""

    @property
    def stay_probability(self) -> float:
        """Median over the frames in which the hand is where it came to; NaN = cannot tell."""
        nearest_m = min(self.gaps_m)
        stay = [p for p, gap in zip(self.probabilities, self.gaps_m)
                if gap <= nearest_m + STAY_M and math.isfinite(p)]
        return float(np.median(stay)) if stay else math.nan


def run_motions(bench: Bench, sampler: SceneSampler, observer: Observer, count: int, seed: int, *,
                bar: bool, advance: Callable[[str], None]) -> list[MotionOutcome]:
    """
    Return the outcomes of motions.

    Args:
        bench: fit and contact.
        sampler: of the moments that the motions are made around.
        observer: of the landmarks.
        count: of the motions.
        seed: of motions and landmarks.
        bar: touch and hover at 2 cm in turns, camera 0.4 to 0.8 m away; else every kind.
        advance: called after each motion.
    """
    rng = np.random.default_rng((seed, 4 + bar))
    motions = MotionSampler(sampler)
    found = []
    for number in range(count):
        if bar:
            kind: MotionKind = 'touch' if number % 2 == 0 else 'hover'
            motion = motions.sample(rng, kind, gap_m=BAR_GAP_M if kind == 'hover' else None,
                                    depth_m=BAR_DEPTH_M)
        else:
            kinds: list[MotionKind] = [
                k for k in MOTION_KINDS if k == 'slide' or k in sampler.spread.gaps_m]
            motion = motions.sample(rng, kinds[number % len(kinds)])
        seen = observer.stream(motion.scenes, motion.stamps_ns, rng)
        said = bench.follow(motion.scenes, seen, motion.stamps_ns)
        found.append(MotionOutcome(
            motion.kind, tuple(1e-9 * stamp_ns for stamp_ns in motion.stamps_ns),
            tuple(motion.truth), tuple(scene.gap_m for scene in motion.scenes), tuple(said)))
        advance('motions')
    return found


def known_ratio(bodies: OpenBodies, settings: Settings) -> Callable[[Scene, float], Settings]:
    """Return what gives a scene's person's sizes, the hand's with a relative error."""
    hand_m = bodies.hand_right.length_m(np.zeros(10))
    eyes_m = bodies.head.interpupillary_distance_m(np.zeros(bodies.head.identity_count))

    def known(scene: Scene, error: float) -> Settings:
        return settings.replace({
            'scale.hand_length': hand_m * math.exp(scene.hand.log_scale + error),
            'scale.interpupillary_distance': eyes_m * math.exp(scene.head.log_scale)})

    return known
