# SPDX-License-Identifier: Apache-2.0
"""How a paced source waits for those who take its images."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')

from ros2_dice.ros.inputs import Shot
from ros2_dice.ros.source import SourceNode

Step = Callable[[float], bool]


class Shots:
    """A source of images without pixels."""

    live, transport, recorded, rate_hz, name = False, 'raw', False, 30.0, 'shots'

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Shot]:
        return (Shot(number) for number in range(self.count))

    def close(self) -> None:
        """Nothing is open."""


class Played(SourceNode):
    """Sends into the void; whoever takes the images has them when `taken` says so."""

    def __init__(self, count: int, kept: int, taken: Callable[[], bool] = lambda: True) -> None:
        self.source, self.realtime = Shots(count), False
        self.sent, self._kept, self._rate, self._result_timeout_s = 0, kept, 1.0, 60.0
        self._waiting: dict[int, float] = {}
        self._taken = taken
        self.asked_at: list[int] = []

    def _wait_for_listeners(self, step: Step) -> str:
        return ''

    def _publish_infos(self, shot: Shot, step: Step) -> None:
        pass

    def _publish(self, shot: Shot) -> int:
        self.sent += 1
        return shot.time_ns

    def _taken_by_all(self) -> bool:
        self.asked_at.append(self.sent)
        return self._taken()

    def _report(self, last: bool = False) -> None:
        pass


def go_on(timeout_s: float) -> bool:
    """Let no callback run."""
    return True


@pytest.mark.parametrize(('count', 'kept', 'asked_at'), [
    (7, 200, [7]),                       # a recording: an answer may take three seconds
    (250, 200, [100, 200, 250]),
    (12, 10, [5, 10, 12]),               # raw images: no more are kept
])
def test_it_asks_before_its_queue_pushes_images_out_and_at_the_end(
        count: int, kept: int, asked_at: list[int]) -> None:
    played = Played(count, kept)
    assert played.run(go_on) == ''
    assert played.asked_at == asked_at


def test_it_waits_for_one_that_is_held_up() -> None:
    answers: list[Any] = [False, False, True, True]
    played = Played(7, 10, lambda: answers.pop(0))
    assert played.run(go_on) == ''
    assert played.asked_at == [5, 5, 5, 7]


def test_it_gives_up_on_one_that_takes_no_more() -> None:
    played: Any = Played(7, 10, lambda: False)
    played._result_timeout_s = 0.0
    played._images = SimpleNamespace(topic_name='/image')
    assert played.run(go_on) == 'a subscriber of /image takes no more images'


def test_it_ends_when_asked_while_it_waits() -> None:
    played = Played(7, 10, lambda: False)
    assert played.run(lambda timeout_s: played.sent < 5) == ''
    assert played.sent == 5
