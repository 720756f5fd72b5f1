# SPDX-License-Identifier: Apache-2.0
"""
A torch module behind the `Engine` protocol: eager on a CPU, replayed as a CUDA graph on a GPU.

On a GPU nothing is allocated after the start: inputs and outputs have pinned host buffers and
fixed places on the device, copies run on one stream of their own, and the module is recorded once
and replayed. All outputs come back in one copy.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ros2_dice.errors import EngineError
from ros2_dice.runtime.protocol import FloatTensor, OutOfMemory

_WARM_UPS = 3
"""Runs before a graph is recorded: libraries choose their kernels and workspaces in them."""


class TorchEngine:
    """
    A module with one input, on a device.

    Args:
        module: in eval mode, on the device, in the types in which it is to compute; its input and
            outputs are float32.
        input_name: of the input.
        shape: of the input, with the batch.
        names: of the outputs, in order.
        device: cpu or cuda:N.
        precision: what it computes in, for the record.
        threads: CPU threads on a CPU; 0 = torch's own choice.

    Raises:
        OutOfMemory: the device has too little.
    """

    def __init__(self, module: nn.Module, input_name: str, shape: Sequence[int],
                 names: Sequence[str], *, device: str = 'cpu', precision: str = 'fp32',
                 threads: int = 0) -> None:
        self.device = device
        self.precision = precision
        self.name = 'torch' if device == 'cpu' else 'cuda_graph'
        self._input_name = input_name
        self._module: nn.Module | None = module
        self._threads = threads
        self._graph: Any = None
        self.on_device = pinned = device != 'cpu'
        self._host_input = torch.zeros(*shape, pin_memory=pinned)
        self.inputs: Mapping[str, tuple[int, ...]] = {input_name: tuple(shape)}
        with out_of_memory_named(self.name), torch.inference_mode():
            if pinned:
                self._stream = torch.cuda.Stream(device)
                self._device_input = self._host_input.to(device)
                results = self._record()
            else:
                results = self._limited()
            self._host_flat = torch.empty(_flat(results).shape, pin_memory=pinned)
        self.outputs: Mapping[str, tuple[int, ...]] = {
            name: tuple(value.shape) for name, value in zip(names, results)}
        self._arrays = _views(self._host_flat.numpy(), self.outputs)

    def buffer(self, name: str) -> FloatTensor:
        """Return the input's own memory; see `Engine.buffer`."""
        assert name == self._input_name
        return self._host_input.numpy()

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        """Run the module once; see `Engine.infer`."""
        memory = self._host_input.numpy()
        value = values.get(self._input_name)
        if self._module is None or value is None or value.shape != memory.shape:
            got = 'closed' if self._module is None else None if value is None else value.shape
            raise EngineError(f'input {self._input_name!r} of the {self.name} engine', got=got,
                              expected=f'shape {memory.shape} and a loaded engine')
        if value is not memory:
            np.copyto(memory, value)
        with self.on_stream():
            if self._graph is not None:
                self._device_input.copy_(self._host_input, non_blocking=True)
            return self.run_in_place()

    def run_in_place(self) -> Mapping[str, FloatTensor]:
        """Run on what was written to `place`, inside `on_stream`; else as `infer`."""
        if self._graph is None:
            torch.cat(_rows(self._limited()), 1, out=self._host_flat)
        else:
            self._graph.replay()
            self._host_flat.copy_(self._device_flat, non_blocking=True)
            self._stream.synchronize()
        return self._arrays

    @contextmanager
    def on_stream(self) -> Iterator[None]:
        """Let work on the device queue up on the engine's own stream."""
        with out_of_memory_named(self.name), torch.inference_mode():
            if self._graph is None:
                yield
            else:
                with torch.cuda.stream(self._stream):
                    yield

    def place(self, name: str) -> Tensor:
        """Return the input's own place on the device; see `DeviceEngine.place`."""
        assert name == self._input_name
        return self._device_input if self._graph is not None else self._host_input

    def close(self) -> None:
        """Release module, graph and buffers."""
        self._module = self._graph = None
        self._device_flat = torch.empty(0)

    def _limited(self) -> Sequence[Tensor]:
        """Run the module on the CPU with the threads that were given."""
        assert self._module is not None
        before = torch.get_num_threads()
        if self._threads:
            torch.set_num_threads(self._threads)
        try:
            return tuple(self._module(self._host_input))
        finally:
            torch.set_num_threads(before)

    def _record(self) -> Sequence[Tensor]:
        """Record the module as a graph on the engine's stream."""
        assert self._module is not None
        # What is called fp32 is fp32: convolutions would take TF32 by default.
        with torch.backends.cudnn.flags(benchmark=True, allow_tf32=False):
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UPS):
                    self._module(self._device_input)
            self._stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream):
                results = tuple(self._module(self._device_input))
                self._device_flat = _flat(results)
                return results


def _rows(results: Sequence[Tensor]) -> list[Tensor]:
    return [value.reshape(len(value), -1) for value in results]


def _flat(results: Sequence[Tensor]) -> Tensor:
    """Return all outputs (N, ...) side by side in one tensor (N, M)."""
    return torch.cat(_rows(results), 1)


def _views(flat: FloatTensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, FloatTensor]:
    """Return the outputs that lie side by side, without a copy."""
    views, begin = {}, 0
    for name, shape in shapes.items():
        end = begin + math.prod(shape[1:])
        views[name] = flat[:, begin:end].reshape(shape)
        begin = end
    return views


def limit_memory(device: str, limit_mib: int) -> None:
    """Let torch take no more than this of a GPU's memory, in all of this process."""
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_mib * 2**20 / total), device)


@contextmanager
def out_of_memory_named(label: str) -> Iterator[None]:
    """Turn torch's out-of-memory error into ours, so that callers can step down."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory(f'the {label} engine', got=str(error).partition('.')[0],
                          expected='memory on the device',
                          next_step='raise backend.memory_limit or end other programs') from error
    except RuntimeError as error:
        raise EngineError(f'the {label} engine', got=str(error).partition('\n')[0],
                          expected='a run without an error',
                          next_step='ros2-dice doctor') from error
