# SPDX-License-Identifier: Apache-2.0
"""Clips as frames; a whole clip beforehand, so that decoding is in no figure."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.errors import ImageError
from ros2_dice.render.video import clip_error, open_clip, picture_pixels
from ros2_dice.types import Frame

_FALLBACK_RATE = Fraction(30)


@dataclass(frozen=True)
class Clip:
    """Decoded frames and their times."""

    pixels: npt.NDArray[np.uint8]
    """(frames, H, W, 3) RGB."""
    rate_hz: float

    def __len__(self) -> int:
        return len(self.pixels)

    def frame(self, number: int, *, stamp_number: int | None = None) -> Frame:
        """Return one frame, stamped with its number times the period."""
        count = number if stamp_number is None else stamp_number
        return Frame(self.pixels[number], stamp_ns=round(count * 1e9 / self.rate_hz))


def clip_frames(path: str | Path, limit: int = 0) -> Iterator[npt.NDArray[np.uint8]]:
    """
    Yield a clip's frames as (H, W, 3) RGB, upright as the file says.

    Args:
        limit: stop after so many; 0 = all.

    Raises:
        ImageError: it can't be opened or decoded.
    """
    import av.error

    try:
        with open_clip(path) as container:
            stream = container.streams.video[0]
            for number, picture in enumerate(container.decode(stream)):
                if limit and number >= limit:
                    return
                yield picture_pixels(picture, 'rgb24')
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise clip_error(path, error) from error


def clip_rate_hz(path: str | Path) -> float:
    """
    Return a clip's frames per second.

    Raises:
        ImageError: it can't be opened.
    """
    import av.error

    try:
        with open_clip(path) as container:
            return float(container.streams.video[0].average_rate or _FALLBACK_RATE)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise clip_error(path, error) from error


def load_clip(path: str | Path, file: Path, *, limit: int = 0,
              size_px: tuple[int, int] | None = None) -> Clip:
    """
    Return a clip, decoded, scaled and mapped from a file of raw frames.

    Args:
        file: takes the frames, RGB, one after the other; another process may map it, too.
        limit: take so many frames at most; 0 = all.
        size_px: (width, height); the picture is scaled to fit and centred on black, so that faces
            keep their proportions. None = as it is.

    Raises:
        ImageError: the clip can't be decoded or has no frame.
    """
    shape: tuple[int, ...] = ()
    count = 0
    with file.open('wb') as out:
        for pixels in clip_frames(path, limit):
            fitted = pixels if size_px is None else fit_into(pixels, size_px)
            shape = fitted.shape
            out.write(np.ascontiguousarray(fitted).data)
            count += 1
    if not count:
        raise ImageError(f'clip {Path(path).name}', state='without frames',
                         expected='at least one frame')
    return Clip(np.memmap(file, np.uint8, 'r', shape=(count, *shape)), clip_rate_hz(path))


def fit_into(pixels: npt.NDArray[np.uint8], size_px: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the picture scaled to fit (width, height), centred on black."""
    width, height = size_px
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    if scale == 1.0 and pixels.shape[:2] == (height, width):
        return pixels
    inner = (min(width, round(pixels.shape[1] * scale)),
             min(height, round(pixels.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(pixels, inner, interpolation=method)
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas[top:top + inner[1], left:left + inner[0]] = small
    return canvas
