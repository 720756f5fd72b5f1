# SPDX-License-Identifier: Apache-2.0
"""A serialized TensorRT engine behind the `Engine` protocol; torch holds its memory."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ros2_dice.errors import EngineError
from ros2_dice.runtime.protocol import FloatTensor, OutOfMemory
from ros2_dice.runtime.tensorrt_rung import make_logger
from ros2_dice.runtime.torch_engine import out_of_memory_named


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
            self._on_device = {tensor: torch.zeros(shape, device=device) for tensor, shape in
                               (*self.inputs.items(), *self.outputs.items())}
            self._host = {tensor: torch.zeros(shape, pin_memory=True) for tensor, shape in
                          (*self.inputs.items(), *self.outputs.items())}
        for tensor, memory in self._on_device.items():
            context.set_tensor_address(tensor, memory.data_ptr())
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
        with out_of_memory_named(self.name), torch.cuda.stream(self._stream):
            for tensor in self.inputs:
                self._on_device[tensor].copy_(self._host[tensor], non_blocking=True)
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise EngineError(f'the {self.name} engine', state='broken',
                                  expected='a run without an error',
                                  next_step='ros2-dice doctor')
            for tensor in self.outputs:
                self._host[tensor].copy_(self._on_device[tensor], non_blocking=True)
            self._stream.synchronize()
        return {tensor: self._host[tensor].numpy() for tensor in self.outputs}

    def close(self) -> None:
        """Release context, engine and buffers."""
        self._context = self._engine = None
        self._on_device = {}
