# SPDX-License-Identifier: Apache-2.0
"""Finds faces that nobody follows yet."""
from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ros2_dice.landmarks.belief import SURE, find_threshold
from ros2_dice.landmarks.crop import Region, whole_picture
from ros2_dice.landmarks.detect import Detector
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.judge import PATIENT_LOOKS, QUICK_LOOKS, judge
from ros2_dice.landmarks.networks import Networks
from ros2_dice.landmarks.partial import beyond_edge
from ros2_dice.landmarks.regions import (
    REST,
    distance_over_size,
    face_from_detection,
    face_from_landmarks,
    nearest_over_size,
    step_size,
)
from ros2_dice.types import Frame

_NEAR_THRESHOLD = 0.4
_FAR_THRESHOLD = 0.3
_SAME_FACE = 0.5
"""Distance of centres (of the larger square) below which two faces are one."""
_BESIDE = 0.67
"""The same for two faces side by side: nearer ones hide each other in part, and the worse one must
be sure."""
_HALF_HIDDEN = 0.6
"""The same below which the worse one of two is none at all."""
_INSIST = 0.97
"""Quality that a face found from other starts needs: many starts, many chances to be wrong."""
_STUBBORN = 0.45
"""Detections from this score are worth other starts where the landmark network sees no face."""
_POLISH = 4
"""Looks at most until the square of a new face comes to rest."""
_SETTLING = 5
"""Looks from a larger square until the landmarks have drawn it to their place."""
_GROWN = 1.08
"""Factor on the size from which the larger square has shown another face than before."""
# Size (factor), turn [rad] and sideways shift (fraction of the size) of such starts. Profiles and
# faces behind hands pull the detector's square off the face; a turned and shifted one settles.
_STARTS = tuple(itertools.product((0.75, 0.6, 1.25, 1.0), (-0.5, 0.5, -0.25, 0.25),
                                  (-0.12, 0.12, 0.0)))


class FoundFace(NamedTuple):
    """A new face and how sure it is."""

    face: FaceObservation
    quality: float
    """From `judge`, 0 to 1."""


def same_face(a: Region, b: Region) -> bool:
    """Whether two face squares mean the same face."""
    return distance_over_size(a, b) < _SAME_FACE


class FaceFinder:
    """Detectors propose, the landmark network is the judge."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def quick(self, frame: Frame, attempt: int, known: Sequence[Region],
              threshold: float) -> list[FoundFace]:
        """Return new faces from one detector on the whole picture, the other one each time."""
        look = self._look(attempt % 2 == 1, whole_picture(frame))
        return _largest_first(self._search(frame, [look], known, threshold, QUICK_LOOKS))

    def thorough(self, frame: Frame, threshold: float, most: int, *,
                 patient: bool) -> list[FoundFace]:
        """
        Return faces from both detectors, largest first.

        Args:
            most: with so many found on the whole picture, small ones are not looked for.
            patient: look into small tiles too, and insist on what only the detectors take for a
                face; takes up to some tenths of a second.
        """
        whole = whole_picture(frame)
        both = [self._look(False, whole), self._look(True, whole)]
        found = self._search(frame, both, [], threshold, PATIENT_LOOKS)
        for parts in (2, 3) if patient else (2,):
            if len(found) < most:
                looks = [self._look(far, tile) for tile in tiles(frame, parts)
                         for far in (True, False)]
                known = [one.face.roi for one in found]
                found += self._search(frame, looks, known, threshold, PATIENT_LOOKS)
        if patient:  # also with enough found: it may be the largest one that is missing
            found += self._search(frame, both, [one.face.roi for one in found], threshold, None)
        return _largest_first(found)

    def _look(self, far: bool, region: Region) -> tuple[Detector, float, Region]:
        if far:
            return self._networks.face_far, _FAR_THRESHOLD, region
        return self._networks.face_near, _NEAR_THRESHOLD, region

    def _search(self, frame: Frame, looks: Sequence[tuple[Detector, float, Region]],
                known: Sequence[Region], threshold: float, most_looks: int | None,
                ) -> list[FoundFace]:
        """
        Return the faces that pass.

        Args:
            most_looks: at each detection; None = from many starts, and the first face is enough.
        """
        needed = find_threshold(threshold)
        found: list[FoundFace] = []
        seen = list(known)
        proposed = (detection for detector, detector_threshold, region in looks
                    for detection in detector.detect(frame, region, detector_threshold))
        for detection in proposed:
            square = face_from_detection(detection)
            if not square.is_sane() or any(same_face(square, other) for other in seen):
                continue
            if most_looks is None and detection.score < _STUBBORN:
                continue
            one = (self._insist(frame, square) if most_looks is None
                   else self._judge(frame, square, needed, most_looks))
            if one is not None and one.quality >= needed and not any(
                    same_face(one.face.roi, other) for other in seen):
                one = one._replace(face=self._polish(frame, self._whole(frame, one.face)))
                found.append(one)
                seen.append(one.face.roi)
                if most_looks is None:
                    break
        return [one for one in found if not _is_part_of_others(one, found, known)]

    def _judge(self, frame: Frame, square: Region, needed: float, most_looks: int,
               ) -> FoundFace | None:
        """Return the face in a square after moving the square to it."""
        found = judge(lambda region: self._networks.face.observe(frame, region, doubt=True),
                      lambda face: face_from_landmarks(face.points_px, face.roi.mirrored), square,
                      needed, most_looks)
        return FoundFace(*found) if found is not None else None

    def _polish(self, frame: Frame, face: FaceObservation) -> FaceObservation:
        """Return the look from which the square would not move any more."""
        for _ in range(_POLISH):
            region = face_from_landmarks(face.points_px, face.roi.mirrored)
            if not region.is_sane() or step_size(face.roi, region) < REST:
                break
            nearer = self._networks.face.observe(frame, region)
            if nearer.score < 0.9 * face.score:
                break
            face = nearer
        return face

    def _whole(self, frame: Frame, face: FaceObservation) -> FaceObservation:
        """Return a face cut off at the forehead in its true size, any other one as it is."""
        region = beyond_edge(frame, face_from_landmarks(face.points_px, face.roi.mirrored))
        if region is None:
            return face
        larger = face
        for _ in range(_SETTLING):
            if not region.is_sane():
                return face
            larger = self._networks.face.observe(frame, region)
            region = face_from_landmarks(larger.points_px, region.mirrored)
        other = self._networks.face.observe(
            frame, larger.roi._replace(mirrored=not larger.roi.mirrored))
        grown = larger.roi.size_px >= _GROWN * face.roi.size_px
        return larger if grown and min(larger.score, other.score) >= SURE else face

    def _insist(self, frame: Frame, square: Region) -> FoundFace | None:
        """Return the first good face from a ladder of starts around a square."""
        for scale, turn_rad, shift in _STARTS:
            start = Region(square.cx_px + shift * square.size_px, square.cy_px,
                           square.size_px * scale, square.angle_rad + turn_rad)
            one = self._judge(frame, start, _INSIST, PATIENT_LOOKS)
            if one is not None and one.quality >= _INSIST:
                return one
        return None


def _is_part_of_others(one: FoundFace, found: Sequence[FoundFace], known: Sequence[Region],
                       ) -> bool:
    """Whether a find is half of another face and what is beside it, a hand say."""
    better = [other.face.roi for other in found if other.quality > one.quality]
    return nearest_over_size(one.face.roi, [*better, *known]) < (
        _HALF_HIDDEN if one.quality >= SURE else _BESIDE)


def _largest_first(found: list[FoundFace]) -> list[FoundFace]:
    return sorted(found, key=lambda one: -one.face.roi.size_px)


def tiles(frame: Frame, parts: int) -> Iterator[Region]:
    """Yield overlapping squares, `parts` along the longer side, that show small faces larger."""
    width, height = float(frame.width_px), float(frame.height_px)
    side = 1.4 * max(width, height) / parts

    def centers(length: float) -> list[float]:
        if length <= side:
            return [0.5 * length]
        count = max(2, round(length / side * 1.4))
        step = (length - side) / (count - 1)
        return [0.5 * side + step * i for i in range(count)]

    for y in centers(height):
        for x in centers(width):
            yield Region(x, y, side, 0.0)
