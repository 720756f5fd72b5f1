# SPDX-License-Identifier: Apache-2.0
"""Finds faces that nobody follows yet."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from ros2_dice.landmarks.crop import Region, whole_picture
from ros2_dice.landmarks.detect import Detector
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.networks import Networks
from ros2_dice.landmarks.regions import (
    distance_over_size,
    face_from_detection,
    face_from_landmarks,
)
from ros2_dice.types import Frame

_NEAR_THRESHOLD = 0.5
_FAR_THRESHOLD = 0.3
_PASSES = 3
"""Looks at a new face: each moves the square to where the last one saw the face."""
_SAME_FACE = 0.25
"""Distance of centres as a fraction of the square, below which two faces are one."""


def same_face(a: Region, b: Region) -> bool:
    """Whether two face squares mean the same face."""
    return distance_over_size(a, b) < _SAME_FACE


class FaceFinder:
    """Detectors, then the landmark network as the judge."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def quick(self, frame: Frame, turn_rad: float, attempt: int, known: Sequence[Region],
              threshold: float) -> list[FaceObservation]:
        """Return new faces from one detector, another one at each attempt."""
        far = attempt % 2 == 1
        return self._search(frame, [self._look(far, whole_picture(frame, turn_rad))], known,
                            threshold)

    def thorough(self, frame: Frame, turn_rad: float, known: Sequence[Region], threshold: float,
                 ) -> list[FaceObservation]:
        """Return new faces from all detectors; takes several times as long."""
        whole = whole_picture(frame, turn_rad)
        looks = [self._look(False, whole), self._look(True, whole)]
        looks += [self._look(True, tile) for tile in tiles(frame, turn_rad)]
        return self._search(frame, looks, known, threshold)

    def _look(self, far: bool, region: Region) -> tuple[Detector, float, Region]:
        if far:
            return self._networks.face_far, _FAR_THRESHOLD, region
        return self._networks.face_near, _NEAR_THRESHOLD, region

    def _search(self, frame: Frame, looks: Sequence[tuple[Detector, float, Region]],
                known: Sequence[Region], threshold: float) -> list[FaceObservation]:
        found: list[FaceObservation] = []
        seen = list(known)
        for detector, detector_threshold, region in looks:
            for detection in detector.detect(frame, region, detector_threshold):
                square = face_from_detection(detection)
                if not square.is_sane() or any(same_face(square, other) for other in seen):
                    continue
                face = self.settle(frame, square)
                if face.score >= threshold and not any(
                        same_face(face.roi, other) for other in seen):
                    found.append(face)
                    seen.append(face.roi)
        return sorted(found, key=lambda face: -face.roi.size_px)

    def settle(self, frame: Frame, square: Region) -> FaceObservation:
        """Return the face in a square after moving the square to it."""
        face = self._networks.face.observe(frame, square)
        for _ in range(_PASSES - 1):
            better = face_from_landmarks(face.points_px)
            if not better.is_sane():
                break
            face = self._networks.face.observe(frame, better)
        return face


def tiles(frame: Frame, turn_rad: float) -> Iterator[Region]:
    """Yield overlapping squares in which small faces are large enough for the detector."""
    width, height = frame.width_px, frame.height_px
    side = 0.6 * max(width, height)
    columns = [0.5 * width] if width <= side else [0.5 * side, 0.5 * width, width - 0.5 * side]
    rows = [0.5 * height] if height <= side else [0.5 * side, height - 0.5 * side]
    for y in rows:
        for x in columns:
            yield Region(x, y, side, turn_rad)
