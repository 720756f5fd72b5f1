# SPDX-License-Identifier: Apache-2.0
"""Nodes that are spun while a test looks at them."""
from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from rclpy.executors import Executor, ExternalShutdownException
from rclpy.node import Node


@contextlib.contextmanager
def spinning(executor: Executor, *nodes: Node) -> Iterator[None]:
    """Spin nodes in a thread; take them down in the order that rclpy needs."""
    for node in nodes:
        executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, name=nodes[0].get_name())
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()  # wakes spin() up
        thread.join(10)
        for node in nodes:
            node.destroy_node()
