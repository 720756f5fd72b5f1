# SPDX-License-Identifier: Apache-2.0
"""The facade of contact: one person's fitted bodies in, who touches what out."""
from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ros2_dice.assets import find_asset
from ros2_dice.contact.distance import HeadSurface, SkinTables
from ros2_dice.contact.evidence import read_evidence, read_fits
from ros2_dice.contact.learned import load_touch_model
from ros2_dice.contact.masks import ContactMasks, masks
from ros2_dice.contact.movement import Look
from ros2_dice.contact.ratio import LearntRatio, PersonRatio
from ros2_dice.contact.sampling import HandTables
from ros2_dice.contact.settle import Settled, scaled_about_camera, settle_clear, settle_touching
from ros2_dice.contact.stiffness import indentation_limits_m
from ros2_dice.contact.touch import APART_LOG_ODDS, TouchModel, touch_factor
from ros2_dice.contact.track import FORGET_S, TouchTrack
from ros2_dice.types import Camera, RegionContact, State

if TYPE_CHECKING:
    from ros2_dice.bodies import HandState, OpenBodies, OpenHand
    from ros2_dice.fitting import FittedHand, FittedHead, FittedPerson

FloatArray = npt.NDArray[np.floating]

APART_M = 0.03
"""Hand and head farther apart than this in the picture can't touch."""
RATIO_MEMORY_S = 60.0
"""A person whose hands were away from the face for so long is learnt anew: names may be reused."""
LARGEST_SIGMA = 0.4
"""Of the log depth, as it is stated: where nothing is known, a hand is still seen."""
TOUCH_STDDEV_M = 0.003
"""Of the distance, where the hand does touch."""


@dataclass(frozen=True, eq=False)
class HandContact:
    """What one hand has to do with its person's face."""

    contact_probability: float
    """NaN = cannot tell: no face."""
    state: HandState
    """The hand in its final place; gives `vertices_m`, up to flesh that gave way."""
    vertices_m: npt.NDArray[np.float32]
    """(V_hand, 3) [m], on the skin if it touches, clear of it if not."""
    hand_contact: npt.NDArray[np.float32] | None = None
    """(V_hand,) probability of touching; None without a face."""
    face_contact: npt.NDArray[np.float32] | None = None
    """(V_head,) probability of being touched by this hand; None without a face."""
    deformation_m: npt.NDArray[np.float32] | None = None
    """(V_head, 3) displacement due to this hand [m]; None = zero everywhere."""
    max_deformation_m: float = 0.0
    min_distance_m: float = math.nan
    """Smallest signed distance to the undented face; negative = indentation."""
    min_distance_stddev_m: float = math.nan
    regions: tuple[RegionContact, ...] = ()


@dataclass(frozen=True, eq=False)
class PersonContact:
    """All hands of one person, and the face dented by them."""

    face_vertices_m: npt.NDArray[np.float32] | None
    """(V_head, 3) [m]; None without a face."""
    hands: dict[str, HandContact]
    """By hand_id."""


class ContactSolver:
    """
    Tells touch from hover, settles the hands, dents the face.

    Args:
        bodies: the open bodies.
        model: weighs one frame's evidence; None = the learned one that ships.

    Raises:
        AssetError: the file of the learned model is missing or not right.
    """

    def __init__(self, bodies: OpenBodies, model: TouchModel | None = None) -> None:
        head = bodies.head
        is_lip = head.regions == head.region_names.index('lips')
        self._bodies = bodies
        self._skin = SkinTables(head.faces, head.is_skin, head.rest_vertices_m, is_lip)
        self._hands = {hand.left: HandTables(hand) for hand in (bodies.hand_left,
                                                               bodies.hand_right)}
        self._limits_m = indentation_limits_m(head)
        self._model = model or load_touch_model(find_asset('touch_model'))
        self.stage_times_s: dict[str, float] = {}
        """Seconds of the last call: surface, touch, contact."""
        self.reset()

    def reset(self) -> None:
        """Forget every hand."""
        self._tracks: dict[str, TouchTrack] = {}
        self._surfaces: dict[str, tuple[int, HeadSurface]] = {}
        self._ratios: dict[str, tuple[int, PersonRatio]] = {}

    def prepare(self, person_id: str, head: FittedHead, hands_px: Sequence[FloatArray],
                camera: Camera, stamp_ns: int) -> None:
        """
        Do ahead what needs the head alone; `solve` gives the same without it, only later.

        Args:
            person_id: whose head it is.
            head: of this frame.
            hands_px: (21, 2) each [px], about where this person's hands are.
            camera: of the frame.
            stamp_ns: of the frame [ns].
        """
        surface = self._surface(person_id, head, stamp_ns)
        surface.look_behind((np.concatenate(hands_px) - (camera.cx_px, camera.cy_px))
                            / (camera.fx_px, camera.fy_px))

    def solve(self, person: FittedPerson, camera: Camera, stamp_ns: int) -> PersonContact:
        """
        Return the contacts of one person in one frame.

        Args:
            person: fitted bodies.
            camera: of the frame.
            stamp_ns: of the frame [ns]; a stamp that goes back makes the hands start afresh.
        """
        times = self.stage_times_s = {'surface': 0.0, 'touch': 0.0, 'contact': 0.0}
        if person.head is None:
            return PersonContact(None, {hand.hand_id: HandContact(
                math.nan, hand.state, hand.vertices_m) for hand in person.hands})
        rest = person.head.vertices_m
        surface: HeadSurface | None = None
        hands: dict[str, HandContact] = {}
        for hand in person.hands:
            track = self._track(hand.hand_id, stamp_ns)
            if self._is_apart(hand, rest):
                started = time.perf_counter()
                hands[hand.hand_id] = self._apart(hand, rest, track, stamp_ns)
                times['touch'] += time.perf_counter() - started
                continue
            started = time.perf_counter()
            if surface is None:
                surface = self._surface(person.person_id, person.head, stamp_ns)
            posed = time.perf_counter()
            probability, least = self._judge(
                hand, person.head, surface, track, self._ratio(person, stamp_ns), camera,
                stamp_ns)
            judged = time.perf_counter()
            hands[hand.hand_id] = self._settled(hand, surface, track, probability, least)
            times['surface'] += posed - started
            times['touch'] += judged - posed
            times['contact'] += time.perf_counter() - judged
        self._forget_old(stamp_ns)
        return PersonContact(_dented(rest, hands), hands)

    def _track(self, hand_id: str, stamp_ns: int) -> TouchTrack:
        return self._tracks.setdefault(hand_id, TouchTrack())

    @property
    def hand_to_head(self) -> dict[str, LearntRatio]:
        """What was learnt of people's hands against their heads, by person_id."""
        return {person_id: ratio.learnt() for person_id, (_, ratio) in list(self._ratios.items())
                if ratio.approaches > 0.0}

    def _ratio(self, person: FittedPerson, stamp_ns: int) -> PersonRatio:
        """Return what is known of this person's sizes; a new measured size starts anew."""
        _, ratio = self._ratios.get(person.person_id, (0, None))
        if ratio is None or ratio.prior != (person.ratio.log_ratio, person.ratio.sigma):
            ratio = PersonRatio(person.ratio.sigma, person.ratio.log_ratio)
        self._ratios[person.person_id] = stamp_ns, ratio
        return ratio

    def _surface(self, person_id: str, head: FittedHead, stamp_ns: int) -> HeadSurface:
        _, surface = self._surfaces.get(person_id, (0, None))
        surface = surface or HeadSurface(self._skin)
        self._surfaces[person_id] = stamp_ns, surface
        surface.pose(head.vertices_m, head.state.rotation, head.state.translation_m)
        return surface

    def _forget_old(self, stamp_ns: int) -> None:
        limit = FORGET_S * 1e9
        for hand_id, track in list(self._tracks.items()):
            if track.stamp_ns is None or abs(stamp_ns - track.stamp_ns) > limit:
                del self._tracks[hand_id]
        for person_id, (seen_ns, _) in list(self._surfaces.items()):
            if abs(stamp_ns - seen_ns) > 20 * limit:
                del self._surfaces[person_id]
        for person_id, (seen_ns, _) in list(self._ratios.items()):
            if abs(stamp_ns - seen_ns) > RATIO_MEMORY_S * 1e9:
                del self._ratios[person_id]

    def _judge(self, hand: FittedHand, head: FittedHead, surface: HeadSurface,
               track: TouchTrack, ratio: PersonRatio, camera: Camera, stamp_ns: int
               ) -> tuple[float, float]:
        """Return the probability of touching and the hand's least log depth factor."""
        track.fits = read_fits(hand, head, track.fits)
        seen, least, place = read_evidence(hand, head, surface, self._hands[hand.body.left],
                                           camera, track.fits)
        evidence = replace(seen, depth_factor=seen.depth_factor - ratio.mean,
                           size_sigma=ratio.sigma)
        noise = self._model.noise(seen)
        track.depth_sigma = min(math.hypot(ratio.sigma, noise.sigma), LARGEST_SIGMA)
        odds = self._model.log_odds(evidence)
        ratio.update(hand.hand_id, seen.depth_factor, noise, odds, track.elapsed_s(stamp_ns))
        shift = touch_factor(evidence, noise) and seen.depth_factor
        look = Look(odds, seen.depth_factor, shift, seen.picture_gap, place,
                    hand.measured is State.MEASURED)
        return track.update(look, stamp_ns), least

    def _settled(self, hand: FittedHand, surface: HeadSurface, track: TouchTrack,
                 probability: float, least: float) -> HandContact:
        tables, body = self._hands[hand.body.left], hand.body
        state = scaled_about_camera(hand.state, track.depth_shift)
        vertices = hand.vertices_m * math.exp(track.depth_shift)
        if track.touching:
            settled = settle_touching(body, state, vertices, surface, tables, self._limits_m,
                                      track.correction)
        else:
            settled = settle_clear(state, vertices, surface, tables, least - track.depth_shift)
        track.correction = settled.correction
        found = masks(settled, surface, self._skin, self._limits_m, probability, track.touching,
                      tables.cluster)
        nearest = float(settled.distance.signed_m.min())
        depth_sigma_m = track.depth_sigma * float(settled.state.translation_m[2])
        touch_share = probability if track.touching else 0.0
        stddev = math.sqrt(touch_share * TOUCH_STDDEV_M ** 2
                           + (1.0 - touch_share) * depth_sigma_m ** 2)
        return self._contact(body, settled, found, probability, nearest, stddev)

    def _contact(self, body: OpenHand, settled: Settled, found: ContactMasks, probability: float,
                 nearest_m: float, stddev_m: float) -> HandContact:
        head = self._bodies.head
        return HandContact(
            probability, settled.state, settled.vertices_m.astype(np.float32), found.hand,
            found.face, found.deformation_m, found.max_deformation_m, nearest_m, stddev_m,
            found.regions(body, head, settled, stddev_m))

    def _is_apart(self, hand: FittedHand, head_m: FloatArray) -> bool:
        """Return whether both boxes in the picture, at the head's depth, leave a wide gap."""
        hand_m = hand.vertices_m[self._hands[hand.body.left].samples]
        # The box around a few points is smaller: no wide gap there is none at all.
        return all(_gap_m(hand_m, head_m[thin]) > APART_M
                   for thin in (self._skin.thin[::8], self._skin.thin))

    def _apart(self, hand: FittedHand, head_m: FloatArray, track: TouchTrack,
               stamp_ns: int) -> HandContact:
        """Return the contact of a hand that is nowhere near the head in the picture."""
        probability = track.update(Look(APART_LOG_ODDS), stamp_ns)
        samples = hand.vertices_m[self._hands[hand.body.left].samples[:60]]
        thin = head_m[self._skin.thin[::8]]
        squared = ((samples[:, None] - thin[None]) ** 2).sum(2).min()
        return HandContact(
            probability, hand.state, hand.vertices_m,
            np.zeros(len(hand.vertices_m), np.float32), np.zeros(len(head_m), np.float32),
            min_distance_m=float(np.sqrt(squared)),
            min_distance_stddev_m=hand.prior.sigma * abs(float(hand.state.translation_m[2])))


def _gap_m(hand_m: FloatArray, head_m: FloatArray) -> float:
    """Return the gap between both boxes in the picture, at the head's depth [m]."""
    depth_m = float(head_m[:, 2].mean())
    if min(depth_m, float(hand_m[:, 2].min()), float(head_m[:, 2].min())) <= 1e-3:
        return 0.0
    seen, behind = hand_m[:, :2] / hand_m[:, 2:], head_m[:, :2] / head_m[:, 2:]
    gap = np.maximum(behind.min(0) - seen.max(0), seen.min(0) - behind.max(0))
    return float(gap.max()) * depth_m


def _dented(rest_m: npt.NDArray[np.float32], hands: dict[str, HandContact]
            ) -> npt.NDArray[np.float32]:
    """Return the face with all dents; where two overlap, the deeper one counts."""
    dents = [contact.deformation_m for contact in hands.values()
             if contact.deformation_m is not None]
    if not dents:
        return rest_m
    total = dents[0]
    for dent in dents[1:]:
        deeper = (dent ** 2).sum(1) > (total ** 2).sum(1)
        total = np.where(deeper[:, None], dent, total)
    return rest_m + total
