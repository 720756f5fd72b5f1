# SPDX-License-Identifier: Apache-2.0
"""A torch module as it is, or recorded as a CUDA graph: nothing is built ahead."""
from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING

from ros2_dice.errors import EngineError, install_hint
from ros2_dice.runtime.processor import cuda_driver
from ros2_dice.runtime.protocol import Engine
from ros2_dice.runtime.rung import Progress

if TYPE_CHECKING:
    from torch import nn


class TorchRung:
    """
    Torch on a CPU, or a CUDA graph of the module on a GPU.

    Args:
        module: returns the module for a precision, on the CPU, in eval mode.
        input_name: of the input.
        shape: of the input, without the batch.
        names: of the outputs, in order.
        device: cpu or cuda:N.
        precision: fp32, or fp16 and bf16 on a GPU.
        batch: of the input.
        threads: CPU threads on a CPU.
        compiled: let torch.compile fuse what it can before the graph is recorded; on a GPU only,
            and it takes minutes the first time.
        placed: modules on a GPU that engines of other batches share as long as one is in use.
    """

    built = False

    def __init__(self, module: Callable[[str], nn.Module], input_name: str, shape: Sequence[int],
                 names: Sequence[str], *, device: str = 'cpu', precision: str = 'fp32',
                 batch: int = 1, threads: int = 0, compiled: bool = False,
                 placed: MutableMapping[tuple[str, ...], nn.Module] | None = None) -> None:
        self.name = 'torch' if device == 'cpu' else 'cuda_graph'
        self.variant = 'compiled' if compiled else ''
        self.device = device
        self.precision = precision
        self.batch = batch
        self.exact = device == 'cpu' and precision == 'fp32'
        self._module = module
        self._input_name = input_name
        self._shape = (batch, *shape)
        self._names = names
        self._threads = threads
        self._placed = {} if placed is None else placed

    def obstacle(self) -> str:
        """Return why it can't run here, empty = it can."""
        if self.device != 'cpu' and not cuda_driver():
            return 'there is no NVIDIA driver here'
        if importlib.util.find_spec('torch') is None:
            return f'torch is not installed ({install_hint("dice")})'
        if self.device != 'cpu':
            import torch

            if not torch.cuda.is_available():
                return 'torch finds no CUDA device'
            if int(self.device.partition(':')[2]) >= torch.cuda.device_count():
                return f'there are {torch.cuda.device_count()} CUDA devices'
        return ''

    def versions(self) -> Mapping[str, str]:
        """Return torch's version and the device's name."""
        import torch

        device = '' if self.device == 'cpu' else torch.cuda.get_device_name(self.device)
        return {'torch': torch.__version__, 'device_name': device}

    def build(self, progress: Progress) -> bytes:
        """Raise EngineError: there is nothing to build."""
        raise EngineError(self.name, expected='an engine that is built')

    def load(self, payload: memoryview) -> Engine:
        """Return a warm engine; see `Rung.load`."""
        from ros2_dice.runtime.torch_engine import TorchEngine, out_of_memory_named

        key = self.device, self.precision, self.variant
        module = self._placed.get(key)
        if module is None:
            module = self._module(self.precision)
            with out_of_memory_named(self.name):
                if self.device != 'cpu':
                    # That of the CPU stays where it is: other rungs use it.
                    module = self._placed[key] = copy.deepcopy(module).to(self.device)
                if self.variant:
                    module.compile(dynamic=False)
        return TorchEngine(module, self._input_name, self._shape, self._names,
                           device=self.device, precision=self.precision, threads=self._threads)
