# SPDX-License-Identifier: Apache-2.0
"""
Rotated squares of a picture, and the small crops that the networks see.

Image coordinates are continuous: the centre of the first pixel lies at (0.5, 0.5), so that a
mirrored picture has exactly mirrored coordinates. Angles turn the crop's x axis towards the
image's y axis (down).
"""
from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.types import Frame

FloatArray = npt.NDArray[np.floating]

_LIT = 110.0
"""Brightest twentieth of a crop (0 to 255) below which its light is raised."""
_MOST_GAIN = 4.0
_SKIN = (1.35, 0.88, 0.68)
"""Red, green and blue of skin over its brightness, between light and dark people's."""
_TINT = {order: np.clip(np.arange(256)[:, None] * skin, 0, 255).round().astype(np.uint8)[None]
         for order, skin in (('rgb', _SKIN), ('bgr', _SKIN[::-1]))}
_REDUCE_FROM = 2.0
"""Pixels of the picture per pixel of the crop from which areas are averaged before sampling."""


class Region(NamedTuple):
    """A rotated square, and whether the crop is taken from it as in a mirror."""

    cx_px: float
    cy_px: float
    size_px: float
    angle_rad: float
    mirrored: bool = False

    @property
    def center(self) -> npt.NDArray[np.float64]:
        """(2,) centre [px]."""
        return np.array((self.cx_px, self.cy_px))

    def is_sane(self) -> bool:
        """Whether all numbers are finite and the size is positive."""
        return all(map(math.isfinite, self[:4])) and 1e-3 < self.size_px < 1e6

    def to_image(self, points: FloatArray, crop_size: int) -> npt.NDArray[np.float64]:
        """Return image points (N, 2) [px] of crop points (N, 2), 0 to crop_size."""
        matrix = self.matrix(crop_size)
        return points @ matrix[:, :2].T + matrix[:, 2]

    def matrix(self, crop_size: int) -> npt.NDArray[np.float64]:
        """Return the (2, 3) map from crop to image coordinates."""
        scale = self.size_px / crop_size
        c, s = math.cos(self.angle_rad) * scale, math.sin(self.angle_rad) * scale
        turn = np.array(((c, -s), (s, c)))
        if self.mirrored:
            turn[:, 0] *= -1.0
        shift = self.center - turn @ (0.5 * crop_size, 0.5 * crop_size)
        return np.column_stack((turn, shift))

    def turn(self, vectors: FloatArray) -> npt.NDArray[np.float64]:
        """Return vectors (N, 2) of the crop in the image's directions, length unchanged."""
        return vectors @ (self.matrix(1)[:, :2] / self.size_px).T

    def turn_by(self, vector: tuple[float, float]) -> tuple[float, float]:
        """Return one vector [px] along the square's own axes in the image's; no mirror."""
        c, s = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]

    def corners(self) -> npt.NDArray[np.float64]:
        """(4, 2) corners [px], in order around the square."""
        return self.to_image(np.array(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))), 1)


def whole_picture(frame: Frame) -> Region:
    """Return the square that holds the whole frame (letterbox)."""
    width, height = frame.width_px, frame.height_px
    return Region(0.5 * width, 0.5 * height, float(max(width, height)), 0.0)


def sample(frame: Frame, region: Region, crop_size: int, *, border: int | None = None,
           skin: bool = False) -> npt.NDArray[np.uint8]:
    """
    Return the crop (crop_size, crop_size, 3) uint8 RGB of a region.

    Only the part of the picture under the region is touched. Where the picture is much finer than
    the crop its pixels are averaged first, so that noise and texture do not alias. Dark crops are
    shown in more light: the networks find a fifth less hands in a fifth of the light.

    Args:
        border: grey level outside of the picture; None = its edge is continued.
        skin: show a picture without colours in the colour of skin.
    """
    corners = region.corners()
    height, width = frame.height_px, frame.width_px
    x0, y0 = (max(0, math.floor(v) - 2) for v in corners.min(axis=0))
    x1, y1 = corners.max(axis=0)
    x1, y1 = min(width, math.ceil(x1) + 2), min(height, math.ceil(y1) + 2)
    if x0 >= x1 or y0 >= y1:
        return np.full((crop_size, crop_size, 3), border or 0, np.uint8)
    part = frame.pixels[y0:y1, x0:x1]
    part, step = _reduced(part, region.size_px / crop_size)
    if skin and frame.is_grey:
        part = cv2.LUT(part, _TINT[frame.channel_order])
    matrix = region.matrix(crop_size)
    shift = matrix[:, 2] - (x0, y0)
    matrix = np.column_stack((matrix[:, :2], shift)) / step
    # warpAffine counts from the middle of the first pixel.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    crop = cv2.warpAffine(
        part, matrix, (crop_size, crop_size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=(border or 0,) * 3)
    if frame.channel_order == 'bgr':
        crop = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
    return _lit(crop)  # type: ignore[arg-type]


def _lit(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a dark crop brighter, by a gain that grows from 1; any other one as it is."""
    some = crop[::8, ::8, 1].ravel()
    rank = len(some) * 19 // 20
    bright = float(np.partition(some, rank)[rank])
    if bright >= _LIT:
        return crop
    gain = min((_LIT / max(bright, 1.0)) ** 1.5, _MOST_GAIN)
    return cv2.convertScaleAbs(crop, alpha=gain)  # type: ignore[return-value]


def _reduced(part: npt.NDArray[np.uint8], scale: float,
             ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """
    Return a part halved while it is finer than a crop, and the step (2, 1) of its pixels in x, y.

    Halving is the one reduction that OpenCV has in fast code: ten times faster than others.

    Args:
        scale: pixels of the part per pixel of the crop.
    """
    step = np.ones((2, 1))
    while scale >= _REDUCE_FROM and max(part.shape[:2]) > 1:
        height, width = part.shape[:2]
        small = (max(1, width // 2), max(1, height // 2))
        part = part[:2 * small[1], :2 * small[0]]
        step *= [[part.shape[1] / small[0]], [part.shape[0] / small[1]]]
        part = cv2.resize(part, small, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        scale *= 0.5
    return part, step


def fill(buffer: npt.NDArray[np.float32], crop: npt.NDArray[np.uint8], *, signed: bool) -> None:
    """Write a crop into a network's input (1, n, n, 3), scaled to 0..1, or to -1..1 if signed."""
    if signed:
        np.multiply(crop, np.float32(2.0 / 255.0), out=buffer[0])
        buffer -= 1.0
    else:
        np.multiply(crop, np.float32(1.0 / 255.0), out=buffer[0])
