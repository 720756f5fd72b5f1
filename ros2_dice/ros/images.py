# SPDX-License-Identifier: Apache-2.0
"""
Image messages to pixels, without cv_bridge and, where the layout allows, without a copy.

Works on anything with the fields of sensor_msgs Image and CompressedImage; needs no ROS.
Encodings are those of sensor_msgs/image_encodings.hpp and REP-118. Of 16-bit samples the highest
eight bits are kept that the camera uses; how many it uses, the message does not say.
"""
from __future__ import annotations

import array
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.errors import ImageError
from ros2_dice.pictures import decode_picture

if TYPE_CHECKING:
    from sensor_msgs.msg import Image

Buffer = bytes | array.array
Pixels = npt.NDArray[np.uint8]
Order = Literal['rgb', 'bgr']

# encoding: channels, bytes of a sample, OpenCV conversion to BGR (None = it is colour already).
_PACKED: dict[str, tuple[int, int, int | None]] = {
    'bgr8': (3, 1, None), 'rgb8': (3, 1, None), '8UC3': (3, 1, None),
    'mono8': (1, 1, cv2.COLOR_GRAY2BGR), '8UC1': (1, 1, cv2.COLOR_GRAY2BGR),
    'bgra8': (4, 1, cv2.COLOR_BGRA2BGR), 'rgba8': (4, 1, cv2.COLOR_RGBA2BGR),
    '8UC4': (4, 1, cv2.COLOR_BGRA2BGR),
    'bgr16': (3, 2, None), 'rgb16': (3, 2, None), '16UC3': (3, 2, None),
    'mono16': (1, 2, cv2.COLOR_GRAY2BGR), '16UC1': (1, 2, cv2.COLOR_GRAY2BGR),
    'bgra16': (4, 2, cv2.COLOR_BGRA2BGR), 'rgba16': (4, 2, cv2.COLOR_RGBA2BGR),
    '16UC4': (4, 2, cv2.COLOR_BGRA2BGR),
    'yuv422': (2, 1, cv2.COLOR_YUV2BGR_UYVY), 'uyvy': (2, 1, cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': (2, 1, cv2.COLOR_YUV2BGR_YUY2), 'yuyv': (2, 1, cv2.COLOR_YUV2BGR_YUY2),
}
_PLANAR = {'nv12': cv2.COLOR_YUV2BGR_NV12, 'nv21': cv2.COLOR_YUV2BGR_NV21}
# ROS names the pattern from the first pixel on, OpenCV from the second pixel of the second row.
_BAYER = {'rggb': cv2.COLOR_BayerBG2BGR, 'bggr': cv2.COLOR_BayerRG2BGR,
          'gbrg': cv2.COLOR_BayerGR2BGR, 'grbg': cv2.COLOR_BayerGB2BGR}
for _pattern, _code in _BAYER.items():
    _PACKED[f'bayer_{_pattern}8'] = (1, 1, _code)
    _PACKED[f'bayer_{_pattern}16'] = (1, 2, _code)


def message_pixels(message: Image, encoding: str = 'auto',
                   sample_bits: int = 16) -> tuple[Pixels, Order]:
    """
    Return the pixels (H, W, 3) uint8 of an image message, and their channel order.

    bgr8 and rgb8 are views of the message's own data, rows strided by `step`.

    Args:
        encoding: `input.encoding`: replaces the message's own unless `auto`.
        sample_bits: `input.sample_bits`, 8 to 16: what 16-bit samples use, from the lowest bit;
            brighter ones become white.

    Raises:
        ImageError: unknown encoding, no pixels, rows longer than `step`, or too few data.
    """
    name = message.encoding if encoding == 'auto' else encoding
    width_px, height_px = message.width, message.height
    if width_px <= 0 or height_px <= 0:
        raise ImageError('image size', state=f'{width_px} x {height_px}',
                         expected='at least 1 x 1', next_step='check the camera driver')
    data = np.frombuffer(message.data, np.uint8)
    if name in _PLANAR:
        return _planar(data, width_px, height_px, message.step, name), 'bgr'
    if name not in _PACKED:
        raise ImageError('image encoding', got=name,
                         expected='one of ' + ', '.join(sorted([*_PACKED, *_PLANAR])),
                         next_step='set input.encoding if the driver names it wrongly')
    channels, sample_bytes, code = _PACKED[name]
    if name in ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv') and width_px % 2:
        raise ImageError(f'image width of {name}', got=width_px, expected='an even number')
    samples = _rows(data, width_px * channels * sample_bytes, height_px, message.step, name)
    if sample_bytes == 2:
        samples = _highest_bits(samples, bool(message.is_bigendian), sample_bits)
    pixels = _channels(samples, width_px, channels)
    if code is not None:
        return cv2.cvtColor(pixels, code), 'bgr'  # type: ignore[return-value]
    return pixels, 'rgb' if name.startswith('rgb') else 'bgr'


def compressed_pixels(data: Buffer) -> tuple[Pixels, Order]:
    """
    Return the pixels (H, W, 3) uint8 of a CompressedImage's data, as stored: EXIF is not applied.

    Raises:
        ImageError: empty, cut off, damaged, too large, or of an unknown format.
    """
    return decode_picture(data, 'compressed image', turn_by_exif=False), 'bgr'


def _rows(data: Pixels, row_bytes: int, rows: int, step_bytes: int, name: str) -> Pixels:
    """Return a view (rows, row_bytes) of data whose rows begin every `step_bytes`."""
    if step_bytes < row_bytes:
        raise ImageError('image step', got=step_bytes,
                         expected=f'at least {row_bytes} bytes for a row of {name}',
                         next_step='check the camera driver, or set input.encoding')
    # The padding of the last row may be missing.
    needed = step_bytes * (rows - 1) + row_bytes
    if data.size < needed:
        raise ImageError('image data', state=f'{data.size} bytes',
                         expected=f'{needed} bytes for {rows} rows of {step_bytes} in {name}',
                         next_step='the message was cut off; check the camera driver')
    return np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (step_bytes, 1))


def _highest_bits(samples: Pixels, big_endian: bool, bits: int) -> Pixels:
    """Return (rows, samples) of (rows, bytes of 16-bit samples); a view where all bits count."""
    high, low = (samples[:, 0::2], samples[:, 1::2])[::1 if big_endian else -1]
    if bits == 16:
        return high
    values = high.astype(np.uint16) << 8 | low
    return np.minimum(values >> (bits - 8), 255).astype(np.uint8)


def _channels(samples: Pixels, width_px: int, channels: int) -> Pixels:
    """Return (H, W) or (H, W, C) of rows of interleaved samples, still a view."""
    if channels == 1:
        return samples
    row, sample = samples.strides
    return np.lib.stride_tricks.as_strided(
        samples, (len(samples), width_px, channels), (row, channels * sample, sample))


def _planar(data: Pixels, width_px: int, height_px: int, step_bytes: int, name: str) -> Pixels:
    if width_px % 2 or height_px % 2:
        raise ImageError(f'image size of {name}', state=f'{width_px} x {height_px}',
                         expected='even numbers')
    # Full luma, then chroma of half the rows, of the same step.
    planes = _rows(data, width_px, height_px * 3 // 2, step_bytes, name)
    return cv2.cvtColor(planes, _PLANAR[name])  # type: ignore[return-value]
