# SPDX-License-Identifier: Apache-2.0
"""What every process with a node does alike: signals, the executor, the order of the end."""
from __future__ import annotations

import signal
import sys
from types import TracebackType
from typing import TypeVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ros2_dice.ros.processes import REFUSED

NodeType = TypeVar('NodeType', bound=Node)


class Running:
    """
    Context in which a process spins its node until SIGINT or SIGTERM asks for the end.

    rclpy's own handlers shut the context down under a running callback, whose next publish()
    then raises. These only take note, and `step` tells it between callbacks. At the end the
    executor goes first, then the node, then rclpy.

    Arguments that ROS can't parse end the process at its start, with one line.

    Args:
        words: the command line, None = that of this process.
    """

    def __init__(self, words: list[str] | None = None) -> None:
        self._words = words
        self._asked = False
        self._nodes: list[Node] = []

    def __enter__(self) -> Running:
        self._handlers = {number: signal.signal(number, self._ask)
                          for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            rclpy.init(args=self._words, signal_handler_options=SignalHandlerOptions.NO)
        except RuntimeError as error:  # RCLError is one
            reason = str(error).partition("Couldn't parse ")[2]
            if not reason:
                raise
            # Without the places in rcl's sources; started again, it would only refuse again.
            print(f"ROS arguments refused: can't parse {reason.partition(', at /')[0]}",
                  file=sys.stderr)
            raise SystemExit(REFUSED) from None
        self._executor = SingleThreadedExecutor()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        rclpy.try_shutdown()  # type: ignore[reportPrivateImportUsage]
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def add(self, node: NodeType) -> NodeType:
        """Let a node be spun from now on, and destroyed at the end."""
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def step(self, timeout_s: float) -> bool:
        """Run a callback, or wait that long for one; False = a signal asked for the end."""
        self._executor.spin_once(timeout_sec=timeout_s)
        return not self._asked

    def _ask(self, *_: object) -> None:
        self._asked = True
