# SPDX-License-Identifier: Apache-2.0
"""
What the node adds to the estimator's time, frame by frame.

    python -m ros2_dice.ros.overhead FRAMES COUNT HEIGHT WIDTH --frames 150 --rate 15

The node runs in this process. A child process plays raw RGB frames from a file at a fixed rate
over DDS and listens to the meshes. The last line on stdout is JSON: the time of every stage of
every frame, and the size of every message. `overhead` is the time from the image's arrival in the
node's callback to the end of publication, less the estimator's.
"""
from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from ros2_dice.errors import EstimatorError
from ros2_dice.msg import HandFaceMeshArray
from ros2_dice.ros import qos
from ros2_dice.ros.node import SUCCESS, DiceNode
from ros2_dice.ros.processes import added_environment
from ros2_dice.ros.statistics import StatisticsWindow

_START_S = 30.0
_LAST_S = 2.0


class KeptTimes(StatisticsWindow):
    """Statistics that remember every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[dict[str, float]] = []

    def add(self, latency_s: float, stages_s: Mapping[str, float], failed: str = '',
            reason: str = '') -> None:
        """Keep the stages, then count as usual."""
        super().add(latency_s, stages_s, failed, reason)
        if not failed:
            self.frames.append(dict(stages_s))


class TimedNode(DiceNode):
    """The node, with its frames' times to be read off."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.times = KeptTimes()
        self._monitor.statistics = self.times


def play(frames: np.ndarray, count: int, rate_hz: float, namespace: str) -> list[int]:
    """
    Publish frames at a fixed rate from a process of its own.

    Returns:
        Sizes of the mesh messages that came back [byte].

    Raises:
        EstimatorError: nobody subscribed in time.
    """
    rclpy.init(args=[])
    node = rclpy.create_node('player', namespace=namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    publisher = node.create_publisher(Image, 'image', qos.best_effort(2))
    sizes: list[int] = []

    def take(cdr: Any) -> None:
        sizes.append(len(cdr))  # bytes, since the subscription is raw

    node.create_subscription(HandFaceMeshArray, 'dice/hand_face_meshes', take, qos.reliable(100),
                             raw=True)
    end_s = time.monotonic() + _START_S
    while not publisher.get_subscription_count():
        if time.monotonic() > end_s:
            raise EstimatorError('the node', state='without a subscription',
                                 expected='one to the images')
        executor.spin_once(timeout_sec=0.1)
    ways = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    due_s = time.monotonic()
    for number in range(count):
        frame = frames[ways[number % len(ways)]]
        message = Image(height=frame.shape[0], width=frame.shape[1], encoding='rgb8',
                        step=3 * frame.shape[1], data=array.array('B', frame.tobytes()))
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        due_s += 1.0 / rate_hz
        while time.monotonic() < due_s:
            executor.spin_once(timeout_sec=max(0.0, due_s - time.monotonic()))
    end_s = time.monotonic() + _LAST_S
    while len(sizes) < count and time.monotonic() < end_s:
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()  # type: ignore[reportPrivateImportUsage]
    return sizes


def measure(words: list[str], threads: int, namespace: str) -> dict[str, object]:
    """
    Run the node here and the player beside it.

    Args:
        words: arguments of this program, for the child.

    Returns:
        `stages_s` of each frame, `sizes_byte` of each message, `model`.

    Raises:
        EstimatorError: the node can't be configured, or the player failed.
    """
    # Before rclpy loads the middleware.
    os.environ.update(added_environment())
    rclpy.init(args=[])
    node = TimedNode(namespace=namespace, parameter_overrides=[
        Parameter('backend.threads', value=threads), Parameter('input.max_age', value=0.0)])
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.trigger_configure() != SUCCESS or node.trigger_activate() != SUCCESS:
            raise EstimatorError('the node', state='not active', expected='a loaded model',
                                 next_step='ros2-dice doctor says what is missing')
        player = subprocess.Popen([sys.executable, '-m', 'ros2_dice.ros.overhead', *words,
                                   '--play', namespace], stdout=subprocess.PIPE, text=True)
        while player.poll() is None:
            executor.spin_once(timeout_sec=0.1)
        answer, _ = player.communicate()
        if player.returncode:
            raise EstimatorError('exit status of the player of frames', got=player.returncode,
                                 expected='0')
        return {'stages_s': node.times.frames, 'model': node.model_id,
                'sizes_byte': json.loads(answer)}
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()  # type: ignore[reportPrivateImportUsage]


def main(words: list[str] | None = None) -> None:
    """Measure, or play when asked by the measuring process."""
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser()
    parser.add_argument('file')
    parser.add_argument('shape', type=int, nargs=3)
    parser.add_argument('--frames', type=int, default=150)
    parser.add_argument('--rate', type=float, default=15.0)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--play', default='')
    options = parser.parse_args(words)
    if options.play:
        frames = np.memmap(options.file, np.uint8, 'r', shape=(*options.shape, 3))
        print(json.dumps(play(frames, options.frames, options.rate, options.play)))
        return
    print(json.dumps(measure(words, options.threads, f'/benchmark_{os.getpid()}')))


if __name__ == '__main__':
    main()
