# SPDX-License-Identifier: Apache-2.0
"""What a way to run a network offers the ladder, and how its answers are compared."""
from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime.batching import Batches
from ros2_dice.runtime.engine_file import Sample
from ros2_dice.runtime.protocol import Engine, FloatTensor

Progress = Callable[['Stage', float, str], None]
"""Called with the stage, how much of it is done [0, 1] and words; it may raise to give up."""
Measure = Callable[[Mapping[str, FloatTensor], Mapping[str, FloatTensor]], Mapping[str, float]]
"""Takes outputs and reference; returns named differences in the units of their limits."""


class TooCoarse(EngineError):
    """A rung can't be built within the limits; there is no need to try again."""


class Stage(enum.IntEnum):
    """Values as in BuildEngine.action."""

    UNKNOWN = 0
    EXPORTING = 1
    BUILDING = 2
    VERIFYING = 3
    SAVING = 4


def silent(stage: Stage, fraction: float, detail: str) -> None:
    """Report progress to nobody."""


class Referee:
    """
    Says how far an engine is from fp32, and whether that is fine.

    Args:
        reference: returns inputs and the fp32 outputs that belong to them; asked only once.
        measure: how outputs are compared.
        limits: largest difference, by the names that `measure` returns.
    """

    def __init__(self, reference: Callable[[], Sample], measure: Measure,
                 limits: Mapping[str, float]) -> None:
        self._make = reference
        self._sample: Sample | None = None
        self._measure = measure
        self.limits = limits

    @property
    def reference(self) -> Sample:
        """Return inputs and fp32 outputs."""
        if self._sample is None:
            self._sample = self._make()
        return self._sample

    def compare(self, engine: Engine, sample: Sample | None = None) -> tuple[
            dict[str, float], dict[str, FloatTensor]]:
        """
        Run an engine on a sample, the reference when None.

        Returns:
            The differences and the engine's outputs.

        Raises:
            EngineError: it fails or does not answer with numbers.
        """
        sample = sample or self.reference
        outputs = run_sample(engine, sample.inputs)
        require_finite(outputs, f'{engine.name} {engine.precision}')
        return dict(self._measure(outputs, sample.outputs)), outputs

    def excess(self, difference: Mapping[str, float]) -> str:
        """Return the first measure over its limit in words, empty when all are within."""
        for name, limit in self.limits.items():
            value = difference.get(name, float('nan'))
            if not value <= limit:
                return f'{name} differ by {value:.3g}, limit {limit:g}'
        return ''


class Rung(Protocol):
    """One engine in one precision on one device, that may or may not run here."""

    name: str
    """As parameter `backend.name`, e.g. `openvino`."""
    precision: str
    """As parameter `backend.precision`, e.g. `bf16`."""
    device: str
    """cpu or cuda:N."""
    variant: str
    """Tells rungs apart that agree in all else, empty for most."""
    batch: int
    """Size of the first dimension of all inputs and outputs."""
    built: bool
    """True = it is built once and kept; False = `load` needs no payload."""

    exact: bool
    """True = it is what the reference is made with: there is nothing to compare."""

    def obstacle(self) -> str:
        """Return why it can't run here, best with the command that helps; empty = it can."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return what a built engine depends on: libraries, device, driver, options."""
        ...

    def build(self, progress: Progress) -> bytes:
        """
        Return the engine as bytes; this may take minutes.

        Raises:
            EngineError: it can't be built.
        """
        ...

    def load(self, payload: memoryview) -> Engine:
        """
        Return an engine; the ladder runs it on a stored input before anybody else does.

        Raises:
            EngineError: the payload is not what this library wants, or memory is short.
        """
        ...


class State(enum.Enum):
    """What became of a rung."""

    CHOSEN = 'chosen'
    UNAVAILABLE = 'can not run here'
    MISSING = 'not built'
    COARSE = 'too coarse'
    FAILED = 'failed'
    LOWER = 'not needed'


@dataclass(frozen=True)
class Verdict:
    """What became of a rung, and why."""

    name: str
    precision: str
    variant: str
    device: str
    state: State
    reason: str = ''
    difference: Mapping[str, float] | None = None
    """To the fp32 reference, None = not measured."""

    def text(self) -> str:
        """Return one line for the log."""
        kind = ' '.join(filter(None, (self.name, self.precision, self.variant)))
        line = f'{kind} on {self.device}: {self.state.value}'
        return f'{line} ({self.reason})' if self.reason else line


@dataclass(frozen=True)
class Choice:
    """The engine that serves, and all that was considered, best first."""

    engine: Engine
    verdict: Verdict
    verdicts: tuple[Verdict, ...]
    engine_id: str = ''
    """Name of the built engine in the cache, empty = none is built."""
    batches: Batches[Engine] | None = None
    """The engine with others like it for several inputs at once; None = one after another."""

    @property
    def to_build(self) -> bool:
        """Tell whether a better engine than this one could be built here."""
        return any(v.state is State.MISSING for v in self.verdicts)

    def close(self) -> None:
        """Release all engines."""
        if self.batches is not None:
            self.batches.close()
        self.engine.close()

    def text(self) -> str:
        """Return one line: what serves, its difference, and why better ones do not."""
        better = self.verdicts[:self.verdicts.index(self.verdict)]
        line = self.verdict.text()
        return f'{line}; passed over: ' + '; '.join(v.text() for v in better) if better else line


def run_sample(engine: Engine, inputs: Mapping[str, FloatTensor]) -> dict[str, FloatTensor]:
    """
    Run any number of inputs through an engine of a fixed batch.

    Args:
        inputs: arrays (K, ...) whose first dimension need not be the engine's batch.

    Returns:
        Arrays (K, ...), the caller's own.
    """
    count = min(len(values) for values in inputs.values())
    batch = next(iter(engine.inputs.values()))[0]
    parts: dict[str, list[FloatTensor]] = {}
    for begin in range(0, count, batch):
        rows = [min(begin + offset, count - 1) for offset in range(batch)]
        outputs = engine.infer({name: np.ascontiguousarray(values[rows])
                                for name, values in inputs.items()})
        for name, values in outputs.items():
            parts.setdefault(name, []).append(np.array(values[:min(batch, count - begin)]))
    return {name: np.concatenate(values) for name, values in parts.items()}


def head_of(sample: Sample, count: int) -> Sample:
    """Return the first inputs and outputs of a sample."""
    return Sample({name: values[:count] for name, values in sample.inputs.items()},
                  {name: values[:count] for name, values in sample.outputs.items()})


def require_finite(outputs: Mapping[str, FloatTensor], label: str) -> None:
    """
    Refuse an engine that does not answer with numbers.

    Raises:
        EngineError: naming the first output that holds NaN or infinity.
    """
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise EngineError(f'output {name!r} of {label}', state='not finite',
                              expected='finite numbers')
