# SPDX-License-Identifier: Apache-2.0
"""Other nodes of the same name: ROS lets them start, and mixes up what they say."""
from __future__ import annotations

import time

from rclpy.node import Node

_LOOK_EVERY_S = 1.0


class Namesakes:
    """
    Looks for other nodes that bear a node's full name, and warns once when there is one.

    A process that was killed stays in the graph until its lease is over (Fast DDS: 20 s), hence
    the word of it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._name = node.get_fully_qualified_name()
        self._due_s = 0.0
        self._found = 0

    def problem(self) -> str:
        """Return what is wrong and what to do, empty while the node is alone with its name."""
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + _LOOK_EVERY_S
            self._look()
        return self._text() if self._found else ''

    def _look(self) -> None:
        before = self._found
        full_names = [f'{namespace.rstrip("/")}/{name}' for name, namespace
                      in self._node.get_node_names_and_namespaces()]
        self._found = max(full_names.count(self._name) - 1, 0)
        if self._found and not before:
            self._node.get_logger().warning(self._text())

    def _text(self) -> str:
        others = 'another node is' if self._found == 1 else f'{self._found} other nodes are'
        return (f'{others} named {self._name}, too: their results mix on the same topics and each '
                'of them may answer a service; start one under another name (--ros-args -r '
                f'__node:={self._node.get_name()}_2, or name:= of the launch file); one that was '
                'killed counts for some 20 s')
