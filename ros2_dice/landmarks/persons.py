# SPDX-License-Identifier: Apache-2.0
"""Who is being followed: faces with their hands, under lasting names."""
from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ros2_dice.landmarks.belief import Belief
from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.motion import Motion
from ros2_dice.landmarks.vote import SideVote
from ros2_dice.types import Handedness


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


@dataclass(frozen=True)
class FaceSight:
    """A followed face of this frame, before its hands have been looked at."""

    person_id: str
    face: FaceObservation
    hands_px: tuple[npt.NDArray[np.float32], ...]
    """(21, 2) each [px]: where this person's hands should be by now."""


@dataclass
class FaceTrack:
    """A followed face."""

    last: FaceObservation
    seen_ns: int
    belief: Belief
    misses: int = 0

    def see(self, face: FaceObservation, stamp_ns: int) -> None:
        """Take over what this frame shows."""
        self.last, self.seen_ns, self.misses = face, stamp_ns, 0


@dataclass
class HandTrack:
    """A followed hand."""

    hand_id: str
    last: HandObservation
    seen_ns: int
    belief: Belief
    misses: int = 0
    vote: SideVote = field(default_factory=SideVote)
    motion: Motion = field(default_factory=Motion)

    def see(self, hand: HandObservation, stamp_ns: int) -> None:
        """Take over what this frame shows."""
        self.last, self.seen_ns, self.misses = hand, stamp_ns, 0
        self.vote.add(hand.right_probability)
        self.motion.add(hand.points_px.mean(axis=0), stamp_ns)

    def foreseen_px(self, stamp_ns: int) -> npt.NDArray[np.float32]:
        """Return where the landmarks (21, 2) [px] should be by now."""
        return self.last.points_px + np.asarray(self.motion.step_px(stamp_ns), np.float32)


@dataclass
class Person:
    """A followed person."""

    person_id: str
    face: FaceTrack | None = None
    hands: list[HandTrack] = field(default_factory=list)

    @property
    def seen_face(self) -> FaceObservation | None:
        """The face, where this frame shows it."""
        return self.face.last if self.face is not None and not self.face.misses else None

    def seen_hands(self) -> list[Region]:
        """Return the squares of the hands that this frame shows."""
        return [hand.last.roi for hand in self.hands if not hand.misses]

    def sight(self, stamp_ns: int) -> FaceSight | None:
        """Return the face of this frame, if it is reported; the hands were not looked at yet."""
        if self.face is None or self.face.misses or not self.face.belief.confirmed:
            return None
        return FaceSight(self.person_id, self.face.last, tuple(
            hand.foreseen_px(stamp_ns) for hand in self.hands
            if hand.belief.confirmed and not hand.misses))

    def report(self, side: Handedness) -> PersonObservation | None:
        """
        Return what is known of this person now; None where nothing is certain yet.

        Args:
            side: report only this side; UNKNOWN = both.
        """
        hands = []
        for hand in sorted(self.hands, key=lambda track: track.hand_id):
            handedness = Handedness.RIGHT if self._looks_right(hand) else Handedness.LEFT
            if hand.belief.confirmed and side in (Handedness.UNKNOWN, handedness):
                hands.append(TrackedHand(hand.hand_id, handedness, hand.vote.confidence,
                                         hand.last, hand.misses == 0))
        face = self.face if self.face is not None and self.face.belief.confirmed else None
        if face is None and not hands:
            return None
        return PersonObservation(self.person_id, face.last if face else None, tuple(hands),
                                 face is None or face.misses == 0)

    def _looks_right(self, hand: HandTrack) -> bool:
        """Return the side in the picture; two hands of one person are not on one side."""
        for other in self.hands:
            if other is not hand and other.vote.looks_right == hand.vote.looks_right \
                    and other.belief.confirmed and not hand.vote.settled \
                    and abs(other.vote.log_odds) > abs(hand.vote.log_odds):
                return not hand.vote.looks_right
        return hand.vote.looks_right


def distance_in_faces(face: FaceObservation, hand: Region) -> float:
    """Return how many face widths a hand square's centre is away from the face's."""
    distance = math.hypot(hand.cx_px - face.roi.cx_px, hand.cy_px - face.roi.cy_px)
    return distance * 1.5 / max(face.roi.size_px, 1e-6)
