# SPDX-License-Identifier: Apache-2.0
"""Exports, mixed precision and torch engines, on a network with one of each kind of layer."""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip('torch')
from torch import Tensor, nn
from torch.nn import functional

from ros2_dice.errors import EngineError
from ros2_dice.runtime import export, torch_mixed
from ros2_dice.runtime.rung import run_sample
from ros2_dice.runtime.torch_engine import TorchEngine

SHAPE = (3, 16, 16)
NAMES = ('points', 'score')


class Answer(NamedTuple):
    points: Tensor
    score: Tensor


class Small(nn.Module):
    """Convolutions with a residual, attention, layer norm, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.dense = nn.Linear(16, 32)
        self.norm = nn.LayerNorm(32, eps=1e-12)
        self.last = nn.Linear(32, 3)

    def forward(self, image: Tensor) -> Answer:
        x = torch.relu(self.first(image))
        x = torch.relu(self.second(x) + x)
        x = functional.interpolate(x, scale_factor=2.0, mode='nearest')
        x = self.norm(functional.gelu(self.dense(x.flatten(2).transpose(1, 2))))
        q = x.unflatten(-1, (2, -1)).transpose(1, 2)
        h = functional.scaled_dot_product_attention(q, q, q).transpose(1, 2).flatten(2)
        return Answer(self.last(h + x), torch.sigmoid(x.mean((1, 2))))


@pytest.fixture(scope='module')
def small() -> nn.Module:
    return Small().eval().requires_grad_(False)


@pytest.fixture(scope='module')
def program(small: nn.Module) -> object:
    return export.export_program(small, 'image', SHAPE)


@pytest.fixture(scope='module')
def images() -> Tensor:
    return torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(4))


def kinds(module: torch.fx.GraphModule, target: object, images: Tensor) -> set[torch.dtype]:
    """Return the types that an operator gives."""
    found: set[torch.dtype] = set()

    class Watch(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            result = super().run_node(n)
            if n.target is target:
                found.add(result.dtype)
            return result

    Watch(module).run(images)
    return found


@pytest.mark.parametrize('batch', [1, 2, 3, 4])
def test_one_export_serves_all_batches(
        small: nn.Module, program: object, images: Tensor, batch: int) -> None:
    pytest.importorskip('openvino')
    import openvino

    wanted = small(images[:batch])
    exported = program.module()(images[:batch])  # type: ignore[attr-defined]
    torch.testing.assert_close(exported.points, wanted.points)
    model = export.to_openvino(program, NAMES)
    model.reshape([batch, *SHAPE])
    compiled = openvino.Core().compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    found = compiled(images[:batch].numpy())
    np.testing.assert_allclose(found['points'], wanted.points, atol=1e-5)
    np.testing.assert_allclose(found['score'], wanted.score, atol=1e-5)


def test_onnx_with_a_free_batch_gives_the_same(small: nn.Module, images: Tensor) -> None:
    runtime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    pytest.importorskip('torch', '2.6')
    data = export.to_onnx(small, 'image', SHAPE, NAMES)
    session = runtime.InferenceSession(data, providers=['CPUExecutionProvider'])
    for batch in (1, 4):
        found = session.run(None, {'image': images[:batch].numpy()})
        np.testing.assert_allclose(found[0], small(images[:batch]).points, atol=1e-5)


def test_a_torch_too_old_for_onnx_is_named(
        small: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('onnxscript')
    monkeypatch.setattr(torch, '__version__', '2.5.1+cu124')
    with pytest.raises(EngineError, match=r"torch is '2\.5\.1\+cu124'.*2\.6 or later"):
        export.to_onnx(small, 'image', SHAPE, NAMES)


def test_a_branch_on_data_is_named() -> None:
    class Branching(nn.Module):
        def forward(self, image: Tensor) -> tuple[Tensor]:
            return (image + 1.0 if image.sum() > 0 else image,)

    with pytest.raises(EngineError, match='not exportable'):
        export.export_program(Branching(), 'image', SHAPE)


@pytest.mark.parametrize(('dtype', 'bound'), [(torch.float16, 3e-3), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize('open_attention', [False, True])
def test_lowers_products_and_nothing_delicate(
        small: nn.Module, program: object, images: Tensor, dtype: torch.dtype, bound: float,
        open_attention: bool) -> None:
    aten = torch.ops.aten
    mixed = torch_mixed.lowered(program, dtype, open_attention=open_attention)  # type: ignore[arg-type]
    found, wanted = mixed(images), small(images)
    assert found.points.dtype == found.score.dtype == torch.float32
    change = float((found.points - wanted.points).abs().max())
    assert 0.0 < change < bound
    assert kinds(mixed, aten.conv2d.default, images) == {dtype}
    assert kinds(mixed, aten.relu.default, images) == {dtype}
    assert kinds(mixed, aten.layer_norm.default, images) == {torch.float32}
    assert kinds(mixed, aten.linear.default, images) == {dtype, torch.float32}, 'the last in fp32'
    if open_attention:
        assert kinds(mixed, aten.matmul.default, images) == {dtype}
        assert kinds(mixed, aten.softmax.int, images) == {torch.float32}
    else:
        assert kinds(mixed, aten.scaled_dot_product_attention.default, images) == {dtype}


def test_the_weights_of_lowered_products_are_kept_once(program: object) -> None:
    mixed = torch_mixed.lowered(program, torch.float16)  # type: ignore[arg-type]
    types = {name: value.dtype for name, value in
             (*mixed.named_parameters(), *mixed.named_buffers())}
    assert types['lowered_first_weight'] == torch.float16
    assert 'first.weight' not in types
    assert types['last.weight'] == torch.float32


def test_the_cpu_engine_gives_what_the_module_gives(small: nn.Module, images: Tensor) -> None:
    engine = TorchEngine(small, 'image', (2, *SHAPE), NAMES, threads=1)
    assert (engine.name, engine.device, engine.precision) == ('torch', 'cpu', 'fp32')
    assert dict(engine.outputs) == {'points': (2, 256, 3), 'score': (2,)}
    found = run_sample(engine, {'image': images[:3].numpy()})
    np.testing.assert_allclose(found['points'], small(images[:3]).points, atol=1e-5)
    with pytest.raises(EngineError, match='shape'):
        engine.infer({'image': images.numpy()})
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        engine.infer({'image': images[:2].numpy()})


def test_running_out_of_memory_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from ros2_dice.runtime.protocol import OutOfMemory

    class Hungry(nn.Module):
        def forward(self, image: Tensor) -> tuple[Tensor]:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')

    with pytest.raises(OutOfMemory, match='backend.memory_limit'):
        TorchEngine(Hungry(), 'image', (1, *SHAPE), NAMES)
