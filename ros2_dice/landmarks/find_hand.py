# SPDX-License-Identifier: Apache-2.0
"""Finds hands that nobody follows yet, also those that already lie on a face."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.landmarks.belief import find_threshold
from ros2_dice.landmarks.crop import Region, whole_picture
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.judge import PATIENT_LOOKS, QUICK_LOOKS, judge
from ros2_dice.landmarks.networks import Networks
from ros2_dice.landmarks.proportion import log_depth_ratio
from ros2_dice.landmarks.regions import (
    REST,
    distance_over_size,
    hand_from_detection,
    hand_from_landmarks,
    step_size,
)
from ros2_dice.types import Frame

_WHOLE_THRESHOLD = 0.4
_WHOLE_THRESHOLD_THOROUGH = 0.2
_WINDOW_THRESHOLD = 0.15
_SAME_HAND = 0.2
"""Distance of centres, as a fraction of the square, below which two hands are one."""
_SAME_PALM = 0.35
"""The same for a palm's square, which is less exact."""
_QUICK_FINDS = 2
"""Palms judged in one try, best first, where time is short."""
_POLISH = 4
"""Further looks that are averaged with the best one, for still pictures."""
_MOST_LOOKS = 12
"""The square needs some to come to rest: where it stops sooner, the mirrored hand differs."""
_MOST_INSIDE = 0.9
"""Share of a hand's landmarks that may lie inside of the face's outline."""
_SMALLEST = 0.45
"""A hand near a face is not smaller than so (ratio of the squares; adults: 0.6 to 1)."""
_NEAR = 1.2
"""Face widths within which a hand is compared with the face."""
_FARTHEST = 0.55
"""Log depth over the face's from which a hand near it is none: it would be behind the head."""
_BEHIND, _SURE_PALM = 0.17, 0.5
"""A hand near a face that seems so much farther away needs a palm that is as sure as that."""
_LARGE = 0.75
"""A hand of this size against a face (ratio of the squares) is not behind it."""


class Window(NamedTuple):
    """A square around a face, in face widths and along the face's own axes."""

    right: float
    down: float
    size: float
    turn_rad: float = 0.0
    mirrored: bool = False


# The palm detector answers differently to the same hand shown smaller, turned or mirrored.
# Ordered by what they found on test pictures that the ones before had missed.
WINDOWS = (
    Window(0.0, 0.3, 3.2), Window(0.0, 0.75, 2.0), Window(0.0, 0.25, 2.0),
    Window(0.0, 0.25, 2.0, mirrored=True), Window(-0.5, 0.4, 1.6), Window(0.5, 0.4, 1.6),
    Window(0.0, 0.3, 2.0, -0.6), Window(0.0, 0.3, 2.0, 0.6), Window(0.0, -0.5, 2.0),
    Window(0.0, 0.3, 2.0, 0.5 * math.pi), Window(0.0, 0.3, 2.0, -0.5 * math.pi),
    Window(0.0, 0.4, 1.4), Window(0.0, 0.3, 2.0, math.pi),
)


class Palm(NamedTuple):
    """Where a hand may be, and how sure the finder is."""

    square: Region
    score: float
    """Of the palm detector; 0 = found by other means."""


class FoundHand(NamedTuple):
    """A new hand and how sure it is."""

    hand: HandObservation
    quality: float
    """From `judge`, 0 to 1."""


def same_hand(a: Region, b: Region) -> bool:
    """Whether two hand squares mean the same hand."""
    return distance_over_size(a, b) < _SAME_HAND


class HandFinder:
    """The palm detector proposes, the landmark network is the judge."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.patient = False
        """True = up to seven looks at a find, for still pictures; False = up to four."""

    def in_picture(self, frame: Frame, known: Sequence[Region],
                   faces: Sequence[FaceObservation], threshold: float) -> list[FoundHand]:
        """Return new hands anywhere in the picture."""
        palms = self._palms(frame, whole_picture(frame), _WHOLE_THRESHOLD)
        # A palm in the plain picture is good evidence of its own: half as strict.
        return self._judge_all(frame, palms, known, faces, find_threshold(threshold, 0.5))

    def in_turned_picture(self, frame: Frame, known: Sequence[Region],
                          faces: Sequence[FaceObservation], threshold: float) -> list[FoundHand]:
        """Return new hands from the mirrored and the turned picture; for a cold start."""
        whole = whole_picture(frame)
        found: list[FoundHand] = []
        for look in (whole, whole._replace(mirrored=True),
                     whole._replace(angle_rad=0.5 * math.pi),
                     whole._replace(angle_rad=-0.5 * math.pi)):
            palms = self._palms(frame, look, _WHOLE_THRESHOLD_THOROUGH)
            seen = [*known, *(one.hand.roi for one in found)]
            found += self._judge_all(frame, palms, seen, faces, find_threshold(threshold))
        return found

    def at_face(self, frame: Frame, face: FaceObservation, attempt: int, known: Sequence[Region],
                threshold: float) -> list[FoundHand]:
        """Return new hands near a face, from another window at each attempt."""
        window = WINDOWS[attempt % len(WINDOWS)]
        width = face.roi.size_px / 1.5
        step = face.roi.turn_by((window.right * width, window.down * width))
        region = Region(face.roi.cx_px + step[0], face.roi.cy_px + step[1], window.size * width,
                        face.roi.angle_rad + window.turn_rad, window.mirrored)
        palms = self._palms(frame, region, _WINDOW_THRESHOLD)
        return self._judge_all(frame, palms, known, [face], find_threshold(threshold, 0.2))

    def at_bodies(self, frame: Frame, most: int, known: Sequence[Region],
                  faces: Sequence[FaceObservation], threshold: float) -> list[FoundHand]:
        """Return new hands where the wrists of bodies say that they are."""
        squares = self._networks.body.hand_squares(frame, whole_picture(frame), most)
        # A wrist is no palm: the weakest evidence of all must be judged best.
        palms = [Palm(square, 0.0) for square in squares]
        return self._judge_all(frame, palms, known, faces, find_threshold(threshold, 0.1))

    def _palms(self, frame: Frame, region: Region, threshold: float) -> list[Palm]:
        palms = self._networks.palm.detect(frame, region, threshold)
        return [Palm(hand_from_detection(palm), palm.score) for palm in palms]

    def _judge_all(self, frame: Frame, palms: Sequence[Palm], known: Sequence[Region],
                   faces: Sequence[FaceObservation], needed: float) -> list[FoundHand]:
        found: list[FoundHand] = []
        seen = list(known)
        near = _SAME_HAND if self.patient else _SAME_PALM
        for square, palm in palms if self.patient else palms[:_QUICK_FINDS]:
            if not square.is_sane() or any(
                    distance_over_size(square, other) < near for other in seen):
                continue
            one = self._judge(frame, square, needed)
            if one is not None and one.quality >= needed and is_plausible(
                    one.hand, faces, sure=palm >= _SURE_PALM) and not any(
                        same_hand(one.hand.roi, other) for other in seen):
                found.append(one)
                seen.append(one.hand.roi)
        return found

    def _judge(self, frame: Frame, square: Region, needed: float) -> FoundHand | None:
        """Return the hand in a square after moving the square to it, seen as a right hand."""
        found = judge(lambda region: self._networks.hand.observe(frame, region),
                      lambda hand: hand_from_landmarks(hand.points_px,
                                                       hand.right_probability < 0.5),
                      square, needed, PATIENT_LOOKS if self.patient else QUICK_LOOKS)
        if found is None:
            return None
        if self.patient and found[1] >= needed:
            return FoundHand(self._polish(frame, found[0]), found[1])
        return FoundHand(*found)

    def _polish(self, frame: Frame, hand: HandObservation) -> HandObservation:
        """
        Return the mean of some more looks, so that a single picture is as calm as a stream.

        Looks before the square came to rest do not count.
        """
        looks = good = [hand]
        for _ in range(_MOST_LOOKS):
            region = hand_from_landmarks(looks[-1].points_px, hand.roi.mirrored)
            if not region.is_sane() or len(good) > _POLISH:
                break
            looks = [*looks, self._networks.hand.observe(frame, region)]
            good = [one for one in looks if one.score >= 0.9 * hand.score]
            good = [one for one in good if step_size(one.roi, good[-1].roi) <= REST]

        def mean(arrays: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
            return np.asarray(np.mean(np.asarray(arrays, np.float64), axis=0), np.float32)

        return replace(
            hand, points_px=mean([one.points_px for one in good]),
            depth_px=mean([one.depth_px for one in good]),
            world_m=mean([one.world_m for one in good]), roi=good[-1].roi,
            right_probability=float(np.mean([one.right_probability for one in good])))


def is_plausible(hand: HandObservation, faces: Sequence[FaceObservation], *, sure: bool) -> bool:
    """
    Whether a hand near a face can be one.

    Noses, ears, mouths and beards pass for hands now and then. But a hand is about as long as a
    face: it is not small beside it, as if it were far behind, and its wrist or fingers reach
    beyond the face's outline.

    Args:
        sure: there is good evidence besides; it may look somewhat farther away than the face.
    """
    for face in faces:
        width = face.roi.size_px / 1.5
        distance = math.hypot(hand.roi.cx_px - face.roi.cx_px, hand.roi.cy_px - face.roi.cy_px)
        if distance > _NEAR * width:
            continue
        size = hand.roi.size_px / face.roi.size_px
        if size < _SMALLEST or (size < _LARGE and log_depth_ratio(hand, face) > (
                _FARTHEST if sure else _BEHIND)):
            return False
        outline = cv2.convexHull(face.points_px)
        inside = sum(cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0
                     for x, y in hand.points_px)
        if inside >= _MOST_INSIDE * len(hand.points_px):
            return False
    return True
