# SPDX-License-Identifier: Apache-2.0
"""From contacts of each frame to touches that begin once and end once."""
from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from ros2_dice.types import Handedness, HandFaceEstimate, RegionContact

RELEASE_FRACTION = 0.7
"""A touch goes on down to this fraction of the threshold at which it began."""
RELEASE_TIME_NS = 100_000_000
"""It ends when it has been below for so long [ns]; shorter gaps are flicker."""

_Key = tuple[str, str, str, str]


class ContactState(enum.IntEnum):
    """Values as in Contact.msg."""

    UNKNOWN = 0
    BEGAN = 1
    ONGOING = 2
    ENDED = 3


@dataclass
class Touch:
    """One hand region on one face region, over time."""

    person_id: str
    hand_id: str
    handedness: Handedness
    contact: RegionContact
    state: ContactState
    began_ns: int
    seen_ns: int

    def duration_ns(self, stamp_ns: int) -> int:
        """Return the time since it began [ns]."""
        return max(0, stamp_ns - self.began_ns)


class TouchTracker:
    """Gives contacts a state, with hysteresis in probability and in time."""

    def __init__(self) -> None:
        self._open: dict[_Key, Touch] = {}
        self._ending: list[Touch] = []

    def reset(self) -> None:
        """Forget open touches; each is reported as ended with the next frame."""
        self._ending += self._open.values()
        self._open = {}

    @property
    def any_open(self) -> bool:
        """Tell whether a touch has not been reported as ended yet."""
        return bool(self._open or self._ending)

    def end_all(self) -> list[Touch]:
        """Return all open touches as ended, sorted: nobody looks any more."""
        self.reset()
        ended, self._ending = [_ended(touch) for touch in self._ending], []
        return sorted(ended, key=_order)

    def update(self, estimates: Sequence[HandFaceEstimate], stamp_ns: int, threshold: float,
               min_area_m2: float) -> list[Touch]:
        """
        Return the touches of this frame, sorted; an ended one comes a last time.

        Args:
            threshold: `contact.threshold`, probability from which a touch begins.
            min_area_m2: `contact.min_area`, likewise for its area.
        """
        result = [_ended(touch) for touch in self._ending]
        self._ending = []
        seen: set[_Key] = set()
        for estimate in estimates:
            for contact in estimate.contacts:
                key = (estimate.person_id, estimate.hand_id, contact.hand_region,
                       contact.face_region)
                touch = self._open.get(key)
                if touch is None:
                    if contact.probability >= threshold and contact.area_m2 >= min_area_m2:
                        self._open[key] = Touch(
                            estimate.person_id, estimate.hand_id, estimate.handedness, contact,
                            ContactState.BEGAN, stamp_ns, stamp_ns)
                        seen.add(key)
                elif contact.probability >= RELEASE_FRACTION * threshold:
                    touch.contact, touch.handedness = contact, estimate.handedness
                    touch.state, touch.seen_ns = ContactState.ONGOING, stamp_ns
                    seen.add(key)
        for key, touch in list(self._open.items()):
            if key not in seen:
                if stamp_ns - touch.seen_ns >= RELEASE_TIME_NS:
                    del self._open[key]
                    result.append(_ended(touch))
                    continue
                touch.state = ContactState.ONGOING
            result.append(touch)
        return sorted(result, key=_order)


def _order(touch: Touch) -> _Key:
    return (touch.person_id, touch.hand_id, touch.contact.hand_region, touch.contact.face_region)


def _ended(touch: Touch) -> Touch:
    touch.state = ContactState.ENDED
    return touch
