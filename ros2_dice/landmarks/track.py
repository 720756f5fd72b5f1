# SPDX-License-Identifier: Apache-2.0
"""Follows people from frame to frame; detectors run only for what is missing."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from ros2_dice.landmarks.belief import find_threshold
from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.crowd import Crowd
from ros2_dice.landmarks.cut import CutDetector
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.find_hand import is_plausible, same_hand
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.ids import IdSource
from ros2_dice.landmarks.networks import Networks, load_networks
from ros2_dice.landmarks.persons import (
    FaceSight,
    FaceTrack,
    HandTrack,
    Person,
    PersonObservation,
)
from ros2_dice.landmarks.regions import (
    REST,
    STEP,
    distance_over_size,
    face_from_landmarks,
    follow,
    hand_from_landmarks,
    nearest_over_size,
    step_size,
)
from ros2_dice.landmarks.search import Searcher
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame, Handedness

_MOST_MISSES = 15
"""Frames without a sight after which a track ends, also where the stamps stand still."""
_SAME_FACE = 0.25
"""Two faces so near (of the square) are one; people who pass each other come closer than finds."""
_BEHIND_FACE = 0.7
"""Distance (of the square) from a seen face from which a lost one may come back: who hides another
has a neck where the other one's face was."""
_OTHER_HAND = 0.5
"""Distance (of the square) from a seen hand from which a lost one may come back."""
_JUMP = 0.5
"""A hand does not move by more than this fraction of its square between frames."""
_SLIPPED = 0.15
"""Step of a face's square after which the network looks again: half a face in the square is seen
well enough to pass, but the landmarks bend a whole one to it."""
_GAP_S = 0.1
"""After a longer time without a frame the square must come to rest, however small its steps."""
_LOOKS = 6
"""Looks at most at a face in one frame."""
_WELL_SEEN = 0.8
"""Score less distance from the square's middle from which a hand is where it was foreseen."""
_SURE_HAND = 0.85
"""Score from which a hand at a face may look farther away than the face."""
_PAUSE = 15
"""Frames between two searches with every finder, where there is no cut."""
_SIDES = {'both': Handedness.UNKNOWN, 'left': Handedness.LEFT, 'right': Handedness.RIGHT}


class PersonTracker:
    """
    The eyes of the open estimator.

    Args:
        settings: `detection.*`, `tracking.*`, and the `backend.threads` and
            `backend.cache_directory` of the networks are read; pictures come upright.
        asset_directory: folder of the networks; empty = the user's data folder.
        networks: already loaded ones, for tests.

    Raises:
        AssetError: a network's file is missing or is not what the manifest names.
        EngineError: a file is not the expected network.
    """

    def __init__(self, settings: Settings, asset_directory: str = '',
                 networks: Networks | None = None) -> None:
        self._networks = networks or load_networks(settings, asset_directory)
        self._searcher = Searcher(self._networks)
        self._cuts = CutDetector()
        self.stage_times_s: dict[str, float] = {}
        self.apply(settings)
        self.reset()

    @property
    def engine(self) -> str:
        """Kind of engine and its precision, e.g. `openvino-fp32`."""
        return f'{self._networks.engine_name}-{self._networks.precision}'

    def apply(self, settings: Settings) -> None:
        """Take over new values of live parameters, between frames."""
        self._settings = settings

    def reset(self) -> None:
        """Forget all tracks; the next frame is a cold start with every finder."""
        self._crowd = Crowd(IdSource(self._settings.flag('tracking.deterministic_ids')))
        self._searcher.reset()
        self._cuts.reset()
        self._first = True
        self._pause = 0

    def close(self) -> None:
        """Release the networks."""
        self._networks.close()

    def observe(self, frame: Frame,
                meanwhile: Callable[[Sequence[FaceSight]], None] = lambda faces: None,
                ) -> tuple[PersonObservation, ...]:
        """
        Return who is in a frame, sorted by person_id; nobody is an empty tuple.

        Args:
            meanwhile: called with the followed faces while a hand's network may still be running;
                its time is in no stage.

        Raises:
            EngineError: an engine is broken. An odd picture is no error.
        """
        start_s = time.perf_counter()
        cut = self._cuts.is_cut(frame)
        if cut or not self._settings.flag('tracking.enabled'):
            self._crowd.clear()
        begin_s = time.perf_counter()
        self._begin_with_hand(frame)
        begun_s = time.perf_counter()
        lost = self._follow_faces(frame)
        faces_s = time.perf_counter()
        sights = [person.sight(frame.stamp_ns) for person in self._crowd.persons]
        meanwhile([sight for sight in sights if sight is not None])
        waiting_s = time.perf_counter()
        lost = self._follow_hands(frame) or lost
        hands_s = time.perf_counter()
        self._drop_lost(frame.stamp_ns)
        self._find(frame, cut, lost)
        self._crowd.persons = [p for p in self._crowd.persons if p.face or p.hands]
        end_s = time.perf_counter()
        self.stage_times_s = {'face_landmarks': faces_s - begun_s + begin_s - start_s,
                              'hand_landmarks': hands_s - waiting_s + begun_s - begin_s,
                              'detection': end_s - hands_s}
        side = _SIDES[self._settings.text('detection.hands')]
        reports = [person.report(side) for person in self._crowd.persons]
        return tuple(sorted((report for report in reports if report is not None),
                            key=lambda report: report.person_id))

    def _find(self, frame: Frame, cut: bool, lost: bool) -> None:
        """Search for what is missing, with more effort where a scene begins."""
        self._pause = max(0, self._pause - 1)
        nothing = not self._crowd.hand_regions() and not any(
            person.seen_face for person in self._crowd.persons)
        begins = cut or not self._settings.flag('tracking.enabled')
        if begins or (lost and nothing and not self._pause):
            self._searcher.search_all(frame, self._crowd, self._settings,
                                      patient=self._first)
            self._pause = _PAUSE
        else:
            self._searcher.search(frame, self._crowd, self._settings)
        self._first = False

    def _follow_faces(self, frame: Frame) -> bool:
        """Look where the faces were; return whether one is lost since the last frame."""
        threshold = self._settings.number('detection.face_threshold')
        taken: list[Region] = []
        lost = False
        tracks = [person.face for person in self._crowd.persons if person.face is not None]
        for track in sorted(tracks, key=lambda one: one.misses):  # who is seen has the first say
            face = self._look_at_face(frame, track, threshold)
            nearest = math.inf if face is None else nearest_over_size(face.roi, taken)
            if track.misses and nearest < _BEHIND_FACE:
                track.misses += 1
            elif nearest < _SAME_FACE:
                track.misses = _MOST_MISSES + 1  # two tracks on one face: the later one ends
            elif face is not None and track.belief.add(
                    self._face_score(frame, face, track),
                    find_threshold(threshold) if track.misses else threshold):
                track.see(face, frame.stamp_ns)
                taken.append(face.roi)
            else:
                lost = lost or not track.misses
                track.misses += 1
        return lost

    def _look_at_face(self, frame: Frame, track: FaceTrack,
                      threshold: float) -> FaceObservation | None:
        """Return the face near its last place, from a square about it; None = odd landmarks."""
        region = face_from_landmarks(track.last.points_px)
        if not region.is_sane():
            return None
        face = self._networks.face.observe(frame, follow(track.last.roi, region))
        goes_on = 0 <= frame.stamp_ns - track.seen_ns <= _GAP_S * 1e9
        for _ in range(_LOOKS - 1):
            region = face_from_landmarks(face.points_px)
            if face.score < threshold or not region.is_sane() \
                    or step_size(face.roi, region) < (_SLIPPED if goes_on else REST):
                break
            face = self._networks.face.observe(frame, region)
        return face

    def _face_score(self, frame: Frame, face: FaceObservation, track: FaceTrack) -> float:
        """Return the score of a face; one lost or not proven must also pass in a mirror."""
        if track.belief.confirmed and not track.misses:
            return face.score
        mirrored = self._networks.face.observe(frame, face.roi._replace(mirrored=True))
        return min(face.score, mirrored.score)

    def _begin_with_hand(self, frame: Frame) -> None:
        """Begin to look at the first hand; the face comes meanwhile."""
        if self._networks.hand_beside is None:
            return
        track = next((hand for _, hand in _in_order(self._crowd.persons)), None)
        squares = None if track is None else _squares(track, frame.stamp_ns)
        if squares is not None:
            self._networks.hand_beside.start(frame, squares[0])

    def _follow_hands(self, frame: Frame) -> bool:
        """Look where the hands were; return whether one is lost since the last frame."""
        taken: list[Region] = []
        lost = False
        for person, track in _in_order(self._crowd.persons):
            hand = self._look_at_hand(frame, track)
            face = person.seen_face
            if hand is None or (face is not None and not is_plausible(
                    hand, [face], sure=hand.score >= _SURE_HAND)) or (
                        track.misses and nearest_over_size(hand.roi, taken) < _OTHER_HAND):
                lost = lost or not track.misses
                track.misses += 1
            elif any(same_hand(hand.roi, other) for other in taken):
                track.misses = _MOST_MISSES + 1  # two tracks on one hand: the later one ends
            else:
                track.see(hand, frame.stamp_ns)
                taken.append(hand.roi)
        return lost

    def _look_at_hand(self, frame: Frame, track: HandTrack) -> HandObservation | None:
        """Return a hand near its last place, shown to the network as a right one."""
        squares = _squares(track, frame.stamp_ns)
        if squares is None:
            return None
        hand = self._hand_in(frame, squares[0])
        if len(squares) > 1 and _fit_of_square(hand) < _WELL_SEEN:
            hand = max(self._hand_in(frame, squares[1]), hand, key=_fit_of_square)
        threshold = self._settings.number('detection.hand_threshold')
        seen = track.belief.add(hand.score, threshold)
        after = hand_from_landmarks(hand.points_px, hand.roi.mirrored)
        if not seen or not after.is_sane() or distance_over_size(after, hand.roi) > _JUMP:
            return None
        return hand

    def _hand_in(self, frame: Frame, region: Region) -> HandObservation:
        beside = self._networks.hand_beside
        hand = None if beside is None else beside.seen(region)
        return hand or self._networks.hand.observe(frame, region)

    def _drop_lost(self, stamp_ns: int) -> None:
        """End tracks that were not seen for `tracking.timeout`, and unproven ones at once."""
        timeout_ns = self._settings.number('tracking.timeout') * 1e9

        def ended(track: FaceTrack | HandTrack) -> bool:
            return track.misses > 0 and (
                not track.belief.confirmed or track.misses > _MOST_MISSES
                or not 0 <= stamp_ns - track.seen_ns <= timeout_ns)

        for person in self._crowd.persons:
            if person.face is not None and ended(person.face):
                person.face = None
            person.hands = [hand for hand in person.hands if not ended(hand)]
        self._crowd.persons = [p for p in self._crowd.persons if p.face or p.hands]


def _in_order(persons: Sequence[Person]) -> list[tuple[Person, HandTrack]]:
    """Return the hands as they are looked at: seen and proven ones have the first say."""
    hands = [(person, hand) for person in persons for hand in person.hands]
    return sorted(hands, key=lambda one: (one[1].misses > 0, not one[1].belief.confirmed))


def _squares(track: HandTrack, stamp_ns: int) -> list[Region] | None:
    """Return where to look for a hand, one after the other; None = its landmarks are odd."""
    mirrored = not track.vote.looks_right if track.vote.settled else track.last.roi.mirrored
    region = hand_from_landmarks(track.last.points_px, mirrored)
    if not region.is_sane():
        return None
    plain = follow(track.last.roi, region)
    x, y = track.motion.step_px(stamp_ns)
    if math.hypot(x, y) <= STEP * region.size_px:
        return [plain]
    # A fast hand would be at the edge of the square, where the network sees it badly.
    return [region._replace(cx_px=region.cx_px + x, cy_px=region.cy_px + y), plain]


def _fit_of_square(hand: HandObservation) -> float:
    """Return the score, less for a hand beside the middle of its square (fraction of it)."""
    after = hand_from_landmarks(hand.points_px)
    return hand.score - distance_over_size(after, hand.roi) if after.is_sane() else -1.0
