# SPDX-License-Identifier: Apache-2.0
"""Follows people from frame to frame; detectors run only for what is missing."""
from __future__ import annotations

import math
import time

from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.cut import CutDetector
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.find_face import FaceFinder, same_face
from ros2_dice.landmarks.find_hand import WINDOWS, HandFinder, same_hand
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.ids import IdSource
from ros2_dice.landmarks.networks import Networks, load_networks
from ros2_dice.landmarks.persons import (
    FaceTrack,
    HandTrack,
    Person,
    PersonObservation,
    distance_in_faces,
    owner,
)
from ros2_dice.landmarks.regions import (
    distance_over_size,
    face_from_landmarks,
    hand_from_landmarks,
)
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame, Handedness

_KEEP = 0.6
"""A track goes on while its score is above this fraction of the threshold."""
_MOST_MISSES = 15
"""Frames without a sight after which a track ends, also where the stamps stand still."""
_SECOND_HAND_EVERY = 4
"""Frames between tries to find a second hand; a first one is looked for in every frame."""
_MORE_PEOPLE_EVERY = 8
_SIDES = {'both': Handedness.UNKNOWN, 'left': Handedness.LEFT, 'right': Handedness.RIGHT}


class PersonTracker:
    """
    The eyes of the open estimator.

    Args:
        asset_directory: folder of the networks; empty = the user's data folder.
        networks: already loaded ones, for tests.

    Raises:
        AssetError: a network's file is missing or is not what the manifest names.
        EngineError: a file is not the expected network.
    """

    def __init__(self, settings: Settings, asset_directory: str = '',
                 networks: Networks | None = None) -> None:
        self._networks = networks or load_networks(settings, asset_directory)
        self._faces = FaceFinder(self._networks)
        self._hands = HandFinder(self._networks)
        self._cuts = CutDetector()
        self.stage_times_s: dict[str, float] = {}
        self.apply(settings)
        self.reset()

    @property
    def engine_name(self) -> str:
        """Kind of engine and its precision, e.g. `openvino-fp32`."""
        return f'{self._networks.engine_name}-{self._networks.precision}'

    def apply(self, settings: Settings) -> None:
        """Take over new values of live parameters, between frames."""
        self._settings = settings
        self._turn_rad = -math.radians(settings.integer('input.rotation'))

    def reset(self) -> None:
        """Forget all tracks; names start anew only where they are deterministic."""
        self._ids = IdSource(self._settings.flag('tracking.deterministic_ids'))
        self._persons: list[Person] = []
        self._cuts.reset()
        self._tick = 0

    def close(self) -> None:
        """Release the networks."""
        self._networks.close()

    def observe(self, frame: Frame) -> tuple[PersonObservation, ...]:
        """
        Return who is in a frame, sorted by person_id; nobody is an empty tuple.

        Raises:
            EngineError: an engine is broken. An odd picture is no error.
        """
        start = time.perf_counter()
        self._tick += 1
        cut = self._cuts.is_cut(frame)
        if cut or not self._settings.flag('tracking.enabled'):
            self._persons = []
        self._follow_faces(frame)
        faces_done = time.perf_counter()
        self._follow_hands(frame)
        hands_done = time.perf_counter()
        self._drop_lost(frame.stamp_ns)
        if not self._persons and (cut or not self._settings.flag('tracking.enabled')):
            self._search_thoroughly(frame)
        else:
            self._search_a_little(frame)
        self._persons = [p for p in self._persons if p.face or p.hands]
        end = time.perf_counter()
        self.stage_times_s = {'face_landmarks': faces_done - start,
                              'hand_landmarks': hands_done - faces_done,
                              'detection': end - hands_done}
        side = _SIDES[self._settings.text('detection.hands')]
        mirrored = self._settings.flag('input.mirrored')
        reports = (person.report(side, mirrored) for person in self._persons)
        return tuple(sorted((r for r in reports if r.face or r.hands),
                            key=lambda report: report.person_id))

    def _follow_faces(self, frame: Frame) -> None:
        keep = _KEEP * self._settings.number('detection.face_threshold')
        for person in self._persons:
            track = person.face
            if track is None:
                continue
            region = face_from_landmarks(track.last.points_px)
            seen = self._networks.face.observe(frame, region) if region.is_sane() else None
            if seen is not None and seen.score >= keep:
                track.last, track.seen_ns, track.misses = seen, frame.stamp_ns, 0
            else:
                track.misses += 1

    def _follow_hands(self, frame: Frame) -> None:
        keep = _KEEP * self._settings.number('detection.hand_threshold')
        taken: list[Region] = []
        for person in self._persons:
            for track in person.hands:
                mirrored = (not track.vote.looks_right if track.vote.settled
                            else track.last.roi.mirrored)
                region = hand_from_landmarks(track.last.points_px, mirrored)
                seen = self._networks.hand.observe(frame, region) if region.is_sane() else None
                if seen is None or seen.score < keep:
                    track.misses += 1
                elif any(same_hand(seen.roi, other) for other in taken):
                    track.misses = _MOST_MISSES + 1  # two tracks on one hand: the later one ends
                else:
                    track.last, track.seen_ns, track.misses = seen, frame.stamp_ns, 0
                    track.vote.add(seen.right_probability)
                    taken.append(seen.roi)

    def _drop_lost(self, stamp_ns: int) -> None:
        timeout_ns = self._settings.number('tracking.timeout') * 1e9

        def lost(track: FaceTrack | HandTrack) -> bool:
            return track.misses > 0 and (track.misses > _MOST_MISSES or not (
                0 <= stamp_ns - track.seen_ns <= timeout_ns))

        for person in self._persons:
            if person.face is not None and lost(person.face):
                person.face = None
            person.hands = [hand for hand in person.hands if not lost(hand)]
        self._persons = [person for person in self._persons if person.face or person.hands]

    def _search_thoroughly(self, frame: Frame) -> None:
        """Use every finder; for the first frame and after a cut."""
        face_threshold = self._settings.number('detection.face_threshold')
        for face in self._faces.thorough(frame, self._turn_rad, [], face_threshold):
            self._add_face(frame, face)
        hand_threshold = self._settings.number('detection.hand_threshold')
        for hand in self._hands.in_picture(frame, self._turn_rad, [], hand_threshold):
            self._add_hand(frame, hand)
        for attempt in range(len(WINDOWS)):
            for person in self._persons:
                if person.face is not None and not person.hands:
                    for hand in self._hands.at_face(frame, person.face.last, attempt,
                                                    self._hand_regions(), hand_threshold):
                        self._add_hand(frame, hand)

    def _search_a_little(self, frame: Frame) -> None:
        """Try one finder at most, another one in each frame, so that no frame takes long."""
        people = self._settings.integer('detection.max_persons')
        faces = [p.face.last for p in self._persons if p.face and not p.face.misses]
        every = 2 if not faces else _MORE_PEOPLE_EVERY
        if len(faces) < people and self._tick % every == 0:
            for face in self._faces.quick(frame, self._turn_rad, self._tick // every,
                                          [face.roi for face in faces],
                                          self._settings.number('detection.face_threshold')):
                self._add_face(frame, face)
            return
        side = self._settings.text('detection.hands')
        wanted = max(len(faces), 1) * (2 if side == 'both' else 1)
        hands = sum(not hand.misses for p in self._persons for hand in p.hands)
        if hands >= wanted:
            return
        every = 1 if hands == 0 else _SECOND_HAND_EVERY
        if self._tick % every:
            return
        attempt = self._tick // every
        threshold = self._settings.number('detection.hand_threshold')
        needy = [p.face.last for p in self._persons
                 if p.face and not p.face.misses and len(p.hands) < 2]
        if not needy or attempt % 2 == 0:
            found = self._hands.in_picture(frame, self._turn_rad, self._hand_regions(), threshold)
        else:
            face = needy[(attempt // 2) % len(needy)]
            found = self._hands.at_face(frame, face, attempt // (2 * len(needy)),
                                        self._hand_regions(), threshold)
        for hand in found:
            self._add_hand(frame, hand)

    def _hand_regions(self) -> list[Region]:
        return [hand.last.roi for p in self._persons for hand in p.hands if not hand.misses]

    def _add_face(self, frame: Frame, face: FaceObservation) -> None:
        """Give a found face to the person who lost it, to one without, or to a new one."""
        track = FaceTrack(face, frame.stamp_ns)
        for person in self._persons:
            if person.face and person.face.misses and same_face(person.face.last.roi, face.roi):
                person.face = track
                return
        for person in self._persons:
            if person.face is None and any(
                    distance_in_faces(face, hand.last.roi) < 3.0 for hand in person.hands):
                person.face = track
                return
        if sum(p.face is not None for p in self._persons) < self._settings.integer(
                'detection.max_persons'):
            self._persons.append(Person(self._ids.new(), track))

    def _add_hand(self, frame: Frame, hand: HandObservation) -> None:
        """Give a found hand to the track that lost it, or to the person it belongs to."""
        if any(same_hand(hand.roi, other) for other in self._hand_regions()):
            return
        for person in self._persons:
            for track in person.hands:
                if track.misses and distance_over_size(track.last.roi, hand.roi) < 0.5:
                    track.last, track.seen_ns, track.misses = hand, frame.stamp_ns, 0
                    track.vote.add(hand.right_probability)
                    return
        person = owner(self._persons, hand)
        if person is None:
            if len(self._persons) >= self._settings.integer('detection.max_persons'):
                return
            person = Person(self._ids.new())
            self._persons.append(person)
        track = HandTrack(self._ids.new(), hand, frame.stamp_ns)
        track.vote.add(hand.right_probability)
        person.hands.append(track)
