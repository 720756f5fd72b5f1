# SPDX-License-Identifier: Apache-2.0
"""Recordings: whole, or not there."""
from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rosbags')

from ros2_dice.errors import ConfigError, ImageError
from ros2_dice.ros.bag import BagReader, BagWriter, Recorded, typestore

TEXT = 'std_msgs/msg/String'


@contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noise(count: int) -> Iterator[bytes]:
    """Yield messages of 100 kB that no compression makes smaller."""
    rng = np.random.default_rng(0)
    message = typestore().types[TEXT]
    for _ in range(count):
        text = rng.integers(32, 127, 100_000).astype(np.uint8).tobytes().decode()
        yield bytes(typestore().serialize_cdr(message(data=text), TEXT))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / 'a.mcap')
    sent = list(noise(3))
    for number, cdr in enumerate(sent):
        writer.write('/text', TEXT, cdr, number)
    assert not (tmp_path / 'a.mcap').exists()
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ['a.mcap']
    with BagReader(tmp_path / 'a.mcap') as reader:
        assert [record.cdr for record in reader.messages()] == sent


@pytest.mark.parametrize(('count', 'finished'), [(30, False), (3, True)],
                         ids=['while it is written', 'at its end'])
def test_a_full_disk_is_named_and_nothing_stays(tmp_path: Path, count: int,
                                                finished: bool) -> None:
    writer = BagWriter(tmp_path / 'a.mcap')

    def record() -> None:
        for number, cdr in enumerate(noise(count)):
            writer.write('/text', TEXT, cdr, number)
        assert finished, 'so many do not fit into memory'
        writer.close()

    with full_disk(200_000), pytest.raises(ConfigError) as caught:
        record()
    for words in (f'{tmp_path}/a.mcap', "can't be written (File too large)", 'nothing of it'):
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match=r"a\.mcap can't be written \(Not a directory\)"):
        BagWriter(tmp_path / 'file' / 'a.mcap')


def test_a_damaged_recording_is_named_where_it_is_damaged(tmp_path: Path) -> None:
    """What came before the damage is there."""
    path = tmp_path / 'a.mcap'
    writer = BagWriter(path)
    for number, cdr in enumerate(noise(40)):
        writer.write('/text', TEXT, cdr, number)
    writer.close()
    data = bytearray(path.read_bytes())
    data[-1_000_000:-990_000] = bytes(10_000)
    path.write_bytes(data)
    read: list[Recorded] = []
    with BagReader(path) as reader, pytest.raises(ImageError, match=r'a\.mcap is damaged'):
        read.extend(reader.messages())
    assert read


def test_a_damaged_message_is_named() -> None:
    with pytest.raises(ImageError, match=r"a message on /text can't be read"):
        Recorded('/text', TEXT, 0, b'\0\1\0\0\xff\xff\xff\x7fx').message()
