# SPDX-License-Identifier: Apache-2.0
"""Faces that the picture's edge cuts off at the forehead."""
from __future__ import annotations

import math

import cv2
import numpy as np

from ros2_dice.landmarks.crop import Region
from ros2_dice.types import Frame

_OUTSIDE = 0.1
"""Shift of the middle of what is in the picture (of the square), from which a face is cut off."""
_UPWARD = 0.4
"""Cosine between that shift and the face's chin; other edges cost the face little."""
_LARGER, _FARTHER = 1.3, 0.15
"""The square to look at next: factor on the size, and step outward (of the size)."""


def beyond_edge(frame: Frame, square: Region) -> Region | None:
    """
    Return a larger square for a face whose forehead the picture's edge cuts off, else None.

    The landmark network has a whole face in mind: from a square that is too small it squeezes
    brow and eyes into what it sees of nose and mouth, and stays there. From one that is too large
    it finds the true size.
    """
    corners = np.asarray(square.corners(), np.float32)
    width, height = frame.width_px, frame.height_px
    picture = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    area, visible = cv2.intersectConvexConvex(corners, picture)
    if area <= 0.0:
        return None
    moments = cv2.moments(visible)
    if moments['m00'] <= 0.0:
        return None
    x = square.cx_px - moments['m10'] / moments['m00']
    y = square.cy_px - moments['m01'] / moments['m00']
    shift = math.hypot(x, y)
    if shift < _OUTSIDE * square.size_px:
        return None
    x, y = x / shift, y / shift
    if x * math.sin(square.angle_rad) - y * math.cos(square.angle_rad) < _UPWARD:
        return None
    step = _FARTHER * square.size_px
    return square._replace(cx_px=square.cx_px + step * x, cy_px=square.cy_px + step * y,
                           size_px=_LARGER * square.size_px)
