# SPDX-License-Identifier: Apache-2.0
"""When to look for whom: everything at once at a start or a cut, else one small try a frame."""
from __future__ import annotations

from ros2_dice.landmarks.belief import SURE
from ros2_dice.landmarks.crowd import Crowd
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.find_face import FaceFinder
from ros2_dice.landmarks.find_hand import WINDOWS, FoundHand, HandFinder
from ros2_dice.landmarks.networks import Networks
from ros2_dice.landmarks.persons import Person
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame

_SECOND_HAND_EVERY = 4
"""Frames between tries for a second hand; a first one is looked for in every frame."""
_MORE_PEOPLE_EVERY = 8
_FIRST_WINDOWS = 6
"""How many windows a cut spends on a person without a hand, and a cold start on a second one."""


class Searcher:
    """Spreads the detectors over the frames, in an order that depends on the frames alone."""

    def __init__(self, networks: Networks) -> None:
        self._faces = FaceFinder(networks)
        self._hands = HandFinder(networks)
        self._tick = 0

    def reset(self) -> None:
        """Start the order anew."""
        self._tick = 0

    def search(self, frame: Frame, crowd: Crowd, settings: Settings,
               ) -> None:
        """Try one finder at most, for what is missing most; some milliseconds."""
        self._tick += 1
        most = settings.integer('detection.max_persons')
        faces = _faces(crowd)
        every = 2 if not faces else _MORE_PEOPLE_EVERY
        if len(faces) < most and self._tick % every == 0:
            for found in self._faces.quick(
                    frame, self._tick // every, [face.roi for face in faces],
                    settings.number('detection.face_threshold')):
                crowd.add_face(found, frame.stamp_ns, most, proven=False)
            return
        hands = len(crowd.hand_regions())
        wanted = max(len(faces), 1) * _hands_wanted(settings)
        every = 1 if hands == 0 else _SECOND_HAND_EVERY
        if hands < wanted and self._tick % every == 0:
            for found in self._try_hand(frame, crowd, settings, self._tick // every):
                crowd.add_hand(found, frame.stamp_ns, most, proven=found.quality >= SURE)

    def _try_hand(self, frame: Frame, crowd: Crowd, settings: Settings,
                  attempt: int) -> list[FoundHand]:
        threshold = settings.number('detection.hand_threshold')
        known = crowd.hand_regions()
        needy = _needy(crowd, _hands_wanted(settings))
        if not needy or attempt % 2 == 0:
            return self._hands.in_picture(frame, known, _faces(crowd), threshold)
        attempt //= 2
        face = needy[attempt % len(needy)]
        return self._hands.at_face(frame, face, attempt // len(needy), known, threshold)

    def search_all(self, frame: Frame, crowd: Crowd, settings: Settings, *,
                   patient: bool) -> None:
        """
        Use every finder until everybody has a face and a hand.

        Args:
            patient: also look for second hands and for hands of bodies; for still pictures and
                the first frame of a stream, where some tenths of a second do not matter.
        """
        most = settings.integer('detection.max_persons')
        stamp_ns = frame.stamp_ns
        self._hands.patient = patient
        followed = [person.face for person in crowd.persons if person.face is not None]
        for found in self._faces.thorough(
                frame, settings.number('detection.face_threshold'), most,
                patient=patient):
            crowd.add_face(found, stamp_ns, most, proven=patient or found.quality >= SURE)
        threshold = settings.number('detection.hand_threshold')
        faces = _faces(crowd)

        def add(finds: list[FoundHand]) -> None:
            for found in finds:
                crowd.add_hand(found, stamp_ns, most,
                               proven=patient or found.quality >= SURE)

        add(self._hands.in_picture(frame, [], faces, threshold))
        if patient:
            add(self._hands.in_turned_picture(frame, crowd.hand_regions(), faces,
                                              threshold))
        for attempt in range(len(WINDOWS) if patient else _FIRST_WINDOWS):
            wanted = _hands_wanted(settings) if patient and attempt < _FIRST_WINDOWS else 1
            for face in _needy(crowd, wanted):
                add(self._hands.at_face(frame, face, attempt, crowd.hand_regions(), threshold))
        if patient and (_needy(crowd, 1) or not faces):
            add(self._hands.at_bodies(frame, most, crowd.hand_regions(), faces,
                                      threshold))
        crowd.end_faces_in_hands(followed)
        self._hands.patient = False


def _faces(crowd: Crowd) -> list[FaceObservation]:
    faces = (person.seen_face for person in crowd.persons)
    return [face for face in faces if face is not None]


def _needy(crowd: Crowd, wanted: int) -> list[FaceObservation]:
    """Return the faces of people with fewer hands than wanted."""
    def lacks(person: Person) -> bool:
        return len(person.seen_hands()) < wanted

    faces = (person.seen_face for person in crowd.persons if lacks(person))
    return [face for face in faces if face is not None]


def _hands_wanted(settings: Settings) -> int:
    return 2 if settings.text('detection.hands') == 'both' else 1
