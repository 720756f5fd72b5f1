# SPDX-License-Identifier: Apache-2.0
"""
Recordings without rosbag2: MCAP files written and read by the rosbags package.

A recording carries the definitions of its messages, so Foxglove and `ros2 bag` read it as it is.
"""
from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ros2_dice.errors import ConfigError, ImageError, install_hint, why
from ros2_dice.share import share_folder

if TYPE_CHECKING:
    from rosbags.interfaces import Qos
    from rosbags.typesys.store import Typestore

LATCHED_TYPES = ('ros2_dice/msg/MeshTopologyArray',)
"""Types that a player has to offer to late joiners too."""
IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
INFO_TYPE = 'sensor_msgs/msg/CameraInfo'


def header_stamp_ns(cdr: bytes | memoryview) -> int:
    """
    Return the stamp of a serialised message that begins with a std_msgs/Header [ns].

    CDR: four bytes that say the byte order, then int32 seconds and uint32 nanoseconds.
    """
    data = bytes(cdr[:12])
    if len(data) < 12:
        return 0
    order = 'little' if data[1] & 1 else 'big'
    seconds = int.from_bytes(data[4:8], order, signed=True)  # type: ignore[arg-type]
    return seconds * 1_000_000_000 + int.from_bytes(data[8:12], order)  # type: ignore[arg-type]


@functools.cache
def typestore() -> Typestore:
    """
    Return the message types of Jazzy and of this package, from its installed definitions.

    Raises:
        ConfigError: rosbags is not installed.
    """
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise ConfigError('Python package rosbags', expected='to be installed for recordings',
                          next_step=install_hint('ros')) from error
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for path in sorted((share_folder() / 'msg').glob('*.msg')):
        types.update(get_types_from_msg(path.read_text(), f'ros2_dice/msg/{path.stem}'))
    store.register(types)
    return store


class BagWriter:
    """
    Writes one MCAP file; it has its name only once it is complete.

    When it can't be completed, because the disk is full for example, nothing of it stays.

    Args:
        path: the file; one that exists is replaced when this one is complete.

    Raises:
        ConfigError: from here and from all methods: it can't be written.
    """

    def __init__(self, path: str | Path) -> None:
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        self._path = Path(path)
        # rosbags writes a folder; what counts in it is the one file.
        self._folder = self._path.with_name(f'.{self._path.name}.part')
        shutil.rmtree(self._folder, ignore_errors=True)
        with self._whole():
            self._writer = Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        self._connections: dict[str, Any] = {}
        self.counts: dict[str, int] = {}

    def write(self, topic: str, type_name: str, cdr: bytes | memoryview, time_ns: int) -> None:
        """
        Append a serialised message.

        Args:
            type_name: package/msg/Name.
            time_ns: when it counts as recorded [ns].
        """
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(
                topic, type_name, typestore=typestore(), offered_qos_profiles=[_qos(type_name)])
            self._connections[topic] = connection
        with self._whole():
            self._writer.write(connection, time_ns, cdr)
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def close(self) -> None:
        """Complete the file and give it its name."""
        with self._whole():
            self._writer.close()
            file = next(self._folder.glob('*.mcap'))
            file.replace(self._path)
            shutil.rmtree(self._folder)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Let nothing stay of a file that can't be completed: players refuse half a one."""
        try:
            yield
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise ConfigError(
                f"recording {self._path} can't be written ({why(error)}); "
                'nothing of it was kept',
                expected='a folder with room that this user may write') from error


def _qos(type_name: str) -> Qos:
    """Return what `ros2 bag play` shall offer: reliable, and latched where late joiners matter."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    never = QosTime(9_223_372_036, 854_775_807)
    latched = type_name in LATCHED_TYPES
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE,
               QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
               never, never, QosLiveliness.AUTOMATIC, never, False)


@dataclass(frozen=True)
class Recorded:
    """One message of a recording."""

    topic: str
    type_name: str
    time_ns: int
    cdr: bytes

    def message(self) -> Any:
        """
        Return it decoded; its fields are those of the message definition.

        Raises:
            ImageError: it is damaged.
        """
        try:
            return typestore().deserialize_cdr(self.cdr, self.type_name)
        except Exception as error:  # of many kinds, as below
            raise ImageError(f"a message on {self.topic} can't be read: {why(error)}",
                             expected=f'a whole {self.type_name}') from error


class BagReader:
    """
    Reads an MCAP file, a db3 file, or a folder of rosbag2.

    Raises:
        ImageError: the path holds no recording that can be read.
    """

    def __init__(self, path: str | Path) -> None:
        typestore()
        from rosbags.rosbag2 import Reader

        self._path = Path(path)
        try:
            self._reader = Reader(self._path)
            self._reader.open()
        except Exception as error:  # rosbags raises many kinds for files that are no bags
            raise ImageError(f"recording {self._path.name} can't be read: {why(error)}",
                             expected='an MCAP or db3 file or a rosbag2 folder') from error

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """Type and message count of each topic."""
        return {connection.topic: (connection.msgtype, connection.msgcount)
                for connection in self._reader.connections}

    def messages(self, topics: Sequence[str] | None = None) -> Iterator[Recorded]:
        """
        Yield the messages of some topics, or of all, by time.

        Raises:
            ImageError: the recording is damaged from here on.
        """
        chosen = [connection for connection in self._reader.connections
                  if topics is None or connection.topic in topics]
        if not chosen:
            return
        found = self._reader.messages(connections=chosen)
        while True:
            try:
                connection, time_ns, data = next(found)
            except StopIteration:
                return
            except Exception as error:
                raise ImageError(f'recording {self._path.name} is damaged: {why(error)}',
                                 expected='a whole file') from error
            yield Recorded(connection.topic, connection.msgtype, time_ns, bytes(data))
