# SPDX-License-Identifier: Apache-2.0
"""A recording of the demo, frame by frame: picture, estimates, camera."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import Topology
from ros2_dice.errors import ImageError
from ros2_dice.pictures import decode_picture
from ros2_dice.ros import decode
from ros2_dice.ros.bag import IMAGE_TYPES, BagReader, header_stamp_ns
from ros2_dice.types import Camera, HandFaceEstimate

_MESHES = 'ros2_dice/msg/HandFaceMeshArray'
_TOPOLOGIES = 'ros2_dice/msg/MeshTopologyArray'


@dataclass(frozen=True)
class PlaybackFrame:
    """One result with the picture that it belongs to."""

    stamp_ns: int
    message: Any
    """The HandFaceMeshArray as rosbags decodes it."""
    jpeg: bytes | None
    """None = the recording lacks the picture with this stamp."""

    @property
    def estimates(self) -> list[HandFaceEstimate]:
        """What was found in it."""
        return decode.estimates(self.message)

    @property
    def camera(self) -> Camera:
        """The camera that the estimates belong to."""
        return decode.camera(self.message)

    def bgr(self) -> npt.NDArray[np.uint8] | None:
        """Return the picture (H, W, 3), None where there is none."""
        if self.jpeg is None:
            return None
        try:
            return decode_picture(self.jpeg, turn_by_exif=False)
        except ImageError:
            return None


class Playback:
    """
    Reads a recording with images as CompressedImage.

    Raises:
        ImageError: the file isn't a recording of the demo.
    """

    def __init__(self, path: str | Path) -> None:
        self._bag = BagReader(path)
        by_type: dict[str, list[tuple[int, str]]] = {}
        for topic, (type_name, count) in self._bag.topics.items():
            by_type.setdefault(type_name, []).append((count, topic))
        if _MESHES not in by_type:
            self._bag.close()
            raise ImageError(f'recording {Path(path).name}', state='without hand_face_meshes',
                             expected='a recording of ros2-dice demo')
        self._meshes = max(by_type[_MESHES])
        self._images = max(by_type.get(IMAGE_TYPES[1], [(0, '')]))
        self._sets = [topic for _, topic in by_type.get(_TOPOLOGIES, [])]
        self.count = self._meshes[0]
        self.image_count = self._images[0]

    def __enter__(self) -> Playback:
        return self

    def __exit__(self, *_: object) -> None:
        self._bag.close()

    def topologies(self) -> tuple[Topology, ...]:
        """Return all topologies that the recording knows."""
        found: dict[str, Topology] = {}
        for record in self._bag.messages(self._sets) if self._sets else ():
            for topology in decode.topologies(record.message()):
                found[topology.topology_id] = topology
        return tuple(found.values())

    def frames(self) -> Iterator[PlaybackFrame]:
        """Yield every result in order of arrival."""
        pictures: dict[int, bytes] = {}
        results: list[tuple[int, Any]] = []
        for record in self._bag.messages([self._meshes[1], *filter(None, [self._images[1]])]):
            stamp_ns = header_stamp_ns(record.cdr)
            if record.topic == self._meshes[1]:
                results.append((stamp_ns, record.message()))
            else:
                pictures[stamp_ns] = bytes(record.message().data)
            # Picture and result share their time in the file, in either order.
            while results and (results[0][0] in pictures or results[0][0] < record.time_ns):
                yield self._frame(*results.pop(0), pictures)
        for result in results:
            yield self._frame(*result, pictures)

    @staticmethod
    def _frame(stamp_ns: int, message: Any, pictures: dict[int, bytes]) -> PlaybackFrame:
        jpeg = pictures.pop(stamp_ns, None)
        for old in [key for key in pictures if key < stamp_ns]:
            del pictures[old]
        return PlaybackFrame(stamp_ns, message, jpeg)
