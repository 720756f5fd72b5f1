# SPDX-License-Identifier: Apache-2.0
"""Who is being followed: faces with their hands, under lasting names."""
from __future__ import annotations

from dataclasses import dataclass, field

from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.vote import SideVote
from ros2_dice.types import Handedness

_REACH = 5.0
"""A hand belongs to a face at most so many face widths away."""


@dataclass(frozen=True)
class TrackedHand:
    """One followed hand in one frame."""

    hand_id: str
    handedness: Handedness
    """The person's own side, by a vote over the track."""
    handedness_confidence: float
    """0.5 to 1."""
    observation: HandObservation
    fresh: bool
    """False = not seen in this frame; the observation is the last one, see tracking.timeout."""


@dataclass(frozen=True)
class PersonObservation:
    """One person in one frame: a face, hands, or both."""

    person_id: str
    face: FaceObservation | None
    hands: tuple[TrackedHand, ...]
    """Sorted by hand_id."""
    face_fresh: bool = True
    """False = the face was not seen in this frame; it is the last one."""


@dataclass
class FaceTrack:
    """A followed face."""

    last: FaceObservation
    seen_ns: int
    misses: int = 0


@dataclass
class HandTrack:
    """A followed hand."""

    hand_id: str
    last: HandObservation
    seen_ns: int
    misses: int = 0
    vote: SideVote = field(default_factory=SideVote)


@dataclass
class Person:
    """A followed person."""

    person_id: str
    face: FaceTrack | None = None
    hands: list[HandTrack] = field(default_factory=list)

    def report(self, side: Handedness, mirrored: bool) -> PersonObservation:
        """
        Return what is known of this person now.

        Args:
            side: report only this side; UNKNOWN = both.
            mirrored: the picture is a mirror image, so sides are swapped.
        """
        hands = []
        for hand in sorted(self.hands, key=lambda track: track.hand_id):
            handedness = (Handedness.RIGHT if hand.vote.looks_right != mirrored
                          else Handedness.LEFT)
            if side in (Handedness.UNKNOWN, handedness):
                hands.append(TrackedHand(hand.hand_id, handedness, hand.vote.confidence,
                                         hand.last, hand.misses == 0))
        return PersonObservation(
            self.person_id, self.face.last if self.face else None, tuple(hands),
            self.face is None or self.face.misses == 0)


def face_width_px(face: FaceObservation) -> float:
    """Return the extent of the face's landmarks [px]."""
    return face.roi.size_px / 1.5


def distance_in_faces(face: FaceObservation, hand: Region) -> float:
    """Return how many face widths a hand square's centre is away from the face's."""
    dx, dy = hand.cx_px - face.roi.cx_px, hand.cy_px - face.roi.cy_px
    return (dx * dx + dy * dy) ** 0.5 / max(face_width_px(face), 1e-6)


def owner(persons: list[Person], hand: HandObservation) -> Person | None:
    """Return the person with a free hand whose face, or else other hand, is nearest."""
    best: tuple[float, Person] | None = None
    for person in persons:
        if len(person.hands) >= 2:
            continue
        if person.face is not None:
            distance = distance_in_faces(person.face.last, hand.roi)
            if distance > _REACH:
                continue
        else:
            distance = _REACH
        if best is None or distance < best[0]:
            best = (distance, person)
    return best[1] if best else None
