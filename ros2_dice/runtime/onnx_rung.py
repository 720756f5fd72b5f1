# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on the CPU: in fp32, for machines on which OpenVINO can't run."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ros2_dice.errors import EngineError, install_hint
from ros2_dice.runtime.protocol import FloatTensor
from ros2_dice.runtime.rung import Progress, Stage


class OnnxEngine:
    """
    One session with fixed shapes.

    Args:
        session: an `onnxruntime.InferenceSession` on the CPU.
    """

    name = 'onnx'
    device = 'cpu'
    precision = 'fp32'

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs: Mapping[str, tuple[int, ...]] = {
            port.name: tuple(port.shape) for port in session.get_inputs()}
        self._buffers = {name: np.zeros(shape, np.float32) for name, shape in self.inputs.items()}
        self.outputs: Mapping[str, tuple[int, ...]] = {
            name: values.shape for name, values in self.infer(self._buffers).items()}

    def buffer(self, name: str) -> FloatTensor:
        """Return an input's memory; see `Engine.buffer`."""
        return self._buffers[name]

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        """Run the network once; see `Engine.infer`."""
        if self._session is None:
            raise EngineError('the onnx engine', state='closed', expected='a loaded engine')
        for name, shape in self.inputs.items():
            value = values.get(name)
            if value is None or value.shape != shape:
                raise EngineError(f'input {name!r} of the onnx engine',
                                  got=None if value is None else value.shape,
                                  expected=f'shape {shape}')
        try:
            results = self._session.run(None, {name: values[name] for name in self.inputs})
        except Exception as error:
            raise EngineError('the onnx engine', got=str(error).partition('\n')[0],
                              expected='a run without an error',
                              next_step='ros2-dice doctor') from error
        return {port.name: result for port, result in zip(self._session.get_outputs(), results)}

    def close(self) -> None:
        """Release the session."""
        self._session = None


class OnnxRung:
    """
    ONNX Runtime in fp32.

    Args:
        network: returns an ONNX file with a fixed batch; called when it is to be built.
        threads: CPU threads.
        batch: of the file.
    """

    name = 'onnx'
    precision = 'fp32'
    device = 'cpu'
    variant = ''
    built = True
    exact = False

    def __init__(self, network: Callable[[], bytes], *, threads: int, batch: int = 1) -> None:
        self.batch = batch
        self._network = network
        self._threads = threads

    def obstacle(self) -> str:
        """Return why it can't run here, empty = it can."""
        try:
            import onnxruntime  # noqa: F401
        except ModuleNotFoundError:
            return f'onnxruntime is not installed ({install_hint("engines")})'
        return ''

    def versions(self) -> Mapping[str, str]:
        """Return the library's version."""
        import onnxruntime

        return {'onnxruntime': onnxruntime.__version__}

    def build(self, progress: Progress) -> bytes:
        """Return the ONNX file; see `Rung.build`."""
        progress(Stage.EXPORTING, 0.0, 'the network to ONNX')
        return self._network()

    def load(self, payload: memoryview) -> OnnxEngine:
        """Return a warm engine; see `Rung.load`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(bytes(payload), options,
                                                   providers=['CPUExecutionProvider'])
        except Exception as error:
            raise EngineError('ONNX file', got=str(error).partition('\n')[0],
                              expected='one that ONNX Runtime can read') from error
        return OnnxEngine(session)
