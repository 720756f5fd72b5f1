# SPDX-License-Identifier: Apache-2.0
"""Finds hands that nobody follows yet, also those that already lie on a face."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ros2_dice.landmarks.crop import Region, whole_picture
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.networks import Networks
from ros2_dice.landmarks.regions import (
    distance_over_size,
    hand_from_detection,
    hand_from_landmarks,
)
from ros2_dice.types import Frame

_WHOLE_THRESHOLD = 0.4
_WINDOW_THRESHOLD = 0.25
_HOPELESS = 0.1
"""Score of a first look below which a second one is not worth its time."""
_SAME_HAND = 0.2


class Window(NamedTuple):
    """A square around a face, in face widths and along the face's own axes."""

    right: float
    down: float
    size: float
    turn_rad: float = 0.0
    mirrored: bool = False


WINDOWS = (
    Window(0.0, 0.25, 2.0), Window(0.0, 0.75, 2.0), Window(0.0, 0.25, 2.0, mirrored=True),
    Window(0.0, 0.4, 1.4), Window(-0.5, 0.4, 1.6), Window(0.5, 0.4, 1.6),
)


def same_hand(a: Region, b: Region) -> bool:
    """Whether two hand squares mean the same hand."""
    return distance_over_size(a, b) < _SAME_HAND


class HandFinder:
    """The palm detector on the picture and on windows, then the landmark network as the judge."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def in_picture(self, frame: Frame, turn_rad: float, known: Sequence[Region],
                   threshold: float) -> list[HandObservation]:
        """Return new hands anywhere in the picture."""
        return self._search(frame, whole_picture(frame, turn_rad), _WHOLE_THRESHOLD, known,
                            threshold)

    def at_face(self, frame: Frame, face: FaceObservation, attempt: int, known: Sequence[Region],
                threshold: float) -> list[HandObservation]:
        """Return new hands near a face, from another window at each attempt."""
        window = WINDOWS[attempt % len(WINDOWS)]
        size = face.roi.size_px / 1.5
        step = face.roi.turn_by((window.right * size, window.down * size))
        region = Region(face.roi.cx_px + step[0], face.roi.cy_px + step[1], window.size * size,
                        face.roi.angle_rad + window.turn_rad, window.mirrored)
        return self._search(frame, region, _WINDOW_THRESHOLD, known, threshold)

    def _search(self, frame: Frame, region: Region, palm_threshold: float,
                known: Sequence[Region], threshold: float) -> list[HandObservation]:
        found: list[HandObservation] = []
        seen = list(known)
        for palm in self._networks.palm.detect(frame, region, palm_threshold):
            square = hand_from_detection(palm)
            if not square.is_sane() or any(same_hand(square, other) for other in seen):
                continue
            hand = self.settle(frame, square)
            if hand.score >= threshold and not any(
                    same_hand(hand.roi, other) for other in seen):
                found.append(hand)
                seen.append(hand.roi)
        return found

    def settle(self, frame: Frame, square: Region) -> HandObservation:
        """Return the hand in a square after moving the square to it, seen as a right hand."""
        hand = self._networks.hand.observe(frame, square)
        if hand.score < _HOPELESS:
            return hand
        better = hand_from_landmarks(hand.points_px, hand.right_probability < 0.5)
        if not better.is_sane():
            return hand
        return self._networks.hand.observe(frame, better)
