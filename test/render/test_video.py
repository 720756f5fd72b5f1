# SPDX-License-Identifier: Apache-2.0
"""Clips as files."""
from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from ros2_dice.evaluation.clips import clip_frames, clip_rate_hz
from ros2_dice.render.video import ClipReader, ClipWriter

ONE = 1 << 16
MATRICES = {  # clockwise turn: the matrix that a phone writes, ISO/IEC 14496-12, 8.3.2
    90: (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30),
    180: (-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30),
    270: (0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30)}


def filmed_sideways(path: Path, upright: np.ndarray, clockwise_deg: int) -> Path:
    """Write a clip that is upright after a clockwise turn by its player."""
    stored = np.rot90(upright, clockwise_deg // 90)
    height, width = stored.shape[:2]
    with ClipWriter(path, width, height, 10.0) as writer:
        for _ in range(3):
            writer.write(stored)
    data = bytearray(path.read_bytes())
    # Version and flags, then five numbers, reserved, layer, group, volume, reserved.
    at = data.index(b'tkhd') + 4 + 4 + 20 + 16
    assert struct.unpack('>9i', data[at:at + 36]) == (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    data[at:at + 36] = struct.pack('>9i', *MATRICES[clockwise_deg])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize('clockwise_deg', MATRICES)
def test_a_clip_filmed_sideways_is_upright(tmp_path: Path, clockwise_deg: int) -> None:
    upright = np.zeros((96, 48, 3), np.uint8)
    upright[:48, :24] = 255, 0, 0  # blue, top left
    upright[48:, 24:] = 0, 0, 255  # red, bottom right
    path = filmed_sideways(tmp_path / 'phone.mp4', upright, clockwise_deg)
    with ClipReader(path) as clip:
        frames = [frame.bgr for frame in clip]
    assert len(frames) == 3
    for frame in (*frames, *(rgb[..., ::-1] for rgb in clip_frames(path))):
        assert frame.shape == upright.shape
        assert np.abs(frame.astype(int) - upright).mean() < 10.0


def test_a_title_that_is_no_utf_8_does_not_matter(tmp_path: Path) -> None:
    """Old cameras and programs write what they like there."""
    path = tmp_path / 'old.mp4'
    with ClipWriter(path, 64, 48, 10.0) as writer:
        writer._container.metadata['title'] = 'Gr\u00fc\u00dfe'
        for _ in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    data = path.read_bytes()
    title = 'Gr\u00fc\u00dfe'.encode()
    assert title in data
    path.write_bytes(data.replace(title, title.replace(b'\xc3', b'\xff')))
    with ClipReader(path) as clip:
        assert len(list(clip)) == 3
    assert len(list(clip_frames(path))) == 3
    assert clip_rate_hz(path) == 10.0
