# SPDX-License-Identifier: Apache-2.0
"""
TensorRT and TensorRT for RTX: an engine built from a strongly typed ONNX file.

Both libraries have the same interface; TensorRT for RTX also builds without a GPU, for named
architectures, and compiles the rest where it runs. `tensorrt` is what torch-tensorrt brings.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ros2_dice.errors import EngineError, install_hint
from ros2_dice.runtime.processor import cuda_driver
from ros2_dice.runtime.protocol import Engine, OutOfMemory
from ros2_dice.runtime.rung import Progress, Stage

_HINTS = {'tensorrt': 'pip install torch-tensorrt, of the same version as torch',
          'tensorrt_rtx': install_hint('tensorrt')}
_WORKSPACE_BYTES = 2 << 30


class TensorRtRung:
    """
    One of the two libraries on a GPU.

    Args:
        library: tensorrt or tensorrt_rtx.
        network: returns a strongly typed ONNX file with a fixed batch.
        device: cuda:N.
        precision: what the file computes in, for the record.
        batch: of the file.
        architectures: compute capabilities to build for, e.g. `SM89`; empty = the GPU that is
            here. TensorRT for RTX only.
    """

    built = True
    exact = False
    variant = ''

    def __init__(self, library: str, network: Callable[[], bytes], *, device: str = 'cuda:0',
                 precision: str = 'fp16', batch: int = 1,
                 architectures: Sequence[str] = ()) -> None:
        if library not in _HINTS:
            raise EngineError('library', got=library, expected=' or '.join(_HINTS))
        self.name = library
        self.device = device
        self.precision = precision
        self.batch = batch
        self._network = network
        self._architectures = tuple(architectures)

    def obstacle(self) -> str:
        """Return why it can't run here, empty = it can."""
        if not cuda_driver():
            return 'there is no NVIDIA driver here'
        try:
            self._library()
        except ModuleNotFoundError:
            return f'{self.name} is not installed ({_HINTS[self.name]})'
        import torch

        if not torch.cuda.is_available():
            return 'torch finds no CUDA device'
        return ''

    def versions(self) -> Mapping[str, str]:
        """Return library, driver and GPU."""
        found = {'library': f'{self.name} {self._library().__version__}',
                 'architectures': ' '.join(self._architectures)}
        if not self._architectures:
            import torch

            found.update(driver=cuda_driver(), gpu=torch.cuda.get_device_name(self.device))
        return found

    def build(self, progress: Progress) -> bytes:
        """Return the serialized engine; see `Rung.build`."""
        progress(Stage.EXPORTING, 0.0, 'the network to ONNX')
        network = self._network()
        progress(Stage.BUILDING, 0.0, f'{self.name}; this takes some minutes')
        return build_engine(self._library(), network, self._architectures,
                            lambda share, phase: progress(Stage.BUILDING, share, phase))

    def load(self, payload: memoryview) -> Engine:
        """Return a warm engine; see `Rung.load`."""
        from ros2_dice.runtime.tensorrt_engine import TensorRtEngine

        return TensorRtEngine(self._library(), payload, name=self.name, device=self.device,
                              precision=self.precision)

    def _library(self) -> Any:
        return importlib.import_module(self.name)


def build_engine(library: Any, network: bytes, architectures: Sequence[str] = (),
                 progress: Callable[[float, str], None] = lambda share, phase: None) -> bytes:
    """
    Return a serialized engine; needs no GPU when architectures are named.

    Args:
        library: the module tensorrt or tensorrt_rtx.
        network: strongly typed ONNX file.
        architectures: e.g. `SM89`; empty = the GPU that is here.
        progress: gets the share of the steps that are done and the phase; it may raise.

    Raises:
        EngineError: the file can't be parsed or built; the library's own words are in it.
        OutOfMemory: memory ran short.
    """
    words: list[str] = []
    builder = library.Builder(make_logger(library, words))
    definition = builder.create_network(
        1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(definition, builder.logger)
    if not parser.parse(network):
        errors = [str(parser.get_error(number)) for number in range(parser.num_errors)]
        raise EngineError('ONNX file', got=errors[0] if errors else 'not readable',
                          expected=f'one that {library.__name__} can read')
    options = builder.create_builder_config()
    options.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    monitor = make_monitor(library, progress)
    options.progress_monitor = monitor
    if architectures:
        _name_architectures(library, options, architectures)
    result = builder.build_serialized_network(definition, options)
    if monitor.error is not None:
        raise monitor.error
    if result is None:
        reason = words[-1] if words else 'no reason given'
        kind = OutOfMemory if 'memory' in reason.lower() else EngineError
        raise kind(f'building with {library.__name__}', state=f'refused: {reason}',
                   expected='an engine')
    return bytes(memoryview(result))


def _name_architectures(library: Any, options: Any, architectures: Sequence[str]) -> None:
    """Build for named GPUs instead of the one that is here."""
    known = getattr(library, 'ComputeCapability', None)
    unknown = [name for name in architectures if not hasattr(known, name)]
    if known is None or unknown:
        raise EngineError('architectures', got=' '.join(unknown or architectures),
                          expected='those that the library can build for ahead of time')
    options.num_compute_capabilities = len(architectures)
    for number, name in enumerate(architectures):
        options.set_compute_capability(getattr(known, name), number)


def make_logger(library: Any, words: list[str]) -> Any:
    """Return a logger that keeps warnings and errors."""
    class Logger(library.ILogger):
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= library.ILogger.WARNING:
                words.append(message)

    return Logger()


def make_monitor(library: Any, progress: Callable[[float, str], None]) -> Any:
    """Return a monitor that hands on the outermost phase, and stops the build on an exception."""
    class Monitor(library.IProgressMonitor):
        def __init__(self) -> None:
            library.IProgressMonitor.__init__(self)
            self.error: Exception | None = None
            self._steps: dict[str, int] = {}
            self._outermost = ''

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._outermost = phase_name
            self._steps[phase_name] = max(num_steps, 1)

        def phase_finish(self, phase_name: str) -> None:
            pass

        def step_complete(self, phase_name: str, step: int) -> bool:
            if self.error is None and phase_name == self._outermost:
                try:
                    progress(min(1.0, (step + 1) / self._steps[phase_name]), phase_name)
                except Exception as error:  # must not pass through C++
                    self.error = error
            return self.error is None

    return Monitor()
