# SPDX-License-Identifier: Apache-2.0
"""Reading and writing clips."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.errors import ImageError, why

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_TIME_BASE = 90_000
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, -90: cv2.ROTATE_90_CLOCKWISE,
          180: cv2.ROTATE_180, -180: cv2.ROTATE_180}
"""By the turn, counter-clockwise in degrees, that a file asks its player for."""


def open_clip(path: str | Path) -> InputContainer:
    """Open a clip; its title may be in any alphabet, and no UTF-8."""
    import av

    if int(av.__version__.split('.')[0]) >= 19:  # reads any title, and knows no such argument
        return av.open(str(path))
    return av.open(str(path), metadata_errors='replace')


def picture_pixels(picture: av.VideoFrame, layout: str = 'bgr24') -> npt.NDArray[np.uint8]:
    """
    Return a decoded picture as (H, W, 3), upright as the file says: phones film sideways.

    Args:
        layout: bgr24 or rgb24.
    """
    pixels = picture.to_ndarray(format=layout)
    turn = _TURNS.get(round(getattr(picture, 'rotation', 0)))  # since PyAV 14
    return np.asarray(pixels if turn is None else cv2.rotate(pixels, turn), np.uint8)


@dataclass(frozen=True)
class ClipFrame:
    """One decoded picture of a clip."""

    index: int
    """Number among the pictures that could be decoded, from 0."""
    time_ns: int
    """Since the first picture; strictly rising [ns]."""
    bgr: npt.NDArray[np.uint8]
    """(H, W, 3)."""


class ClipReader:
    """
    Decodes a clip picture by picture and steps over damaged parts.

    Args:
        path: any file that FFmpeg reads.
        report: called with one line for each damaged part.

    Raises:
        ImageError: the file is missing, isn't a clip, or holds no pictures.
    """

    def __init__(self, path: str | Path, report: Callable[[str], None] | None = None) -> None:
        import av.error

        self._report = report or (lambda line: None)
        self.name = Path(path).name
        try:
            self._container = open_clip(path)
            self._stream = self._container.streams.video[0]
        except (OSError, av.error.FFmpegError, IndexError) as error:
            raise clip_error(path, error) from error
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.rate_hz = float(rate) if rate else 30.0
        self.frame_count = self._stream.frames
        """As the file says; 0 = unknown."""

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __iter__(self) -> Iterator[ClipFrame]:
        first_ns: int | None = None
        last_ns, step_ns = -1, round(1e9 / self.rate_hz)
        for index, picture in enumerate(self._decode()):
            if picture.pts is None or picture.time_base is None:
                time_ns = last_ns + step_ns
            else:
                time_ns = round(picture.pts * picture.time_base * 1_000_000_000)
                first_ns = time_ns if first_ns is None else first_ns
                time_ns -= first_ns
            if index and time_ns <= last_ns:
                time_ns = last_ns + step_ns
            last_ns = max(time_ns, 0)
            yield ClipFrame(index, last_ns, picture_pixels(picture))

    def _decode(self) -> Iterator[av.VideoFrame]:
        import av
        import av.error

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (OSError, av.error.FFmpegError) as error:
                self._damage(f'the rest of it ({why(error)})')
                return
            try:
                pictures = packet.decode()
            except (OSError, av.error.FFmpegError) as error:
                self._damage(f'a part{_at(packet)} ({why(error)})')
                continue
            for picture in pictures:
                if isinstance(picture, av.VideoFrame):
                    if picture.is_corrupt:
                        self._damage('a picture that FFmpeg marks as corrupt')
                    else:
                        yield picture

    def _damage(self, what: str) -> None:
        self._report(f'clip {self.name}: skipped {what}')


def _at(packet: av.Packet) -> str:
    """Return where in the clip a packet belongs, empty where it does not say."""
    if packet.pts is None or packet.time_base is None:
        return ''
    return f' at {float(packet.pts * packet.time_base):.2f} s'


def clip_error(path: str | Path, error: Exception) -> ImageError:
    """Return what to raise when FFmpeg refuses a clip; an IndexError = it has no pictures."""
    reason = 'no pictures in it' if isinstance(error, IndexError) else why(error)
    return ImageError(f"clip {Path(path).name} can't be read: {reason}",
                      expected='a video that FFmpeg can decode')


class ClipWriter:
    """
    Writes an H.264 clip that browsers and players read.

    Args:
        path: the file to write.
        width_px: width of the pictures; an odd last column is left out.
        height_px: likewise.
        rate_hz: nominal rate.
        quality: constant rate factor, 0 (lossless) to 51.
        preset: x264's trade of speed for size.
    """

    def __init__(self, path: str | Path, width_px: int, height_px: int, rate_hz: float, *,
                 quality: int = 21, preset: str = 'veryfast') -> None:
        import av
        import av.error

        if width_px < 2 or height_px < 2:
            raise ImageError('size of a clip', got=(width_px, height_px),
                             expected='at least 2 x 2 pixels')
        self._frame = av.VideoFrame.from_ndarray
        self._container = av.open(str(path), 'w', options={'movflags': 'faststart'})
        self._stream = self._container.add_stream(
            'libx264', rate=Fraction(rate_hz).limit_denominator(1001))
        self._stream.width, self._stream.height = width_px & ~1, height_px & ~1
        self._stream.pix_fmt = 'yuv420p'
        self._stream.options = {'crf': str(quality), 'preset': preset}
        self._stream.codec_context.time_base = Fraction(1, _TIME_BASE)
        self._rate_hz = rate_hz
        self._last = -1

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, bgr: npt.NDArray[np.uint8], time_ns: int | None = None) -> None:
        """
        Append a picture.

        Args:
            bgr: (H, W, 3) of the clip's size.
            time_ns: since the clip's start; None = one step after the last [ns].
        """
        height, width = self._stream.height, self._stream.width
        picture = self._frame(np.ascontiguousarray(bgr[:height, :width]), format='bgr24')
        step = max(1, round(_TIME_BASE / self._rate_hz))
        wanted = self._last + step if time_ns is None else round(time_ns * _TIME_BASE / 1e9)
        if self._last < 0 and time_ns is None:
            wanted = 0
        self._last = max(wanted, self._last + 1)
        picture.pts = self._last
        picture.time_base = Fraction(1, _TIME_BASE)
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._container.mux(self._stream.encode())
        self._container.close()
