# SPDX-License-Identifier: Apache-2.0
"""Engines of several batch sizes as one, that steps down when the device's memory is short."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime.protocol import Engine, FloatTensor, OutOfMemory

SIZES = (1, 2, 4)
"""Crops that are inferred at once."""

RECOVER_AFTER = 100
"""Calls without trouble after which a larger batch is tried again."""

EngineKind = TypeVar('EngineKind', bound=Engine)


class Batches(Generic[EngineKind]):
    """
    Runs any number of inputs on the largest batch that fits.

    Args:
        make: returns an engine for a batch size; called when that size is first wanted.
        sizes: that may be made; 1 must be among them.
        single: an engine for a batch of 1 that is there already.
        say: gets what happened, one line each, for the log.
    """

    def __init__(self, make: Callable[[int], EngineKind], sizes: tuple[int, ...] = SIZES, *,
                 single: EngineKind | None = None,
                 say: Callable[[str], object] = lambda line: None) -> None:
        self._make = make
        self._sizes = tuple(sorted(sizes))
        self._most = self._sizes[-1]
        self._say = say
        self._quiet = 0
        self._engines: dict[int, EngineKind] = {} if single is None else {1: single}

    @property
    def most(self) -> int:
        """Return the largest batch that is used now."""
        return self._most

    def prepare(self) -> None:
        """
        Make engines of all sizes now, so that no frame waits for one.

        Raises:
            EngineError: not even one for a batch of 1 can be made.
        """
        for size in self._sizes:
            if size > self._most:
                return
            try:
                self._engine(size)
            except OutOfMemory:
                self._step_down(size)

    def infer(self, values: Mapping[str, FloatTensor]) -> dict[str, FloatTensor]:
        """
        Run inputs (K, ...) of any K and return outputs (K, ...), the caller's own.

        Raises:
            OutOfMemory: not even one fits.
            EngineError: the engine fails.
        """
        return self.run(min(len(array) for array in values.values()), lambda engine, rows: (
            engine.infer({name: np.ascontiguousarray(array[rows])
                          for name, array in values.items()})))

    def run(self, count: int, work: Callable[[EngineKind, list[int]], Mapping[str, FloatTensor]],
            ) -> dict[str, FloatTensor]:
        """
        Give a number of inputs to the engines in batches, and return outputs (count, ...).

        Args:
            count: of the inputs, at least 1.
            work: runs an engine on the inputs of these numbers, as many as its batch; those that
                fill up a batch are the last one again. It may raise OutOfMemory.

        Raises:
            OutOfMemory: not even one fits.
            EngineError: the engine fails.
        """
        self._recover()
        parts: dict[str, list[FloatTensor]] = {}
        done = 0
        while done < count:
            size = self._size_for(count - done)
            rows = [min(done + offset, count - 1) for offset in range(size)]
            try:
                engine = self._engine(size)
                if engine is None:
                    continue
                outputs = work(engine, rows)
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

    def _engine(self, size: int) -> EngineKind | None:
        """Return the engine of a size; None = there is none, and the size is given up."""
        if size not in self._engines:
            try:
                self._engines[size] = self._make(size)
            except OutOfMemory:
                raise
            except EngineError as error:
                if size == self._sizes[0]:
                    raise
                self._say(f'no engine for {size} at once: {error.text()}')
                self._sizes = tuple(other for other in self._sizes if other != size)
                self._most = min(self._most, self._sizes[-1])
                return None
        return self._engines[size]

    def _step_down(self, size: int) -> None:
        """Give a size up, and its memory back; the smallest is kept for the next attempt."""
        smaller = [other for other in self._sizes if other < size]
        if size in self._engines and smaller:
            self._engines.pop(size).close()
        if not smaller:
            raise OutOfMemory('a batch of 1', state='too large for the device',
                              expected='free memory on the device',
                              next_step='end other programs that use it')
        self._most = smaller[-1]
        self._quiet = 0
        self._say(f'the device ran out of memory for {size} at once; at most {self._most} from '
                  'here on, more is tried again later')

    def _recover(self) -> None:
        """Try the next larger size again after a while without trouble."""
        if self._most == self._sizes[-1]:
            return
        self._quiet += 1
        if self._quiet > RECOVER_AFTER:
            self._most = next(size for size in self._sizes if size > self._most)
            self._quiet = 0
