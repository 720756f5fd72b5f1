# SPDX-License-Identifier: Apache-2.0
"""A second node of the same name: told once, and for as long as it is there."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import rclpy

from ros2_dice.ros import namesakes
from ros2_dice.ros.namesakes import Namesakes


class Logger:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, line: str) -> None:
        """Keep a warning."""
        self.lines.append(line)


def test_a_second_node_of_the_name_is_told_once(
        node: Any, context: Any, wait_until: Callable[..., bool],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namesakes, '_LOOK_EVERY_S', 0.0)
    logger = Logger()
    monkeypatch.setattr(node, 'get_logger', lambda: logger)
    book = Namesakes(node)
    assert book.problem() == ''
    second = rclpy.create_node('test_node', context=context, enable_rosout=False)
    assert wait_until(book.problem)
    for word in ('another node is named /test_node', 'same topics', '__node:=test_node_2',
                 'name:='):
        assert word in book.problem()
    assert len(logger.lines) == 1
    assert logger.lines[0] == book.problem()
    second.destroy_node()
    assert wait_until(lambda: not book.problem())


def test_one_of_another_namespace_is_none(node: Any, context: Any,
                                          wait_until: Callable[..., bool]) -> None:
    other = rclpy.create_node('test_node', namespace='/elsewhere', context=context)
    assert wait_until(lambda: ('test_node', '/elsewhere') in node.get_node_names_and_namespaces())
    assert Namesakes(node).problem() == ''
    other.destroy_node()
