# SPDX-License-Identifier: Apache-2.0
"""A serialized TensorRT engine behind the `Engine` protocol; torch holds its memory."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ros2_dice.errors import EngineError
from ros2_dice.runtime.protocol import FloatTensor, OutOfMemory
from ros2_dice.runtime.tensorrt_rung import make_logger
from ros2_dice.runtime.torch_engine import out_of_memory_named

_ALIGNMENT = 64
"""Of a tensor in numbers: 256 byte."""


class TensorRtEngine:
    """
    One execution context with fixed shapes, its own stream and pinned host buffers.

    Args:
        library: the module tensorrt or tensorrt_rtx.
        payload: the serialized engine.
        name: as parameter `backend.name`.
        device: cuda:N.
        precision: what it computes in, for the record.

    Raises:
        EngineError: the engine is of another version, GPU or driver.
        OutOfMemory: the device has too little.
    """

    on_device = True

    def __init__(self, library: Any, payload: memoryview, *, name: str, device: str,
                 precision: str) -> None:
        self.name = name
        self.device = device
        self.precision = precision
        words: list[str] = []
        self._runtime = library.Runtime(make_logger(library, words))
        with torch.cuda.device(device):
            engine = self._runtime.deserialize_cuda_engine(bytes(payload))
            context = engine.create_execution_context() if engine is not None else None
        if engine is None or context is None:
            reason = words[-1] if words else 'no reason given'
            kind = OutOfMemory if 'memory' in reason.lower() else EngineError
            raise kind(f'{name} engine', state=f'refused: {reason}',
                       expected='one of this version and GPU')
        self._engine, self._context = engine, context
        shapes: dict[bool, dict[str, tuple[int, ...]]] = {True: {}, False: {}}
        for number in range(engine.num_io_tensors):
            tensor = engine.get_tensor_name(number)
            is_input = engine.get_tensor_mode(tensor) == library.TensorIOMode.INPUT
            if engine.get_tensor_dtype(tensor) != library.float32:
                raise EngineError(f'tensor {tensor!r} of the {name} engine',
                                  got=str(engine.get_tensor_dtype(tensor)), expected='float32')
            shapes[is_input][tensor] = tuple(engine.get_tensor_shape(tensor))
        self.inputs: Mapping[str, tuple[int, ...]] = shapes[True]
        self.outputs: Mapping[str, tuple[int, ...]] = shapes[False]
        with out_of_memory_named(name):
            self._stream = torch.cuda.Stream(device)
            self._on_device = {tensor: torch.zeros(shape, device=device)
                               for tensor, shape in self.inputs.items()}
            self._host = {tensor: torch.zeros(shape, pin_memory=True)
                          for tensor, shape in self.inputs.items()}
            # All outputs lie in one piece of memory and come back in one copy.
            places = _side_by_side(self.outputs)
            size = max((place.stop for place in places.values()), default=0)
            self._device_results = torch.zeros(size, device=device)
            self._host_results = torch.zeros(size, pin_memory=True)
            for tensor, place in places.items():
                self._on_device[tensor] = self._device_results[place]
        for tensor, memory in self._on_device.items():
            context.set_tensor_address(tensor, memory.data_ptr())
        self._arrays = {tensor: self._host_results.numpy()[place].reshape(self.outputs[tensor])
                        for tensor, place in places.items()}
        self.infer({tensor: self._host[tensor].numpy() for tensor in self.inputs})

    def buffer(self, name: str) -> FloatTensor:
        """Return an input's own memory; see `Engine.buffer`."""
        return self._host[name].numpy()

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        """Run the network once; see `Engine.infer`."""
        if self._context is None:
            raise EngineError(f'the {self.name} engine', state='closed',
                              expected='a loaded engine')
        for tensor, shape in self.inputs.items():
            memory, value = self._host[tensor].numpy(), values.get(tensor)
            if value is None or value.shape != shape:
                raise EngineError(f'input {tensor!r} of the {self.name} engine',
                                  got=None if value is None else value.shape,
                                  expected=f'shape {shape}')
            if value.ctypes.data != memory.ctypes.data:
                np.copyto(memory, value)
        with self.on_stream():
            for tensor in self.inputs:
                self._on_device[tensor].copy_(self._host[tensor], non_blocking=True)
            return self.run_in_place()

    def place(self, name: str) -> torch.Tensor:
        """Return an input's own place on the device; see `DeviceEngine.place`."""
        return self._on_device[name]

    @contextmanager
    def on_stream(self) -> Iterator[None]:
        """Let work on the device queue up on the engine's own stream."""
        with out_of_memory_named(self.name), torch.inference_mode(), \
                torch.cuda.stream(self._stream):
            yield

    def run_in_place(self) -> Mapping[str, FloatTensor]:
        """Run on what the inputs hold on the device; see `DeviceEngine.run_in_place`."""
        running = self._context is not None and self._context.execute_async_v3(
            self._stream.cuda_stream)
        if not running:
            raise EngineError(f'the {self.name} engine', state='broken',
                              expected='a run without an error', next_step='ros2-dice doctor')
        self._host_results.copy_(self._device_results, non_blocking=True)
        self._stream.synchronize()
        return self._arrays

    def close(self) -> None:
        """Release context, engine and buffers."""
        self._context = self._engine = None
        self._on_device = {}
        self._device_results = torch.empty(0)


def _side_by_side(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, slice]:
    """Return where each tensor lies in one piece of memory, aligned as the library wants it."""
    places, begin = {}, 0
    for name, shape in shapes.items():
        end = begin + math.prod(shape)
        places[name] = slice(begin, end)
        begin = -(-end // _ALIGNMENT) * _ALIGNMENT
    return places
