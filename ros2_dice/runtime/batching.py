# SPDX-License-Identifier: Apache-2.0
"""Engines of several batch sizes as one, that steps down when the device's memory is short."""
from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ros2_dice.runtime.protocol import Engine, FloatTensor, OutOfMemory

RECOVER_AFTER = 100
"""Calls without trouble after which a larger batch is tried again."""


class Batches:
    """
    Runs any number of inputs on the largest batch that fits.

    Args:
        make: returns an engine for a batch size; called when that size is first wanted.
        sizes: that may be made; 1 must be among them.
    """

    def __init__(self, make: Callable[[int], Engine], sizes: tuple[int, ...] = (1, 2, 4)) -> None:
        self._make = make
        self._sizes = tuple(sorted(sizes))
        self._most = self._sizes[-1]
        self._quiet = 0
        self._engines: dict[int, Engine] = {}

    @property
    def most(self) -> int:
        """Return the largest batch that is used now."""
        return self._most

    def infer(self, values: Mapping[str, FloatTensor]) -> dict[str, FloatTensor]:
        """
        Run inputs (K, ...) of any K and return outputs (K, ...), the caller's own.

        Raises:
            OutOfMemory: not even one fits.
            EngineError: the engine fails.
        """
        count = min(len(array) for array in values.values())
        self._recover()
        parts: dict[str, list[FloatTensor]] = {}
        done = 0
        while done < count:
            size = self._size_for(count - done)
            rows = [min(done + offset, count - 1) for offset in range(size)]
            try:
                outputs = self._engine(size).infer(
                    {name: np.ascontiguousarray(array[rows]) for name, array in values.items()})
            except OutOfMemory:
                self._step_down(size)
                continue
            for name, array in outputs.items():
                parts.setdefault(name, []).append(np.array(array[:count - done]))
            done += size
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}

    def close(self) -> None:
        """Release all engines."""
        for engine in self._engines.values():
            engine.close()
        self._engines = {}

    def _size_for(self, count: int) -> int:
        """Return the smallest size that holds them all, or else the largest in use."""
        allowed = [size for size in self._sizes if size <= self._most]
        return next((size for size in allowed if size >= count), allowed[-1])

    def _engine(self, size: int) -> Engine:
        if size not in self._engines:
            self._engines[size] = self._make(size)
        return self._engines[size]

    def _step_down(self, size: int) -> None:
        """Give a size up, and its memory back."""
        if size in self._engines:
            self._engines.pop(size).close()
        smaller = [other for other in self._sizes if other < size]
        if not smaller:
            raise OutOfMemory('a batch of 1', state='too large for the device',
                              expected='free memory on the device',
                              next_step='end other programs that use it')
        self._most = smaller[-1]
        self._quiet = 0

    def _recover(self) -> None:
        """Try the next larger size again after a while without trouble."""
        if self._most == self._sizes[-1]:
            return
        self._quiet += 1
        if self._quiet > RECOVER_AFTER:
            self._most = next(size for size in self._sizes if size > self._most)
            self._quiet = 0
