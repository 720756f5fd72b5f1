# SPDX-License-Identifier: Apache-2.0
"""
The source node: plays a picture, folder, clip, bag or camera as an image topic.

Paced, it sends the next image only after the result of the last one has arrived, and no more than
every subscriber can still be sent: every image is processed and recorded, in the same order with
the same stamps, so every run gives the same messages. In real time it plays at the source's own
speed with sensor QoS, and whoever is too slow misses images. Progress goes to stdout as lines of
JSON.
"""
from __future__ import annotations

import array
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from rclpy.duration import Duration
from rclpy.event_handler import QoSSubscriptionMatchedInfo, SubscriptionEventCallbacks
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ros2_dice.errors import DiceError
from ros2_dice.msg import HandFaceMeshArray, MeshTopologyArray
from ros2_dice.ros.bag import header_stamp_ns
from ros2_dice.ros.inputs import EPOCH_NS, Shot, Source, open_source
from ros2_dice.ros.qos import best_effort, latched, reliable
from ros2_dice.ros.running import Running

_REPORT_EVERY_S = 0.2
_GREETING_S = 10.0
"""So long is waited for a sign that the node knows the subscription to its results."""
_LAST_RESULTS_S = 2.0
"""After the last image in real time: so long without a result means that no more will come."""


class SourceNode(Node):
    """Publishes `image` or `image/compressed`, and `camera_info` of bags; listens to results."""

    def __init__(self) -> None:
        super().__init__('source')
        declare = self.declare_parameter
        self._text = declare('source', 'sample').value
        self._topic = declare('topic', '').value
        self._frame_id = declare('frame_id', 'camera_optical_frame').value
        self._wait_for = int(declare('subscribers', 1).value or 0)
        self._start_timeout_s = float(declare('start_timeout', 60.0).value or 0)
        self._result_timeout_s = float(declare('result_timeout', 30.0).value or 0)
        self.source: Source = open_source(str(self._text), self._skip, topic=str(self._topic))
        self._rate = max(float(declare('rate', 1.0).value or 1.0), 1e-3)
        self.realtime = bool(declare('realtime', False).value) or self.source.live
        self._raw = self.source.transport == 'raw'
        self._kept = 10 if self._raw else 200  # images that can still be sent again
        qos = best_effort(2) if self.realtime else reliable(self._kept)
        self._images = self.create_publisher(
            Image if self._raw else CompressedImage, 'image' if self._raw else 'image/compressed',
            qos)
        self._infos = self.create_publisher(CameraInfo, 'camera_info', qos)
        self._results_matched = 0
        self.create_subscription(
            HandFaceMeshArray, 'results', self._take_result, reliable(100), raw=True,
            event_callbacks=SubscriptionEventCallbacks(matched=self._match))
        # The node hears of subscriptions in their order: once it has sent its latched topic here,
        # it sends its results, too. The match that this side sees does not say so.
        results = self.resolve_topic_name('results')
        self._known_to_node = False
        self.create_subscription(
            MeshTopologyArray, results.rpartition('/')[0] + '/topologies', self._become_known,
            latched(), raw=True)
        self.sent = 0
        self.skipped: list[str] = []
        self._info_content = b''
        self._waiting: dict[int, float] = {}
        self._latencies_ms: list[float] = []
        self._reported_s = 0.0
        self._last_stamp_ns = 0
        self._first_sent_s = self._last_result_s = time.monotonic()

    def run(self, step: Callable[[float], bool]) -> str:
        """
        Play everything.

        Args:
            step: lets callbacks run for up to so many seconds; False = stop at once.

        Returns:
            What went wrong, or an empty string.
        """
        problem = self._wait_for_listeners(step)
        if problem:
            return problem
        start_s, first_ns = time.monotonic(), None
        for shot in self.source:
            first_ns = shot.time_ns if first_ns is None else first_ns
            due_s = start_s + 1e-9 * (shot.time_ns - first_ns) / self._rate
            while self.realtime and not self.source.live and (
                    wait_s := due_s - time.monotonic()) > 0:
                if not step(wait_s):
                    return ''
            self._publish_infos(shot, step)
            stamp_ns = self._publish(shot)
            give_up_s = time.monotonic() + self._result_timeout_s
            while stamp_ns in self._waiting and not self.realtime:
                if not step(0.2):
                    return ''
                if time.monotonic() > give_up_s:
                    return (f'no result for image {self.sent} within {self._result_timeout_s:g} s;'
                            ' the node may have stopped, or dropped it')
            if not self.sent % (self._kept // 2) and (problem := self._wait_for_takers(step)):
                return problem
            if not step(0.0):
                return ''
            self._report()
        if not self.sent:
            return f'{self.source.name} gave no image' + ''.join(
                f'; {line}' for line in self.skipped[:1])
        if problem := self._wait_for_takers(step):
            return problem
        if self.realtime:
            self._last_result_s = time.monotonic()
            while self._waiting and time.monotonic() < self._last_result_s + _LAST_RESULTS_S:
                if not step(0.1):
                    return ''
        return ''

    def _wait_for_listeners(self, step: Callable[[float], bool]) -> str:
        begin_s = time.monotonic()
        give_up_s = begin_s + self._start_timeout_s
        while self._images.get_subscription_count() < self._wait_for or not self._results_matched:
            if not step(0.05):
                return 'stopped'
            if time.monotonic() > give_up_s:
                return (f'after {self._start_timeout_s:g} s only '
                        f'{self._images.get_subscription_count()} of {self._wait_for} listen to '
                        f'{self._images.topic_name}')
        # Whoever publishes results without that topic has had time to find this subscription.
        while not self._known_to_node and time.monotonic() < begin_s + _GREETING_S:
            if not step(0.05):
                return 'stopped'
        return ''

    def _publish_infos(self, shot: Shot, step: Callable[[float], bool]) -> None:
        for info in shot.infos:
            self._infos.publish(info)
            content = info[12:]  # without the stamp
            if content != self._info_content and not self.realtime:
                step(0.2)  # another topic may overtake: a new calibration must be there first
            self._info_content = content

    def _publish(self, shot: Shot) -> int:
        if shot.message:
            stamp_ns = header_stamp_ns(shot.message)
            self._note(stamp_ns)
            self._images.publish(shot.message)
            return stamp_ns
        stamp_ns = self.get_clock().now().nanoseconds if self.realtime \
            else EPOCH_NS + shot.time_ns
        stamp_ns = self._last_stamp_ns = max(stamp_ns, self._last_stamp_ns + 1)
        assert shot.bgr is not None
        message = image_message(shot.bgr, stamp_ns, str(self._frame_id))
        self._note(stamp_ns)
        self._images.publish(message)
        return stamp_ns

    def _wait_for_takers(self, step: Callable[[float], bool]) -> str:
        """
        Wait until all subscribers have the images so far; return what went wrong.

        One that is held up (a recorder, by its disk) misses what the queues push out, and what is
        on its way when this publisher ends. Asked for now and then, as small messages may be
        acknowledged only after three seconds (the heartbeat of Fast DDS).
        """
        give_up_s = time.monotonic() + self._result_timeout_s
        while not (self.realtime or self._taken_by_all()):
            if not step(0.0):
                return ''
            if time.monotonic() > give_up_s:
                return f'a subscriber of {self._images.topic_name} takes no more images'
        return ''

    def _taken_by_all(self) -> bool:
        """Tell whether all subscribers have the images so far; wait a moment for them."""
        try:
            return self._images.wait_for_all_acked(Duration(seconds=0.1))
        except RuntimeError:  # a middleware that keeps no account of it
            return True

    def _note(self, stamp_ns: int) -> None:
        if not self.sent:
            self._first_sent_s = time.monotonic()
        self.sent += 1
        self._waiting[stamp_ns] = time.monotonic()

    def _take_result(self, cdr: bytes) -> None:
        sent_s = self._waiting.pop(header_stamp_ns(cdr), None)
        self._last_result_s = time.monotonic()
        if sent_s is not None:
            self._latencies_ms.append(1e3 * (self._last_result_s - sent_s))

    def _match(self, info: QoSSubscriptionMatchedInfo) -> None:
        self._results_matched = info.current_count

    def _become_known(self, cdr: bytes) -> None:
        self._known_to_node = True

    def _skip(self, line: str) -> None:
        self.skipped.append(line)
        self.get_logger().warning(line)

    def _report(self, last: bool = False) -> None:
        if last or time.monotonic() > self._reported_s + _REPORT_EVERY_S:
            self._reported_s = time.monotonic()
            print(json.dumps(self.state(last)), flush=True)

    def state(self, last: bool = False) -> dict[str, object]:
        """Return the progress; at the end with latencies."""
        state: dict[str, object] = {
            'sent': self.sent, 'of': self.source.count, 'results': len(self._latencies_ms)}
        if last:
            times = self._latencies_ms or [float('nan')]
            state |= {'last': True, 'skipped': self.skipped,
                      'seconds': max(self._last_result_s - self._first_sent_s, 1e-9),
                      'latency_ms': {'p50': float(np.percentile(times, 50)),
                                     'p95': float(np.percentile(times, 95)),
                                     'max': float(np.max(times))} if self._latencies_ms else None}
        return state

    def finish(self) -> None:
        """Say the last word and close the source."""
        self._report(last=True)
        self.source.close()


def image_message(bgr: npt.NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """Return pixels (H, W, 3) as a bgr8 message."""
    height, width = bgr.shape[:2]
    message = Image(height=height, width=width, encoding='bgr8', is_bigendian=0, step=3 * width)
    message.header.frame_id = frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(bgr).data.cast('B'))
    message.data = data
    return message


def main(words: list[str] | None = None) -> int:
    """Run the node; 0 = all played, 1 = a reason is on stderr."""
    with Running(words) as running:
        try:
            node = running.add(SourceNode())
            problem = node.run(running.step)
            node.finish()
        except (DiceError, ParameterException) as error:
            problem = str(error)
    if problem:
        print(f'source: {problem}', file=sys.stderr)
    return 1 if problem else 0


if __name__ == '__main__':
    sys.exit(main())
