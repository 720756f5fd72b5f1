# SPDX-License-Identifier: Apache-2.0
"""
Where the landmark networks shall look: rotated squares from detections and from landmarks.

The rules and their constants are those that the networks were trained with (MediaPipe's graphs,
Apache-2.0): another size or turn of the square costs accuracy.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.ssd import Detection

FloatArray = npt.NDArray[np.floating]

_RIGHT_EYE, _LEFT_EYE = 0, 1
_RIGHT_EYE_CORNER, _LEFT_EYE_CORNER = 33, 263
_PALM_POINTS = np.array((0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18))
"""Wrist and the bones next to the palm: curled finger tips do not move the square."""

REST, STEP = 0.05, 0.1
"""Steps of a followed square (of its size, or half radians): it rests up to one, and the other is
made in full."""


def face_from_detection(found: Detection) -> Region:
    """Return the face square of a detection whose key points start with right and left eye."""
    eyes = found.keypoints[_LEFT_EYE] - found.keypoints[_RIGHT_EYE]
    return _square(found.box, 1.5, math.atan2(eyes[1], eyes[0]))


def face_from_landmarks(points_px: FloatArray, mirrored: bool = False) -> Region:
    """
    Return the face square around landmarks (468, 2) [px], not mirrored.

    Args:
        mirrored: the landmarks are of a mirrored look: what they call the left eye is the right.
    """
    eyes = points_px[_LEFT_EYE_CORNER] - points_px[_RIGHT_EYE_CORNER]
    if mirrored:
        eyes = -eyes
    angle = math.atan2(eyes[1], eyes[0])
    center, extent = rotated_box(points_px, angle)
    return Region(float(center[0]), float(center[1]), 1.5 * float(extent.max()), angle)


def hand_from_detection(found: Detection) -> Region:
    """Return the hand square of a palm (key point 0 wrist, 2 middle knuckle)."""
    wrist, knuckle = found.keypoints[0], found.keypoints[2]
    angle = _upright(knuckle - wrist)
    square = _square(found.box, 2.6, angle)
    height = float(found.box[3] - found.box[1])
    return _shifted(square, -0.5 * height)


def hand_from_landmarks(points_px: FloatArray, mirrored: bool = False) -> Region:
    """Return the hand square around landmarks (21, 2) [px]."""
    knuckles = (0.5 * (points_px[6] + points_px[14]) + points_px[10]) * 0.5
    angle = _upright(knuckles - points_px[0])
    center, extent = rotated_box(points_px[_PALM_POINTS], angle)
    square = Region(float(center[0]), float(center[1]), 2.0 * float(extent.max()), angle, mirrored)
    return _shifted(square, -0.1 * float(extent[1]))


def rotated_box(points_px: FloatArray, angle_rad: float,
                ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return centre (2,) and extent (2,) [px] of the tight box turned by an angle."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    turn = np.array(((c, s), (-s, c)))
    turned = turn @ points_px.T
    low, high = np.minimum.reduce(turned, 1), np.maximum.reduce(turned, 1)
    return (0.5 * (low + high)) @ turn, high - low


def follow(old: Region, new: Region) -> Region:
    """
    Return the square for the next look, between the last one and where the landmarks point.

    The landmarks depend on the square and the square on the landmarks. Without a pause this loop
    carries the square away for seconds, even on a still picture, and the hand's depth with it. So
    the square rests while the landmarks stay near its middle: the network sees motion within a
    square as well. Beyond that it is drawn along, and steps from `STEP` on are made in full.
    """
    gain = min(1.0, max(0.0, (step_size(old, new) - REST) / (STEP - REST)))
    turn = math.remainder(new.angle_rad - old.angle_rad, 2.0 * math.pi)
    grow = math.log(new.size_px / old.size_px)
    return Region(old.cx_px + gain * (new.cx_px - old.cx_px),
                  old.cy_px + gain * (new.cy_px - old.cy_px),
                  old.size_px * math.exp(gain * grow), old.angle_rad + gain * turn, new.mirrored)


def step_size(old: Region, new: Region) -> float:
    """Return how far two squares differ: in place and size (of it), or half radians of turn."""
    return max(distance_over_size(old, new), abs(math.log(new.size_px / old.size_px)),
               0.5 * abs(math.remainder(new.angle_rad - old.angle_rad, 2.0 * math.pi)))


def distance_over_size(a: Region, b: Region) -> float:
    """Return the distance of two centres as a fraction of the larger square."""
    return math.hypot(a.cx_px - b.cx_px, a.cy_px - b.cy_px) / max(a.size_px, b.size_px, 1e-9)


def nearest_over_size(region: Region, others: Sequence[Region]) -> float:
    """Return the distance to the nearest of some squares, as `distance_over_size`; inf of none."""
    return min((distance_over_size(region, other) for other in others), default=math.inf)


def _upright(direction: FloatArray) -> float:
    """Return the turn after which a direction points up in the crop."""
    return 0.5 * math.pi - math.atan2(-float(direction[1]), float(direction[0]))


def _square(box: FloatArray, factor: float, angle: float) -> Region:
    center = 0.5 * (box[:2] + box[2:])
    size = factor * float((box[2:] - box[:2]).max())
    return Region(float(center[0]), float(center[1]), size, angle)


def _shifted(square: Region, along_y_px: float) -> Region:
    """Return a square moved along its own y axis."""
    angle = square.angle_rad
    return square._replace(cx_px=square.cx_px - along_y_px * math.sin(angle),
                           cy_px=square.cy_px + along_y_px * math.cos(angle))
