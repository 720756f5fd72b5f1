# SPDX-License-Identifier: Apache-2.0
"""A still picture made into a stream: sensor noise and tremble, or a stroke at a known speed."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.estimator import Estimator
from ros2_dice.types import Camera, Frame, HandFaceEstimate

RATE_HZ = 30.0
NOISE_SIGMA = 2.0
"""Sensor noise [1/255]."""
SHIFT_PX = 0.5
"""Largest shift of the trembling picture along each axis."""

Pixels = npt.NDArray[np.uint8]
Track = npt.NDArray[np.floating]


def stamp_ns(number: int) -> int:
    """Return the stamp of a frame at `RATE_HZ`."""
    return round(number * 1e9 / RATE_HZ)


def trembling(picture: Pixels, frames: int, rng: np.random.Generator) -> Iterator[Pixels]:
    """Yield the picture with noise and shifts of up to half a pixel."""
    for _ in range(frames):
        shift = rng.uniform(-SHIFT_PX, SHIFT_PX, 2)
        moved = _shifted(picture, shift)
        noise = rng.normal(0.0, NOISE_SIGMA, picture.shape).astype(np.float32)
        yield np.clip(np.rint(moved + noise), 0, 255).astype(np.uint8)


def _shifted(picture: Pixels, shift_px: npt.ArrayLike) -> npt.NDArray[np.float32]:
    x, y = np.asarray(shift_px, np.float64)
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


@dataclass(frozen=True)
class Jitter:
    """Motion of one surface that should stand still, RMS over frames and vertices [mm]."""

    frames: int
    total_mm: float
    lateral_mm: float
    """Across the line of sight (x and y)."""
    depth_mm: float
    trembling_mm: float
    """From frame to frame, over the root of two: noise alone, without slow drift."""


def jitter(track_m: Track) -> Jitter:
    """Return the motion of vertices (frames, V, 3) about their own mean."""
    stray = 1e3 * (track_m - track_m.mean(0))
    squares = (stray ** 2).mean((0, 1))
    steps = 1e3 * np.diff(track_m, axis=0)
    return Jitter(len(track_m), float(np.sqrt(squares.sum())), float(np.sqrt(squares[:2].sum())),
                  float(np.sqrt(squares[2])), float(np.sqrt((steps ** 2).sum(2).mean() / 2)))


def follow(estimator: Estimator, frames: Iterator[Pixels],
           pick: Callable[[tuple[HandFaceEstimate, ...]], dict[str, npt.NDArray[np.floating]]],
           camera: Camera | None = None) -> dict[str, dict[int, npt.NDArray[np.floating]]]:
    """
    Run an estimator over a stream at `RATE_HZ` and keep what `pick` names of each frame.

    Returns:
        For each name, frame number to array.
    """
    estimator.reset()
    kept: dict[str, dict[int, npt.NDArray[np.floating]]] = {}
    for number, pixels in enumerate(frames):
        estimates = estimator.estimate(Frame(pixels, stamp_ns(number), camera=camera))
        for name, value in pick(estimates).items():
            kept.setdefault(name, {})[number] = value
    return kept


@dataclass(frozen=True)
class Stroke:
    """
    A picture that slides to and fro along x at a constant speed.

    Attributes:
        speed_px: pixels per frame.
        reach_px: length of a stroke.
        rest: frames at rest before the first stroke.
    """

    speed_px: float
    reach_px: float
    rest: int

    def offset_px(self, number: int) -> float:
        """Return the picture's place in a frame."""
        way = self.speed_px * max(0, number - self.rest) % (2 * self.reach_px)
        return way if way <= self.reach_px else 2 * self.reach_px - way

    def direction(self, number: int) -> int:
        """Return 1 or -1 while the picture moves, 0 at rest."""
        if number <= self.rest:
            return 0
        return 1 if self.speed_px * (number - self.rest) % (2 * self.reach_px) \
            <= self.reach_px else -1

    def steady(self, number: int, settle: int) -> bool:
        """Tell whether the last `settle` frames all went the same way."""
        ways = {self.direction(n) for n in range(number - settle, number + 1)}
        return len(ways) == 1 and 0 not in ways

    def frames(self, picture: Pixels, size_px: tuple[int, int], count: int,
               rng: np.random.Generator) -> Iterator[Pixels]:
        """Yield (H, W, 3) frames with the picture sliding from the left edge, with noise."""
        width, height = size_px
        background = cv2.resize(cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA),
                                (width, height), interpolation=cv2.INTER_CUBIC)
        for number in range(count):
            matrix = np.array([[1.0, 0.0, self.offset_px(number)], [0.0, 1.0, 0.0]])
            canvas = background.astype(np.float32)
            cv2.warpAffine(picture.astype(np.float32), matrix, (width, height), dst=canvas,
                           flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
            noise = rng.normal(0.0, NOISE_SIGMA, canvas.shape).astype(np.float32)
            yield np.clip(np.rint(canvas + noise), 0, 255).astype(np.uint8)
