# SPDX-License-Identifier: Apache-2.0
"""Which find belongs to whom: lost tracks come back, hands go to the face they can belong to."""
from __future__ import annotations

import math
from collections.abc import Sequence

from ros2_dice.landmarks.belief import Belief
from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.find_face import FoundFace, same_face
from ros2_dice.landmarks.find_hand import FoundHand, same_hand
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.ids import IdSource
from ros2_dice.landmarks.mistaken import is_part_of_hand
from ros2_dice.landmarks.persons import FaceTrack, HandTrack, Person, distance_in_faces
from ros2_dice.landmarks.proportion import log_depth_ratio
from ros2_dice.landmarks.regions import distance_over_size

_REACH = 5.0
"""A hand belongs to a face at most so many face widths away."""
_BESIDE, _IN_DEPTH = 2.5, 0.3
"""As telling against a face: so many of its widths beside it, such a log depth over its own."""
_ARM = 3.0
"""A face belongs to hands without one at most so many of its widths away."""
_SAME_TRACK = 0.5
"""A hand found so near a lost one (fraction of the square) is the lost one."""
_HANDS = 2


class Crowd:
    """The followed people, and the rules by which finds join them."""

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids
        self.persons: list[Person] = []

    def hand_regions(self) -> list[Region]:
        """Return the squares of all hands that this frame shows."""
        return [region for person in self.persons for region in person.seen_hands()]

    def clear(self) -> None:
        """End all tracks."""
        self.persons = []

    def end_faces_in_hands(self, kept: Sequence[FaceTrack]) -> None:
        """End new faces that a hand of this frame explains; those in `kept` are not new."""
        for person in self.persons:
            face = person.face
            if face is not None and not any(face is track for track in kept) \
                    and self._is_in_hand(face.last):
                person.face = None
        self.persons = [person for person in self.persons if person.face or person.hands]

    def add_face(self, found: FoundFace, stamp_ns: int, most: int, *, proven: bool) -> None:
        """
        Give a face to the person who lost it, to one without, or to a new one.

        Args:
            most: how many people are followed.
            proven: it needs no proof by further frames.
        """
        if self._is_in_hand(found.face):
            return
        track = FaceTrack(found.face, stamp_ns, Belief(found.quality, proven))
        for person in self.persons:
            if person.face and person.face.misses and same_face(
                    person.face.last.roi, found.face.roi):
                person.face.see(found.face, stamp_ns)
                return
        for person in self.persons:
            if person.face is None and any(
                    distance_in_faces(found.face, hand.last.roi) < _ARM for hand in person.hands):
                person.face = track
                return
        if len(self.persons) >= most:
            # A person known by hands alone makes way for a face.
            faceless = [person for person in self.persons if person.face is None]
            if not faceless:
                return
            self.persons.remove(faceless[-1])
        self.persons.append(Person(self._ids.new(), track))

    def add_hand(self, found: FoundHand, stamp_ns: int, most: int, *, proven: bool) -> None:
        """Give a hand to the track that lost it, or to the person it belongs to."""
        hand = found.hand
        if any(same_hand(hand.roi, other) for other in self.hand_regions()):
            return
        for person in self.persons:
            for lost in person.hands:
                if lost.misses and distance_over_size(lost.last.roi, hand.roi) < _SAME_TRACK:
                    lost.see(hand, stamp_ns)
                    return
        person = self._owner(hand)
        if person is None:
            if len(self.persons) >= most:
                return
            person = Person(self._ids.new())
            self.persons.append(person)
        track = HandTrack(self._ids.new(), hand, stamp_ns, Belief(found.quality, proven))
        track.vote.add(hand.right_probability)
        person.hands.append(track)

    def _is_in_hand(self, face: FaceObservation) -> bool:
        return any(is_part_of_hand(face, hand.last)
                   for person in self.persons for hand in person.hands if not hand.misses)

    def _owner(self, hand: HandObservation) -> Person | None:
        """
        Return the person with a free hand whose face fits best; one without a face comes last.

        Nearness in the picture alone would give the hand of a man in front to one behind him.
        """
        best: tuple[float, Person] | None = None
        for person in self.persons:
            if sum(not track.misses for track in person.hands) >= _HANDS:
                continue
            distance = math.inf
            if person.face is not None:
                beside = distance_in_faces(person.face.last, hand.roi)
                if beside > _REACH:
                    continue
                distance = math.hypot(beside / _BESIDE,
                                      log_depth_ratio(hand, person.face.last) / _IN_DEPTH)
            if best is None or distance < best[0]:
                best = distance, person
        if best is None:
            return None
        lost = [track for track in best[1].hands if track.misses]
        if len(best[1].hands) >= _HANDS:
            best[1].hands.remove(lost[0])  # the new hand is not where that one was lost
        return best[1]
