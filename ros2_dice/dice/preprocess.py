# SPDX-License-Identifier: Apache-2.0
"""
From a picture to the network's input: square crop, 224x224, B,G,R, normalised.

Section 1 of the specification. The filter is Pillow's BILINEAR: a triangle that widens when the
picture shrinks, with coefficients rounded to 22 bits and both passes rounded to whole grey levels.
`resized` follows that arithmetic to the last bit; `resized_fast` does the same in single precision
and without the rounding between the passes, which stays within one grey level of it.
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ros2_dice.types import Frame

SIZE = 224
"""Side of the network's input [px]."""
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)
"""By index, and index 0 is blue: the network was trained with RGB's numbers on B,G,R."""
_BITS = 22

Image = npt.NDArray[np.uint8]


class Square(NamedTuple):
    """An upright square in the picture, with whole pixels; parts outside the picture are black."""

    left_px: int
    top_px: int
    size_px: int
    mirrored: bool = False
    """The network sees it as in a mirror, so that a left hand looks like a right one."""

    def to_image(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return points of the picture (..., 2) [px] for points of the crop, 0 to `SIZE`."""
        points = np.asarray(points)
        x = SIZE - points[..., 0] if self.mirrored else points[..., 0]
        scale = self.size_px / SIZE
        return np.stack((self.left_px + scale * x, self.top_px + scale * points[..., 1]), -1)


def centre_square(width_px: int, height_px: int) -> Square:
    """Return the square of the published script: as large as fits, in the middle."""
    size = min(width_px, height_px)
    return Square((width_px - size) // 2, (height_px - size) // 2, size)


def network_input(frame: Frame, squares: Sequence[Square], *, exact: bool = False
                  ) -> npt.NDArray[np.float32]:
    """
    Return a batch (N, 3, 224, 224), B,G,R, normalised.

    Args:
        frame: the picture.
        squares: where to look, one for each row of the batch.
        exact: bit for bit as with Pillow, and some times slower.
    """
    batch = np.empty((len(squares), 3, SIZE, SIZE), np.float32)
    for row, square in enumerate(squares):
        normalise(crop(frame, square, exact=exact), batch[row])
    return batch


def crop(frame: Frame, square: Square, *, exact: bool = False) -> Image:
    """Return one crop (224, 224, 3), B,G,R."""
    pixels = _cut(frame.pixels, square)
    small = (resized if exact else resized_fast)(pixels)
    if square.mirrored:
        small = small[:, ::-1]
    return small[..., ::-1] if frame.channel_order == 'rgb' else small


def normalise(bgr: Image, out: npt.NDArray[np.float32]) -> None:
    """Write a crop (224, 224, 3) into a row of the batch (3, 224, 224)."""
    scaled = bgr.transpose(2, 0, 1) / np.float32(255.0)
    np.divide(scaled - MEAN[:, None, None], STD[:, None, None], out=out)


def resized(pixels: Image, size: int = SIZE) -> Image:
    """Return a picture (h, w, 3) at (size, size, 3), equal to Pillow's resize with BILINEAR."""
    for axis in (1, 0):  # rows first: the rounding between the passes is part of the result
        if pixels.shape[axis] != size:
            pixels = _pass(pixels, axis, size)
    return pixels


def resized_fast(pixels: Image, size: int = SIZE) -> Image:
    """Return the same within one grey level, in a fraction of the time."""
    height, width = pixels.shape[:2]
    if height == width == size:
        return pixels
    # Columns first: they are summed where they lie. A quarter of the picture is left after it.
    columns = _weights(height, size)[1] @ np.ascontiguousarray(pixels).reshape(height, -1)
    turned = cv2.transpose(columns.reshape(size, width, 3)).reshape(width, -1)
    rows = (_weights(width, size)[1] @ turned).reshape(size, size, 3)
    return cv2.transpose(cv2.convertScaleAbs(rows))  # type: ignore[return-value]


def _pass(pixels: Image, axis: int, size: int) -> Image:
    """Resize one axis with whole-number arithmetic."""
    turned = pixels if axis == 0 else cv2.transpose(pixels)
    length, other = turned.shape[:2]
    sums = _weights(length, size)[0] @ turned.reshape(length, -1).astype(np.int32)
    sums += 1 << (_BITS - 1)
    result = np.clip(sums >> _BITS, 0, 255).astype(np.uint8).reshape(size, other, 3)
    return result if axis == 0 else cv2.transpose(result)  # type: ignore[return-value]


@functools.lru_cache(maxsize=16)
def _weights(length: int, size: int) -> tuple[csr_matrix, csr_matrix]:
    """Return the triangle filter from `length` to `size` pixels, in 22-bit integers and floats."""
    scale = length / size
    width = max(scale, 1.0)
    rows, columns, values = [], [], []
    for row in range(size):
        centre = (row + 0.5) * scale
        first = max(int(centre - width + 0.5), 0)
        last = min(int(centre + width + 0.5), length)
        column = np.arange(first, last)
        value = np.maximum(1.0 - np.abs((column - centre + 0.5) * (1.0 / width)), 0.0)
        total = 0.0
        for share in value:  # in Pillow's order, which decides the last bit
            total += share
        rows.append(np.full(len(column), row))
        columns.append(column)
        values.append(value * (1.0 / total))
    value = np.concatenate(values)
    place = np.concatenate(rows), np.concatenate(columns)
    whole = (0.5 + value * (1 << _BITS)).astype(np.int32)
    return (csr_matrix((whole, place), (size, length)),
            csr_matrix((value.astype(np.float32), place), (size, length)))


def _cut(pixels: Image, square: Square) -> Image:
    """Return the square, filled up with black where it leaves the picture."""
    height, width = pixels.shape[:2]
    left, top, size, _ = square
    right, bottom = left + size, top + size
    inside = pixels[max(top, 0):min(bottom, height), max(left, 0):min(right, width)]
    if inside.shape[:2] == (size, size):
        return inside
    result = np.zeros((size, size, 3), np.uint8)
    if inside.size:
        row, column = max(-top, 0), max(-left, 0)
        result[row:row + inside.shape[0], column:column + inside.shape[1]] = inside
    return result
