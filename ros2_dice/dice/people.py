# SPDX-License-Identifier: Apache-2.0
"""Who is looked at, and what is remembered of each hand and person from frame to frame."""
from __future__ import annotations

from dataclasses import dataclass, field

from ros2_dice.contact import HeadSurface
from ros2_dice.dice.crops import square_around
from ros2_dice.dice.placement import Placement
from ros2_dice.dice.postprocess import Captured
from ros2_dice.dice.preprocess import Square, centre_square
from ros2_dice.dice.smooth import OutputFilter, PlaceFilter, ScriptFilter
from ros2_dice.landmarks import HandObservation, PersonObservation, TrackedHand
from ros2_dice.stamps import StepClock
from ros2_dice.types import Frame, Handedness


@dataclass(frozen=True)
class Look:
    """One square of the picture that the network is shown, and for whom."""

    person_id: str
    hand_id: str
    """Empty = a face without a hand."""
    handedness: Handedness
    handedness_confidence: float
    hand: HandObservation | None
    """Landmarks; None = a face without a hand, or a hand that nobody looked for."""
    hand_fresh: bool
    """False = the hand, or a face without one, was not seen in this frame."""
    square: Square


@dataclass
class HandMemory:
    """One hand with the head that it was seen with; a face alone is remembered as one, too."""

    outputs: OutputFilter = field(default_factory=OutputFilter)
    script: ScriptFilter = field(default_factory=ScriptFilter)
    clock: StepClock = field(default_factory=StepClock)
    square: Square | None = None
    seen: Captured | None = None
    """Of the last sight, as the network saw it."""
    captured: Captured | None = None
    """Of the last sight, not mirrored."""


@dataclass
class PersonMemory:
    """One person."""

    hands: dict[str, HandMemory] = field(default_factory=dict)
    place: PlaceFilter = field(default_factory=PlaceFilter)
    clock: StepClock = field(default_factory=StepClock)
    placement: Placement | None = None
    """Of the last sight."""
    surface: HeadSurface | None = None
    """Of the head, whose search tree outlives a rigid motion."""

    def of(self, hand_id: str) -> HandMemory:
        """Return what is known of a hand, which may be new."""
        return self.hands.setdefault(hand_id, HandMemory())


def looks_at(person: PersonObservation, memory: PersonMemory, margin: float,
             size_px: tuple[int, int]) -> list[Look]:
    """
    Return where to look for one person: right hands first, the face alone where there is none.

    Args:
        person: what the tracker says.
        memory: of the person.
        margin: `detection.crop_margin`.
        size_px: (width, height) of the picture.
    """
    def look(hand: TrackedHand | None) -> Look:
        hand_id = hand.hand_id if hand is not None else ''
        known = memory.hands.get(hand_id)
        side = hand.handedness if hand is not None else Handedness.UNKNOWN
        landmarks = hand.observation if hand is not None else None
        return Look(
            person.person_id, hand_id, side,
            hand.handedness_confidence if hand is not None else 0.0, landmarks,
            hand.fresh if hand is not None else person.face_fresh,
            square_around(person.face, landmarks, margin, size_px, side == Handedness.LEFT,
                          known.square if known is not None else None))

    hands = sorted(person.hands, key=lambda hand: (
        not hand.fresh, hand.handedness == Handedness.LEFT, hand.hand_id))
    return [look(hand) for hand in hands] or [look(None)]


def look_in_the_middle(frame: Frame, person_id: str, hand_id: str) -> Look:
    """Return where the published script looks, for a right hand that it takes for granted."""
    return Look(person_id, hand_id, Handedness.RIGHT, 0.5, None, True,
                centre_square(frame.width_px, frame.height_px))
