# SPDX-License-Identifier: Apache-2.0
"""Batches that step down and recover."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from ros2_dice.runtime.batching import RECOVER_AFTER, Batches
from ros2_dice.runtime.protocol import FloatTensor, OutOfMemory


class Device:
    """Makes engines that double their input as long as the batch fits."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.runs: list[int] = []
        self.closed: list[int] = []

    def make(self, size: int) -> DoublingEngine:
        if size > 8 * self.room:
            raise OutOfMemory('loading')
        return DoublingEngine(self, size)


class DoublingEngine:
    name, device, precision = 'toy', 'cuda:0', 'fp32'

    def __init__(self, owner: Device, size: int) -> None:
        self.inputs: Mapping[str, tuple[int, ...]] = {'x': (size, 2)}
        self.outputs: Mapping[str, tuple[int, ...]] = {'y': (size, 2)}
        self._owner, self._size = owner, size

    def buffer(self, name: str) -> FloatTensor:
        return np.zeros(self.inputs[name], np.float32)

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        assert values['x'].shape == self.inputs['x']
        if self._size > self._owner.room:
            raise OutOfMemory('running')
        self._owner.runs.append(self._size)
        return {'y': 2.0 * values['x']}

    def close(self) -> None:
        self._owner.closed.append(self._size)


def check(batches: Batches, count: int) -> None:
    """Run some inputs and check that each got its own answer."""
    x = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    np.testing.assert_array_equal(batches.infer({'x': x})['y'], 2.0 * x)


@pytest.mark.parametrize(('count', 'runs'), [
    (1, [1]), (2, [2]), (3, [4]), (4, [4]), (5, [4, 1]), (7, [4, 4])])
def test_uses_the_smallest_batch_that_holds_them(count: int, runs: list[int]) -> None:
    device = Device(4)
    check(Batches(device.make), count)
    assert device.runs == runs


def test_steps_down_without_losing_an_input_and_recovers() -> None:
    device = Device(2)
    batches = Batches(device.make)
    check(batches, 4)
    assert device.runs == [2, 2]
    assert device.closed == [4]
    assert batches.most == 2
    device.room = 4
    for _ in range(RECOVER_AFTER):
        check(batches, 4)
    assert batches.most == 2
    check(batches, 4)
    assert batches.most == 4
    assert device.runs[-1] == 4


def test_steps_down_to_one_and_then_says_so() -> None:
    device = Device(1)
    batches = Batches(device.make)
    check(batches, 3)
    assert device.runs == [1, 1, 1]
    device.room = 0
    with pytest.raises(OutOfMemory, match='batch of 1'):
        check(batches, 1)


def test_close_releases_all() -> None:
    device = Device(4)
    batches = Batches(device.make)
    check(batches, 5)
    batches.close()
    assert sorted(device.closed) == [1, 4]
