# SPDX-License-Identifier: Apache-2.0
"""A network on OpenVINO: in fp32, in mixed precision, or in as much of it as is fine enough."""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime import openvino_graph as graph
from ros2_dice.runtime.openvino_engine import (
    INSTALL,
    OpenVinoEngine,
    compile_options,
    first_line,
)
from ros2_dice.runtime.processor import processor_flags, processor_name
from ros2_dice.runtime.rung import Progress, Referee, Stage, TooCoarse

SCANNED = 'scanned'
"""Variant whose lower precision ends where the limits of the outputs would be crossed."""

_NEEDS = {'fp32': '', 'bf16': 'BF16', 'int8': 'INT8'}
"""Precision: what the plugin must be able to do."""
_GROUPS = 16
"""Parts of the network that the scan judges one by one."""
_LEAST_SHARE = 0.2
"""Of the multiplications: with fewer in lower precision it is not worth a rung."""
_VERSION = '2'
"""Of this file's rewriting of graphs: part of every key."""


class OpenVinoRung:
    """
    OpenVINO on the CPU.

    Args:
        precision: fp32, bf16 or int8. In bf16 and int8 all products but the last of each output
            are lowered; layer norms, softmax and sums stay in fp32.
        model: returns the fp32 model with fixed shapes; called once, when it is to be built.
        referee: whose inputs give the ranges of int8 and whose limits end the scan.
        threads: CPU threads.
        variant: '' or `SCANNED`.
    """

    name = 'openvino'
    device = 'cpu'
    built = True
    exact = False

    def __init__(self, precision: str, model: Callable[[], Any], referee: Referee, *,
                 threads: int, batch: int = 1, variant: str = '') -> None:
        if precision not in _NEEDS:
            raise EngineError('precision', got=precision, expected=', '.join(_NEEDS))
        self.precision = precision
        self.variant = variant
        self.batch = batch
        self._model = model
        self._referee = referee
        self._threads = threads

    def obstacle(self) -> str:
        """Return why it can't run here, empty = it can."""
        try:
            import openvino  # noqa: F401
        except ModuleNotFoundError:
            return f'openvino is not installed ({INSTALL})'
        need = _NEEDS[self.precision]
        if need and not self._can(need):
            return f'this CPU has no {self.precision} instructions'
        return ''

    def _can(self, capability: str) -> bool:
        import openvino

        return capability in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')

    def versions(self) -> Mapping[str, str]:
        """Return library, processor and the version of the rewriting."""
        import openvino

        return {'openvino': openvino.__version__, 'rewriting': _VERSION,
                'processor': processor_name(), 'instructions': ' '.join(processor_flags())}

    def build(self, progress: Progress) -> bytes:
        """Return the compiled network; see `Rung.build`."""
        progress(Stage.EXPORTING, 0.0, 'the network for OpenVINO')
        model = self._model()
        if self.precision != 'fp32':
            lower = self._lowering(model, progress)
            places = self._scan(model, lower, progress) if self.variant == SCANNED \
                else self._most(model)
            model = lower(places)
        progress(Stage.BUILDING, 0.9, 'compiling')
        return bytes(self._compile(model).export_model().getvalue())

    def load(self, payload: memoryview) -> OpenVinoEngine:
        """Return an engine that has not run yet; see `Rung.load`."""
        import openvino

        data = np.frombuffer(payload, np.uint8)
        if payload.readonly:
            data = data.copy()
        try:
            compiled = openvino.Core().import_model(
                openvino.Tensor(data, shared_memory=True), 'CPU', compile_options(self._threads))
        except Exception as error:
            raise EngineError('compiled network', got=first_line(error),
                              expected='one of this version of OpenVINO') from error
        # The ladder runs it on the stored input next: a start has no second to spare.
        return OpenVinoEngine(compiled, f'openvino {self.precision}', self.precision, data,
                              warm=False)

    def _compile(self, model: Any) -> Any:
        import openvino

        try:
            return openvino.Core().compile_model(model, 'CPU', compile_options(self._threads))
        except Exception as error:
            raise EngineError('the network', got=first_line(error),
                              expected='one that OpenVINO can compile') from error

    def _most(self, model: Any) -> list[int]:
        """Return the places of all products but the last ones before each output."""
        last = graph.last_products(model)
        return [place for place in range(len(graph.products(model))) if place not in last]

    def _lowering(self, model: Any, progress: Progress) -> Callable[[Collection[int]], Any]:
        """Return a function that lowers the products at some places."""
        if self.precision == 'bf16':
            return lambda places: graph.cast_products(model, places)
        progress(Stage.BUILDING, 0.1, 'ranges of the activations')
        ranges = graph.activation_ranges(model, self._referee.reference.inputs,
                                         threads=self._threads)
        attention = graph.attention_products(model)
        # Attention has no weights to quantize, and bf16 takes half of fp32's time for it.
        beside = attention if self._can('BF16') else set()

        def lower(places: Collection[int]) -> Any:
            wanted = set(places)
            return graph.quantize_products(graph.cast_products(model, wanted & beside),
                                           wanted - attention, ranges)

        return lower

    def _scan(self, model: Any, lower: Callable[[Collection[int]], Any],
              progress: Progress) -> list[int]:
        """
        Return the places whose rounding the outputs bear, the most work first.

        Each group of neighbouring products is lowered alone and measured; then the largest number
        of groups, the best work for its error first, that stays within the limits is searched by
        halving.
        """
        parts = graph.groups(model, self._most(model), _GROUPS)
        nodes = graph.products(model)
        work = [sum(graph.multiplications(nodes[place]) for place in part) for part in parts]
        errors = []
        for number, part in enumerate(parts):
            progress(Stage.BUILDING, 0.1 + 0.6 * number / len(parts),
                     f'sensitivity of part {number + 1} of {len(parts)}')
            errors.append(self._worst(lower(part)))
        # Errors of parts add up like noise: what counts is their square for the work saved.
        order = sorted(range(len(parts)), key=lambda i: errors[i] ** 2 / work[i])
        low, high = 0, len(order)
        while low < high:
            middle = (low + high + 1) // 2
            progress(Stage.BUILDING, 0.7 + 0.2 * (1 - (high - low) / len(order)),
                     f'{middle} of {len(parts)} parts')
            chosen = [place for i in order[:middle] for place in parts[i]]
            low, high = (middle, high) if self._worst(lower(chosen)) <= 1.0 else (low, middle - 1)
        if sum(work[i] for i in order[:low]) < _LEAST_SHARE * sum(work):
            raise TooCoarse(
                f'openvino {self.precision}', state=f'within the limits for {low} of {len(parts)} '
                'parts only', expected=f'{_LEAST_SHARE:.0%} of the work or more')
        return [place for i in order[:low] for place in parts[i]]

    def _worst(self, model: Any) -> float:
        """Return the largest difference as a multiple of its limit."""
        engine = OpenVinoEngine(self._compile(model), 'trial', self.precision, warm=False)
        difference, _ = self._referee.compare(engine)
        engine.close()
        return max(difference[name] / limit for name, limit in self._referee.limits.items())
