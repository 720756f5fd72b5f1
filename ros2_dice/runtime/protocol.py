# SPDX-License-Identifier: Apache-2.0
"""What every inference engine offers, and the check that a network is the expected one."""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ros2_dice.errors import EngineError

FloatTensor = npt.NDArray[np.float32]


class OutOfMemory(EngineError):
    """The device has too little free memory; a smaller batch may fit."""


class Engine(Protocol):
    """A loaded network: named float32 arrays in, named float32 arrays out."""

    @property
    def name(self) -> str:
        """Kind of engine, e.g. `openvino`."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, e.g. `cpu`."""
        ...

    @property
    def precision(self) -> str:
        """Arithmetic, e.g. `fp32`."""
        ...

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of the inputs."""
        ...

    @property
    def outputs(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of the outputs."""
        ...

    def buffer(self, name: str) -> FloatTensor:
        """Return an input's own memory; what is written here needs no copy in `infer`."""
        ...

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        """
        Run the network once.

        Args:
            values: one array per input. The array of `buffer` passes through without a copy.

        Returns:
            One array per output, valid until the next call.

        Raises:
            EngineError: an input is missing or has another shape, or the engine fails.
        """
        ...

    def close(self) -> None:
        """Release the network; `infer` raises EngineError from here on."""
        ...


class DeviceEngine(Engine, Protocol):
    """An engine whose input may be written where it lies on a device."""

    on_device: bool
    """False = it has no device of its own: use it as an `Engine`."""

    def place(self, name: str) -> Any:
        """Return an input's own torch tensor on the device, to be filled inside `on_stream`."""
        ...

    def on_stream(self) -> AbstractContextManager[None]:
        """Let work on the device queue up on the engine's own stream."""
        ...

    def run_in_place(self) -> Mapping[str, FloatTensor]:
        """Run on what the inputs hold on the device, inside `on_stream`; else as `infer`."""
        ...


def on_device(engine: Engine) -> DeviceEngine | None:
    """Return an engine as one on a device, None where it is none."""
    return cast(DeviceEngine, engine) if getattr(engine, 'on_device', False) else None


def require_shapes(engine: Engine, label: str, inputs: Mapping[str, tuple[int, ...]],
                   outputs: Mapping[str, tuple[int, ...]]) -> None:
    """
    Check names and shapes, so that a file of another release is refused when it is loaded.

    Raises:
        EngineError: naming the first tensor that differs.
    """
    for kind, wanted, found in (('input', inputs, engine.inputs),
                                ('output', outputs, engine.outputs)):
        for name, shape in wanted.items():
            if found.get(name) != shape:
                raise EngineError(f'{kind} {name!r} of the network {label}', got=found.get(name),
                                  expected=f'shape {shape}',
                                  next_step='this is another release; run: ros2-dice assets pull')
