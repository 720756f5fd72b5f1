# SPDX-License-Identifier: Apache-2.0
"""
Let the node run for minutes and say whether memory, threads, open files or latency grow.

    python tools/measure_soak.py [--source CLIP] [--seconds 480] [--cycles 20] [--json FILE]

The node runs as a process of its own. This program plays the clip again and again at its own
speed over DDS and listens to every topic of results, so that all of them are made. Once a second
it reads the node's /proc entry and keeps its statistics. Then, with `--cycles`, it takes the node
from active to unconfigured and back so many times, without images.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from ros2_dice.errors import EstimatorError
from ros2_dice.msg import ContactArray, HandFaceMeshArray, HandJointsArray, Statistics
from ros2_dice.ros.domain import DOMAIN_VARIABLE, DomainClaim
from ros2_dice.ros.inputs import SAMPLE, open_source
from ros2_dice.ros.processes import added_environment, processes, start, stop
from ros2_dice.ros.qos import best_effort, reliable
from ros2_dice.ros.source import image_message

WINDOW_S = 60.0
"""What begin and end of the run are averaged over."""
START_S = 60.0
CYCLE = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP,
         Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)

Sample = dict[str, float]


def process_state(pid: int) -> Sample:
    """Return resident memory [MiB], threads and open files of a process, by Linux's /proc."""
    status = Path(f'/proc/{pid}/status').read_text()
    fields = dict(line.split(':', 1) for line in status.splitlines())
    return {'memory_mib': int(fields['VmRSS'].split()[0]) / 1024,
            'threads': int(fields['Threads']),
            'files': len(list(Path(f'/proc/{pid}/fd').iterdir()))}


class Listener:
    """Plays images and hears all results; one sample a second."""

    def __init__(self, pid: int) -> None:
        self.samples: list[Sample] = []
        self.results = 0
        self.newest: Statistics | None = None
        self._pid = pid
        self.node: Node = rclpy.create_node('soak')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.images = self.node.create_publisher(Image, 'image', best_effort(2))
        hear: Callable[..., Any] = self.node.create_subscription
        for kind, topic in ((ContactArray, 'contacts'), (HandJointsArray, 'hand_joints'),
                            (MarkerArray, 'markers')):
            hear(kind, f'dice/{topic}', lambda cdr: None, reliable(5), raw=True)
        hear(CompressedImage, 'dice/overlay/compressed', lambda cdr: None, best_effort(1),
             raw=True)
        hear(HandFaceMeshArray, 'dice/hand_face_meshes', self._count, reliable(50), raw=True)
        hear(Statistics, 'dice/statistics', self._take, reliable(5))
        self._begin_s = self._due_s = time.monotonic()

    def _count(self, cdr: bytes) -> None:
        self.results += 1

    def _take(self, message: Statistics) -> None:
        self.newest = message

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """
        Spin until something holds.

        Raises:
            EstimatorError: it did not in a minute.
        """
        give_up_s = time.monotonic() + START_S
        while not condition():
            self.executor.spin_once(timeout_sec=0.1)
            if time.monotonic() > give_up_s:
                raise EstimatorError('the node', state='silent', expected=what)

    def spin_until(self, due_s: float) -> None:
        """Let callbacks run until then, and note the node's state once a second."""
        while (left_s := due_s - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left_s)
        if time.monotonic() < self._due_s:
            return
        self._due_s += 1.0
        sample = {'time_s': time.monotonic() - self._begin_s, **process_state(self._pid)}
        if self.newest is not None and math.isfinite(self.newest.latency_p50):
            sample |= {'latency_p50_ms': 1e3 * self.newest.latency_p50,
                       'latency_p95_ms': 1e3 * self.newest.latency_p95}
        self.samples.append(sample)


def play(listener: Listener, source: str, seconds: float) -> int:
    """Play a clip in a loop for so long; return how many images were sent."""
    sent = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        clip = open_source(source)
        start_s = time.monotonic()
        for shot in clip:
            if shot.bgr is None or time.monotonic() > end_s:
                break
            listener.spin_until(start_s + 1e-9 * shot.time_ns)
            stamp_ns = listener.node.get_clock().now().nanoseconds
            listener.images.publish(image_message(shot.bgr, stamp_ns, 'camera'))
            sent += 1
        clip.close()
        listener.spin_until(start_s + clip.count / clip.rate_hz)
    return sent


def cycle(listener: Listener, pid: int, count: int) -> list[Sample]:
    """Return the node's state after each way from active to unconfigured and back."""
    client = listener.node.create_client(ChangeState, 'dice/change_state')
    states = []
    for _ in range(count):
        for transition in CYCLE:
            request = ChangeState.Request()
            request.transition.id = transition
            listener.wait(client.service_is_ready, 'its lifecycle services')
            future = client.call_async(request)
            listener.wait(future.done, 'an answer')
            answer = future.result()
            if answer is None or not answer.success:
                raise EstimatorError(f'transition {transition}', state='refused')
        states.append(process_state(pid))
    return states


def mean(samples: list[Sample]) -> Sample:
    """Return the mean of each value over the samples that have it."""
    values: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.items():
            values.setdefault(name, []).append(value)
    return {name: round(sum(given) / len(given), 2) for name, given in values.items()}


def soak(source: str, seconds: float, cycles: int) -> dict[str, Any]:
    """Run the node; return its first and last minute, and the cycles."""
    node, = processes({})
    process = start(node)
    rclpy.init(args=[])
    try:
        listener = Listener(process.pid)
        listener.wait(listener.images.get_subscription_count, 'a subscription to the images')
        sent = play(listener, source, seconds)
        samples = listener.samples
        whole_s = samples[-1]['time_s']
        first = [s for s in samples if WINDOW_S <= s['time_s'] < 2 * WINDOW_S] or samples
        last = [s for s in samples if s['time_s'] >= whole_s - WINDOW_S]
        report: dict[str, Any] = {
            'seconds': round(whole_s, 1), 'sent': sent, 'results': listener.results,
            'second_minute': mean(first), 'last_minute': mean(last)}
        if cycles:
            report['cycles'] = cycle(listener, process.pid, cycles)
        report['samples'] = samples
        return report
    finally:
        rclpy.try_shutdown()  # type: ignore[reportPrivateImportUsage]
        stop([process])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--source', default=SAMPLE, help='clip; default: the shipped sample')
    parser.add_argument('--seconds', type=float, default=480.0)
    parser.add_argument('--cycles', type=int, default=0, help='lifecycle cycles afterwards')
    parser.add_argument('--json', type=Path, help='write everything there')
    options = parser.parse_args()
    claim = DomainClaim()
    # Before rclpy loads the middleware.
    os.environ.update({DOMAIN_VARIABLE: str(claim.id), **added_environment()})
    report = soak(options.source, options.seconds, options.cycles)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + '\n')
    shown = {name: value for name, value in report.items() if name != 'samples'}
    if cycles := shown.get('cycles'):
        shown['cycles'] = [cycles[0], cycles[-1]]
    print(json.dumps(shown, indent=2))


if __name__ == '__main__':
    main()
