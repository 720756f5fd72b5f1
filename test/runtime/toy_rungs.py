# SPDX-License-Identifier: Apache-2.0
"""A network of one product, and rungs that run it with a chosen error."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime.cache import EngineCache
from ros2_dice.runtime.engine_file import Sample
from ros2_dice.runtime.ladder import Ladder
from ros2_dice.runtime.protocol import FloatTensor
from ros2_dice.runtime.rung import Progress, Referee, Rung, Stage

SHAPE = (1, 3)
LIMITS = {'metres': 1e-3}


class ToyEngine:
    """Doubles `x`, and adds an error."""

    device = 'cpu'

    def __init__(self, name: str, precision: str, error: float) -> None:
        self.name, self.precision, self._error = name, precision, error
        self.inputs: Mapping[str, tuple[int, ...]] = {'x': SHAPE}
        self.outputs: Mapping[str, tuple[int, ...]] = {'y': SHAPE}
        self.closed = False

    def buffer(self, name: str) -> FloatTensor:
        return np.zeros(self.inputs[name], np.float32)

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        if self.closed:
            raise EngineError('the toy', state='closed', expected='a loaded engine')
        return {'y': (2.0 * values['x'] + self._error).astype(np.float32)}

    def close(self) -> None:
        self.closed = True


@dataclass
class ToyRung:
    """Builds its error into a payload; counts what is asked of it."""

    name: str = 'openvino'
    precision: str = 'fp32'
    error: float = 0.0
    built: bool = True
    exact: bool = False
    no: str = ''
    version: str = '1'
    device: str = 'cpu'
    variant: str = ''
    batch: int = 1
    raises: Exception | None = None
    builds: int = 0
    loads: int = 0
    engines: list[ToyEngine] = field(default_factory=list)

    def obstacle(self) -> str:
        if self.raises is not None:
            raise self.raises
        return self.no

    def versions(self) -> Mapping[str, str]:
        return {'library': self.version}

    def build(self, progress: Progress) -> bytes:
        self.builds += 1
        progress(Stage.BUILDING, 0.5, 'the toy')
        return json.dumps({'error': self.error}).encode()

    def load(self, payload: memoryview) -> ToyEngine:
        self.loads += 1
        error = json.loads(bytes(payload))['error'] if self.built else self.error
        self.engines.append(ToyEngine(self.name, self.precision, error))
        return self.engines[-1]


def reference() -> Sample:
    """Return two inputs and what the exact network makes of them."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    return Sample({'x': x}, {'y': 2.0 * x})


def measure(outputs: Mapping[str, FloatTensor],
            wanted: Mapping[str, FloatTensor]) -> dict[str, float]:
    """Return the largest difference."""
    return {'metres': float(np.abs(outputs['y'] - wanted['y']).max())}


def ladder(folder: Path, *rungs: Rung, said: list[str] | None = None,
           weights: str = 'w1', limit_bytes: int = 1 << 30) -> Ladder:
    """Return a ladder over a cache in a folder."""
    cache = EngineCache(folder, limit_bytes=limit_bytes,
                        say=said.append if said is not None else lambda line: None)
    return Ladder(rungs, cache=cache, identity={'weights': weights},
                  referee=Referee(reference, measure, LIMITS))
