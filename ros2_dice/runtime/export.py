# SPDX-License-Identifier: Apache-2.0
"""
A torch module as a torch.export program, an OpenVINO model or an ONNX file.

One program serves every batch size from 1 to `MOST`. The module's outputs are a named tuple or a
dictionary; its names go into every format. It must be free of branches that depend on data.
"""
from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ros2_dice.errors import EngineError, install_hint

if TYPE_CHECKING:
    import torch

MOST = 4
"""Largest batch of an exported program."""
ONNX_TORCH = (2, 6)
"""First torch whose ONNX exporter takes dynamic shapes."""
OPSET = 18
"""ONNX operators as of here; from 13 on nearest resizing can be stated without half pixels."""


def export_program(module: torch.nn.Module, input_name: str, shape: Sequence[int]) -> Any:
    """
    Return an exported program whose first dimension is free from 1 to `MOST`.

    Args:
        module: in the state in which it is to run, with one input.
        input_name: of its forward function's argument.
        shape: of the input, without the batch.

    Raises:
        EngineError: the module has a branch or a shape that can't be exported.
    """
    import torch

    # Of size 2: a dimension of 1 would be taken for a constant.
    example = torch.zeros(2, *shape)
    batch = torch.export.Dim('batch', min=1, max=MOST)
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(module, (example,),
                                       dynamic_shapes={input_name: {0: batch}})
    except Exception as error:
        raise EngineError('the network', state=f'not exportable: {str(error).splitlines()[0]}',
                          expected='a module without branches on data') from error


def to_openvino(program: Any, names: Sequence[str]) -> Any:
    """
    Return an OpenVINO model whose batch is free; `model.reshape` fixes it.

    Args:
        program: from `export_program`.
        names: of the outputs, in order.
    """
    import openvino

    with quiet():
        model = openvino.convert_model(program)
    for port, name in zip(model.outputs, names):
        port.get_tensor().set_names({name})
    return model


def to_onnx(module: torch.nn.Module, input_name: str, shape: Sequence[int],
            names: Sequence[str], batch: int = 0) -> bytes:
    """
    Return an ONNX file.

    Args:
        module: as in `export_program`; its own types are kept, so a module in mixed precision
            becomes a strongly typed network.
        batch: size of the first dimension; 0 = free from 1 to `MOST`.

    Raises:
        EngineError: a package is missing or too old, or the module can't be exported.
    """
    import torch

    try:
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise EngineError('onnxscript', state='not installed', expected='onnx and onnxscript',
                          next_step=install_hint('engines')) from error
    if tuple(map(int, torch.__version__.split('.')[:2])) < ONNX_TORCH:
        wanted = '.'.join(map(str, ONNX_TORCH))
        raise EngineError('torch', got=torch.__version__,
                          expected=f'{wanted} or later, to write ONNX files',
                          next_step=f"pip install 'torch>={wanted}'")
    free = {input_name: {0: torch.export.Dim('batch', min=1, max=MOST)}}
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                module, (torch.zeros(batch or 2, *shape),), dynamo=True, opset_version=OPSET,
                input_names=[input_name], output_names=list(names), verbose=False,
                dynamic_shapes=None if batch else free)
    except Exception as error:
        raise EngineError('the network', state=f'not exportable: {str(error).splitlines()[0]}',
                          expected='a module without branches on data') from error
    assert program is not None
    return program.model_proto.SerializeToString()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' notes on their own deprecations out of the log."""
    logger = logging.getLogger('torch')
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
