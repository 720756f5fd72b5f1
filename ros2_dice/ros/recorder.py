# SPDX-License-Identifier: Apache-2.0
"""
The recorder node: results as they are and images as JPEG into one MCAP file.

Messages are stored under the stamp of their image, so a recording of a clip plays
at the clip's own speed. Progress goes to stdout as lines of JSON.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ros2_dice.errors import DiceError, ImageError
from ros2_dice.msg import (
    ContactArray,
    HandFaceMeshArray,
    HandJointsArray,
    MeshTopologyArray,
    Statistics,
)
from ros2_dice.ros.bag import BagWriter, header_stamp_ns
from ros2_dice.ros.images import message_pixels
from ros2_dice.ros.qos import best_effort, latched, reliable
from ros2_dice.ros.running import Running

_REPORT_EVERY_S = 0.2
_QUIET_S = 0.3
"""After so long without a message nothing more is waiting."""
_DRAIN_S = 3.0
"""Of a stream that does not end, no more than this is taken at the end."""


class RecorderNode(Node):
    """Subscribes to the node's topics, then to `image` or `image/compressed` and `camera_info`."""

    def __init__(self) -> None:
        super().__init__('recorder')
        declare = self.declare_parameter
        path = str(declare('path', 'recording.mcap').value)
        name = str(declare('node', 'dice').value)
        self._quality = int(declare('jpeg_quality', 90).value or 90)
        paced = bool(declare('reliable_images', True).value)
        self._compressed = declare('image_transport', 'raw').value == 'compressed'
        self._image_qos = reliable(200) if paced else best_effort(10)
        self._bag = BagWriter(Path(path))
        self._early: list[tuple[str, str, bytes]] = []
        self._newest_ns: int | None = None
        self._statistics: dict[str, object] = {}
        self._unreadable = 0
        self._reported_s = 0.0
        # A topology set is sent again and again; once in the recording is enough.
        self._topologies = b''

        # The latched one comes last: the node hears of subscriptions in their order, so once it
        # has sent that, it sends the others, too.
        for kind, topic, qos in ((HandFaceMeshArray, 'hand_face_meshes', reliable(200)),
                                 (ContactArray, 'contacts', reliable(200)),
                                 (HandJointsArray, 'hand_joints', reliable(200)),
                                 (Statistics, 'statistics', reliable(50)),
                                 (MeshTopologyArray, 'topologies', latched())):
            self._record(kind, f'{name}/{topic}', qos)

    def _hear_images(self) -> None:
        """
        Subscribe to the images, now that the node's results are heard.

        A paced source waits for this subscription, so its first result is in the recording.
        """
        if self._compressed:
            self._record(CompressedImage, 'image/compressed', self._image_qos)
        else:
            self.create_subscription(Image, 'image', self._take_image, self._image_qos)
            self._compressed_topic = self.resolve_topic_name('image') + '/compressed'
        self._record(CameraInfo, 'camera_info', self._image_qos)

    def _record(self, kind: Any, topic: str, qos: Any) -> None:
        """Subscribe to a topic and store its messages as they arrive."""
        module, _, _ = kind.__module__.partition('.')
        type_name = f'{module}/msg/{kind.__name__}'
        full = self.resolve_topic_name(topic)

        def take(cdr: bytes) -> None:
            if kind is Statistics:
                self._keep_statistics(cdr)
            elif kind is MeshTopologyArray:
                if cdr == self._topologies:
                    return
                if not self._topologies:
                    self._hear_images()
                self._topologies = cdr
                self._store(full, type_name, cdr, None)
                return
            stamp_ns = header_stamp_ns(cdr)
            if kind is CompressedImage:
                self._newest_ns = stamp_ns
            self._store(full, type_name, cdr, stamp_ns or None)

        self.create_subscription(kind, topic, take, qos, raw=True)

    def _store(self, topic: str, type_name: str, cdr: bytes, time_ns: int | None) -> None:
        """Write, or keep until the first image says what time it is."""
        if time_ns is None and self._newest_ns is None:
            self._early.append((topic, type_name, cdr))
            return
        now_ns = time_ns if time_ns is not None else self._newest_ns
        assert now_ns is not None
        for early in self._early:
            self._bag.write(*early, now_ns)
        self._early.clear()
        self._bag.write(topic, type_name, cdr, now_ns)

    def _take_image(self, message: Image) -> None:
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        self._newest_ns = stamp_ns
        try:
            pixels, order = message_pixels(message)  # type: ignore[arg-type]
            done, data = cv2.imencode('.jpg', pixels if order == 'bgr' else pixels[:, :, ::-1],
                                      [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        except (ImageError, cv2.error):
            done, data = False, None
        if not done or data is None:
            self._unreadable += 1
            return
        picture = CompressedImage(header=message.header, format='bgr8; jpeg compressed bgr8')
        picture.data.frombytes(data.tobytes())
        self._store(self._compressed_topic, 'sensor_msgs/msg/CompressedImage',
                    serialize_message(picture), stamp_ns)

    def _keep_statistics(self, cdr: bytes) -> None:
        message = deserialize_message(cdr, Statistics)
        self._statistics = {
            'received': message.received, 'processed': message.processed,
            'published': message.published, 'pending': message.pending,
            'dropped': message.dropped_overrun + message.dropped_stale,
            'failed': message.failed_input + message.failed_estimator,
            'backend': message.backend, 'device': message.device, 'precision': message.precision,
            'stages_ms': {name: round(1e3 * mean, 2)
                          for name, mean in zip(message.stage_names, message.stage_mean)}}

    def report(self, last: bool = False) -> None:
        """Print what has been recorded, a few times a second."""
        if not last and time.monotonic() < self._reported_s + _REPORT_EVERY_S:
            return
        self._reported_s = time.monotonic()
        print(json.dumps({
            'ready': bool(self._topologies), 'recorded': self._bag.counts, 'last': last,
            'unreadable': self._unreadable, 'statistics': self._statistics}), flush=True)

    def drain(self, step: Callable[[float], bool]) -> None:
        """Take what has arrived but not been taken yet: until nothing comes for a moment."""
        give_up_s = time.monotonic() + _DRAIN_S
        quiet_s, before = time.monotonic(), -1
        while time.monotonic() < min(give_up_s, quiet_s + _QUIET_S):
            step(0.02)
            taken = sum(self._bag.counts.values()) + self._unreadable + len(self._early)
            if taken != before:
                quiet_s, before = time.monotonic(), taken

    def finish(self) -> None:
        """Complete the file and say the last word."""
        for early in self._early:
            self._bag.write(*early, 0)
        self._bag.close()
        self.report(last=True)


def main(words: list[str] | None = None) -> int:
    """Run the node until it is interrupted."""
    with Running(words) as running:
        try:
            node = running.add(RecorderNode())
            while running.step(0.1):
                node.report()
            node.drain(running.step)
            node.finish()
        except (DiceError, ParameterException) as error:
            print(f'recorder: {error}', file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
