# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on the CPU; reads .tflite, .onnx and .xml files as they are."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime.openvino_graph import cut_in_two
from ros2_dice.runtime.protocol import FloatTensor

INSTALL = 'pip install openvino'
"""What helps where OpenVINO is missing; it is none of the extras."""

_PRECISIONS = {'f32': 'fp32', 'f16': 'fp16', 'bf16': 'bf16'}


class OpenVinoEngine:
    """
    One compiled network with one request whose tensors are allocated once.

    Args:
        compiled: an `openvino.CompiledModel` with fixed shapes.
        label: its name in errors.
        precision: what it computes in, as parameter `backend.precision`.
        memory: what the compiled network keeps its weights in; it must live as long.
        warm: run it on zeros first; False = its user does, with a picture that counts.
    """

    name = 'openvino'
    device = 'cpu'

    def __init__(self, compiled: Any, label: str, precision: str, memory: Any = None, *,
                 warm: bool = True) -> None:
        import openvino

        self._memory = memory
        if any(port.partial_shape.is_dynamic for port in (*compiled.inputs, *compiled.outputs)):
            raise EngineError(f'network {label}', state='of dynamic shapes',
                              expected='fixed shapes')
        self.precision = precision
        self.inputs: Mapping[str, tuple[int, ...]] = {
            port.any_name: tuple(port.shape) for port in compiled.inputs}
        self.outputs: Mapping[str, tuple[int, ...]] = {
            port.any_name: tuple(port.shape) for port in compiled.outputs}
        self._label = label
        self._request: Any = compiled.create_infer_request()
        self._buffers: dict[str, FloatTensor] = {}
        for port in compiled.inputs:
            if port.element_type != openvino.Type.f32:
                raise EngineError(f'input {port.any_name!r} of the network {label}',
                                  got=str(port.element_type), expected='float32')
            memory = np.zeros(tuple(port.shape), np.float32)
            self._request.set_tensor(port, openvino.Tensor(memory, shared_memory=True))
            self._buffers[port.any_name] = memory
        self._results: dict[str, FloatTensor] = {
            port.any_name: self._request.get_tensor(port).data for port in compiled.outputs}
        if warm:
            self._warm_up()

    def _warm_up(self) -> None:
        """Run twice on zeros: the first call allocates, and a broken file fails here."""
        self.infer(self._buffers)
        for name, values in self.infer(self._buffers).items():
            if not np.isfinite(values).all():
                raise EngineError(f'output {name!r} of the network {self._label}',
                                  state='not finite on an empty picture',
                                  expected='finite numbers', next_step='ros2-dice assets pull')

    def buffer(self, name: str) -> FloatTensor:
        """Return an input's own memory; what is written here needs no copy in `infer`."""
        return self._buffers[name]

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        """Run the network once; see `Engine.infer`."""
        self._take(values)
        with self._errors():
            self._request.infer(share_inputs=True, share_outputs=True)
        return self._results

    def start(self, values: Mapping[str, FloatTensor]) -> None:
        """
        Begin a run on other threads; `finish` returns what `infer` would have.

        Until then the inputs are not to be written to, and no other run may begin.

        Raises:
            EngineError: as `infer`.
        """
        self._take(values)
        with self._errors():
            self._request.start_async(share_inputs=True)

    def finish(self) -> Mapping[str, FloatTensor]:
        """
        Wait for the end of the run that was started.

        Raises:
            EngineError: the engine fails.
        """
        with self._errors():
            self._request.wait()
        return self._results

    def _take(self, values: Mapping[str, FloatTensor]) -> None:
        """Copy inputs that do not lie in the engine's own memory."""
        if self._request is None:
            raise EngineError(f'network {self._label}', state='closed', expected='a loaded engine')
        for name, memory in self._buffers.items():
            value = values.get(name)
            if value is memory:
                continue
            if value is None or value.shape != memory.shape:
                raise EngineError(f'input {name!r} of the network {self._label}',
                                  got=None if value is None else value.shape,
                                  expected=f'shape {memory.shape}')
            np.copyto(memory, value)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise EngineError(f'network {self._label}', got=first_line(error),
                              expected='a run without an error',
                              next_step='ros2-dice doctor') from error

    def close(self) -> None:
        """Release the network."""
        self._request = None
        self._results = {}
        self._memory = None


def load_openvino(path: str | Path, *, threads: int, precision: str = 'f32',
                  cache_directory: str | Path | None = None, beside: bool = False,
                  ) -> OpenVinoEngine:
    """
    Load a network for the CPU, warm.

    Args:
        threads: CPU threads of this network, at least 1.
        precision: f32, f16 or bf16; what the CPU computes in.
        cache_directory: folder of compiled networks, writable only by the user; None = no cache.
        beside: it runs at the same time as others; each would else be bound to the same core.

    Raises:
        EngineError: the file can't be read or run, or OpenVINO is not installed.
    """
    if precision not in _PRECISIONS:
        raise EngineError('precision', got=precision, expected=', '.join(_PRECISIONS))
    if threads < 1:
        raise EngineError('threads', got=threads, expected='at least 1')
    with _readable(path) as core:
        return _compiled(core, core.read_model(str(path)), Path(path).name, threads, precision,
                         cache_directory, beside)


def load_openvino_in_two(path: str | Path, *, share: float, threads: int,
                         cache_directory: str | Path | None = None,
                         ) -> tuple[OpenVinoEngine, OpenVinoEngine]:
    """
    Load a network for the CPU as two, the second of which takes what the first one gives.

    The first one runs on one thread, beside other work, the second one on all.

    Args:
        path: of a network with one input, as for `load_openvino`.
        share: of the multiplications that the first one does, about.
        threads: CPU threads of the second one, at least 1.
        cache_directory: as for `load_openvino`.

    Raises:
        EngineError: as for `load_openvino`, or the network can't be cut.
    """
    with _readable(path) as core:
        first, second = cut_in_two(core.read_model(str(path)), share)
        name = Path(path).name
        return (_compiled(core, first, name, 1, 'f32', cache_directory, beside=True),
                _compiled(core, second, name, threads, 'f32', cache_directory, beside=False))


@contextmanager
def _readable(path: str | Path) -> Iterator[Any]:
    """Yield OpenVINO's core, or say why a file can't be loaded."""
    name = Path(path).name
    if not Path(path).is_file():
        raise EngineError(f'network {name}', state='missing', expected='a file',
                          next_step='ros2-dice assets pull')
    try:
        import openvino
    except ImportError as error:
        raise EngineError('openvino', state='not installed', expected='the package openvino',
                          next_step=INSTALL) from error
    try:
        yield openvino.Core()
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f'network {name}', got=first_line(error),
                          expected='a file that OpenVINO can read',
                          next_step='ros2-dice assets pull') from error


def _compiled(core: Any, model: Any, name: str, threads: int, precision: str,
              cache_directory: str | Path | None, beside: bool) -> OpenVinoEngine:
    # The default is bf16 where the CPU has it: it moves palm regressors by up to 11 units.
    options = compile_options(threads, precision)
    if beside:
        options['ENABLE_CPU_PINNING'] = False
    if cache_directory:
        options['CACHE_DIR'] = str(cache_directory)
    return OpenVinoEngine(core.compile_model(model, 'CPU', options), name,
                          _PRECISIONS[precision])


def compile_options(threads: int, precision: str = 'f32') -> dict[str, object]:
    """Return OpenVINO's options for one request at a time; arguments as for `load_openvino`."""
    return {'INFERENCE_PRECISION_HINT': precision, 'INFERENCE_NUM_THREADS': threads,
            'PERFORMANCE_HINT': 'LATENCY', 'NUM_STREAMS': 1}


def first_line(error: BaseException) -> str:
    """Return the telling line of an error that may carry a long trace of C++ sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
