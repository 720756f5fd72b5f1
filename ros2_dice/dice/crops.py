# SPDX-License-Identifier: Apache-2.0
"""
Which squares of the picture the network is shown.

It was trained on squares with head and hand and generous room around them: in its studio pictures
the whole height of a person at a table. A tight crop is not what it knows.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ros2_dice.dice.preprocess import Square
from ros2_dice.landmarks import FaceObservation, HandObservation

HEADS = 2.2
"""Side of the square at least, in heights of the head."""
HEAD_OVER_FACE = 1.35
"""Height of the head over that of the face landmarks, which end at the hairline."""
HANDS = 3.0
"""Side of the square at least, in lengths of a hand that is seen alone."""
_REST = 0.04
"""A square moves only when the wanted one differs by more than this share of its side: the
network's answer depends on the square, and the square should not tremble."""


def square_around(face: FaceObservation | None, hand: HandObservation | None, margin: float,
                  size_px: tuple[int, int], mirrored: bool,
                  last: Square | None = None) -> Square:
    """
    Return the square for one hand and the head, for either alone, too.

    Args:
        face: its landmarks.
        hand: its landmarks.
        margin: added on each side, as a fraction of the box around both.
        size_px: (width, height) of the picture.
        mirrored: the square is to be shown as in a mirror.
        last: of the same hand in the frame before.
    """
    boxes, least = [], 0.0
    if face is not None:
        low, high = _box(face.points_px)
        height = HEAD_OVER_FACE * float(high[1] - low[1])
        low = np.array((low[0], high[1] - height))
        boxes.append((low, high))
        least = HEADS * height
    if hand is not None:
        low, high = _box(hand.points_px)
        boxes.append((low, high))
        if face is None:
            least = HANDS * float((high - low).max())
    low = np.clip(np.min([box[0] for box in boxes], 0), 0.0, size_px)
    high = np.clip(np.max([box[1] for box in boxes], 0), 0.0, size_px)
    tight = float((high - low).max())
    # Inside the picture as far as head and hand fit: training never showed black borders.
    side = max(least, (1.0 + 2.0 * margin) * tight, 8.0)
    side = min(side, max(float(min(size_px)), tight))
    centre = 0.5 * (low + high)
    for axis, length in enumerate(size_px):
        centre[axis] = (np.clip(centre[axis], 0.5 * side, length - 0.5 * side)
                        if side <= length else 0.5 * length)
    return _rested(centre, side, mirrored, last)


def _box(points_px: npt.NDArray[np.floating]
         ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    points = np.asarray(points_px, np.float64)
    return points.min(0), points.max(0)


def _rested(centre: npt.NDArray[np.float64], side: float, mirrored: bool,
            last: Square | None) -> Square:
    """Return the last square, moved no farther than needed to be near the wanted one."""
    if last is not None and last.mirrored == mirrored:
        slack = _REST * side
        old = np.array((last.left_px, last.top_px)) + 0.5 * last.size_px
        if abs(last.size_px - side) <= slack and np.abs(old - centre).max() <= slack:
            return last
    size = max(1, round(side))
    left, top = (int(round(value - 0.5 * size)) for value in centre.tolist())
    return Square(left, top, size, mirrored)


def united(squares: Sequence[Square], size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return x, y, width, height [px] of the box around squares, cut to the picture."""
    left = max(0, min(square.left_px for square in squares))
    top = max(0, min(square.top_px for square in squares))
    right = min(size_px[0], max(square.left_px + square.size_px for square in squares))
    bottom = min(size_px[1], max(square.top_px + square.size_px for square in squares))
    return left, top, max(0, right - left), max(0, bottom - top)
