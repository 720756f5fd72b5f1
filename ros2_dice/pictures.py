# SPDX-License-Identifier: Apache-2.0
"""
Picture files and compressed pictures to pixels: checked before they are decoded.

JPEG, PNG, GIF (first frame), WebP and BMP are told apart by their content, not by their name. The
size is read from the header first, so that a few bytes can't claim gigabytes.
"""
from __future__ import annotations

import array
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.errors import ImageError
from ros2_dice.types import Frame

Pixels = npt.NDArray[np.uint8]
Buffer = bytes | memoryview | array.array | Pixels

MAX_PIXELS = 178_956_970
"""Larger pictures are refused (0.5 GB as 3 bytes a pixel); 8K video is 33 million."""

_FORMATS = 'a JPEG, PNG, GIF, WebP or BMP picture'
_RESIZE = f'make it smaller than {MAX_PIXELS // 1_000_000} million pixels'


def read_picture(path: str | Path, what: str = '') -> Frame:
    """
    Return a picture file as a frame, upright as its EXIF data says.

    Grey, palette, CMYK and 16-bit pictures become 8-bit colour; transparency is ignored; of an
    animation, the first frame is taken.

    Args:
        what: how errors call it; default: picture and its name without the folder.

    Raises:
        ImageError: the file is missing, empty, damaged, too large, or no picture.
    """
    path = Path(path)
    what = what or f'picture {path.name}'
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{what} can't be read: {error.strerror or error}",
                         expected='a readable file') from error
    return Frame(decode_picture(data, what), channel_order='bgr')


def decode_picture(data: Buffer, what: str = 'picture', *, turn_by_exif: bool = True) -> Pixels:
    """
    Return the pixels (H, W, 3) uint8 BGR of a compressed picture.

    Args:
        what: how errors call the picture.
        turn_by_exif: False keeps the stored orientation, to which a camera's calibration belongs.

    Raises:
        ImageError: no known format, damaged, cut off, or too large.
    """
    buffer = np.frombuffer(data, np.uint8)
    if not buffer.size:
        raise ImageError(f'{what} is empty', expected=_FORMATS)
    head = buffer[:65536].tobytes()
    kind = _format(head)
    if kind is None:
        raise ImageError(what, state=_other_format(head), expected=_FORMATS)
    _check_size(_size(kind, head, buffer), kind, what)
    if kind == 'JPEG':
        _check_jpeg_end(buffer, what)
    elif kind == 'PNG':
        _check_png_chunks(buffer, what)
    pixels = _decode(buffer, kind, turn_by_exif)
    if pixels is None:
        raise ImageError(f'{what} is a {kind} picture that does not decode',
                         expected='an undamaged file')
    return pixels


def _decode(buffer: Pixels, kind: str, turn_by_exif: bool) -> Pixels | None:
    flags = cv2.IMREAD_COLOR
    if not turn_by_exif:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(buffer, flags)
    except cv2.error:
        pixels = None
    if pixels is None and kind == 'GIF':
        pixels = _decode_gif(buffer)  # OpenCV before 4.11 has no GIF
    return pixels  # type: ignore[return-value]


def _decode_gif(buffer: Pixels) -> Pixels | None:
    import io

    import av.error

    try:
        with av.open(io.BytesIO(buffer.tobytes())) as container:
            for frame in container.decode(video=0):
                return frame.to_ndarray(format='bgr24')
    except (av.error.FFmpegError, IndexError, ValueError):
        pass
    return None


def _format(head: bytes) -> str | None:
    if head.startswith(b'\xff\xd8\xff'):
        return 'JPEG'
    if head.startswith(b'\x89PNG\r\n\x1a\n'):
        return 'PNG'
    if head[:6] in (b'GIF87a', b'GIF89a'):
        return 'GIF'
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
        return 'WebP'
    if head[:2] == b'BM':
        return 'BMP'
    return None


def _other_format(head: bytes) -> str:
    """Say what a file is that is none of the formats, as far as its first bytes tell."""
    if head[4:8] == b'ftyp':
        brand = head[8:12]
        if brand in (b'heic', b'heix', b'mif1', b'avif'):
            return 'an AVIF picture' if brand == b'avif' else 'a HEIC picture, as phones make them'
        return 'a clip'
    if head[:4] in (b'II*\0', b'MM\0*'):
        return 'a TIFF picture or a raw one of a camera'
    return 'no picture but text' if head.isascii() and b'\0' not in head else 'no picture'


def _check_size(size: tuple[int, int] | None, kind: str, what: str) -> None:
    if size is None:
        raise ImageError(f'{what} has a {kind} header that names no size',
                         expected='an undamaged file')
    width_px, height_px = size
    if width_px <= 0 or height_px <= 0:
        raise ImageError(f'{what}: size', state=f'{width_px} x {height_px}',
                         expected='at least 1 x 1')
    if width_px * height_px > MAX_PIXELS:
        raise ImageError(f'{what}: size', state=f'{width_px} x {height_px}',
                         expected=f'at most {MAX_PIXELS} pixels', next_step=_RESIZE)


def _size(kind: str, head: bytes, buffer: Pixels) -> tuple[int, int] | None:
    """Return (width, height) [px] as the header has it."""
    def number(at: int, count: int, order: str) -> int:
        return int.from_bytes(head[at:at + count], order)  # type: ignore[arg-type]

    if kind == 'JPEG':
        return _jpeg_layout(buffer)[0]
    if len(head) < 30:
        return None
    if kind == 'PNG':
        return (number(16, 4, 'big'), number(20, 4, 'big')) if head[12:16] == b'IHDR' else None
    if kind == 'GIF':
        return number(6, 2, 'little'), number(8, 2, 'little')
    if kind == 'BMP':
        if number(14, 4, 'little') == 12:  # OS/2 header
            return number(18, 2, 'little'), number(20, 2, 'little')
        height = int.from_bytes(head[22:26], 'little', signed=True)
        return number(18, 4, 'little'), abs(height)  # negative = rows from top to bottom
    chunk = head[12:16]
    if chunk == b'VP8X':
        return 1 + number(24, 3, 'little'), 1 + number(27, 3, 'little')
    if chunk == b'VP8L':
        bits = number(21, 4, 'little')
        return 1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff)
    if chunk == b'VP8 ':
        return number(26, 2, 'little') & 0x3fff, number(28, 2, 'little') & 0x3fff
    return None


def _jpeg_layout(buffer: Pixels) -> tuple[tuple[int, int] | None, int]:
    """Return the size and where the first scan's data begin, len(buffer) if there is none."""
    size, at, end = None, 2, len(buffer)
    while at + 4 <= end:
        if buffer[at] != 0xff:
            break
        marker = int(buffer[at + 1])
        if marker == 0xff:  # fill byte
            at += 1
            continue
        if marker == 0x01 or 0xd0 <= marker <= 0xd8:  # markers without content
            at += 2
            continue
        length = int(buffer[at + 2]) << 8 | int(buffer[at + 3])
        # SOF0..SOF15 but for DHT, JPG and DAC
        if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc) and at + 9 <= end:
            size = (int(buffer[at + 7]) << 8 | int(buffer[at + 8]),
                    int(buffer[at + 5]) << 8 | int(buffer[at + 6]))
        at += 2 + length
        if marker == 0xda:
            return size, min(at, end)
    return size, end


def _check_jpeg_end(buffer: Pixels, what: str) -> None:
    """Refuse a JPEG without an end mark: decoders fill the missing part with grey."""
    scan = _jpeg_layout(buffer)[1]
    # The mark is usually last; behind it cameras pad. In scan data FF is always stuffed with 00.
    tail = max(scan, len(buffer) - 1024)
    if buffer[tail:].tobytes().rfind(b'\xff\xd9') < 0 \
            and buffer[scan:].tobytes().find(b'\xff\xd9') < 0:
        raise ImageError(f'{what} is a JPEG picture cut off after {len(buffer)} bytes',
                         expected='a complete file with an end mark')


def _check_png_chunks(buffer: Pixels, what: str) -> None:
    """Refuse a PNG with a damaged chunk or without its end: decoders go on with what they have."""
    data, at = buffer.data, 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at:at + 4], 'big')
        kind = bytes(data[at + 4:at + 8])
        stop = at + 8 + length
        if stop + 4 > len(data):
            break
        if zlib.crc32(data[at + 4:stop]) != int.from_bytes(data[stop:stop + 4], 'big'):
            raise ImageError(f'{what} is a PNG picture whose chunk {kind!r} is damaged',
                             expected='an undamaged file')
        if kind == b'IEND':
            return
        at = stop + 4
    raise ImageError(f'{what} is a PNG picture cut off after {len(data)} bytes',
                     expected='a complete file')
