# SPDX-License-Identifier: Apache-2.0
"""Each simplification alone gives the same numbers, in float64, as what it replaces."""
# ruff: noqa: E402
from __future__ import annotations

from typing import TypeVar

import pytest

torch = pytest.importorskip('torch')

from torch import nn

from ros2_dice.dice import tokens
from ros2_dice.dice.heads import IKNet, Upsampling
from ros2_dice.dice.hrnet import Module
from ros2_dice.dice.hrnet_blocks import Bottleneck, conv_norm
from ros2_dice.dice.simplified.affine import (
    Affine,
    compose_camera,
    compose_into_regressor,
    compose_upsampling,
)
from ros2_dice.dice.simplified.attention import LowRankLayer, MergedLayer, SlicedLayer
from ros2_dice.dice.simplified.chain import Chain
from ros2_dice.dice.simplified.low_rank import low_rank, low_rank_after
from ros2_dice.dice.simplified.network import last_only, simplify_regressor
from ros2_dice.dice.simplified.norms import fold_batch_norms
from ros2_dice.dice.transformer import Layer, Stage, StageShape
from ros2_dice.dice.work import count_published

AnyModule = TypeVar('AnyModule', bound=nn.Module)
WIDTH, FEED_FORWARD, HEADS = 16, 24, 4


@pytest.fixture(autouse=True)
def _double():
    """Layers are made in float64, with the same numbers in every run."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        yield
    torch.set_default_dtype(torch.float32)


def unsettled(module: AnyModule) -> AnyModule:
    """Give batch and layer norms numbers that are not 0 and 1, and return the module."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(part.weight, 0.5, 2.0)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module.eval()


def mixer() -> nn.Conv1d:
    return tokens.make_mixer()


def join(mix: nn.Conv1d, places, cells):
    return tokens.join_tokens(places, mix(cells))


@pytest.mark.parametrize(('make', 'shape'), [
    (lambda: nn.Sequential(*conv_norm(3, 8, 3, 2, bias=True), nn.ReLU()), (2, 3, 9, 9)),
    (lambda: Bottleneck(12, 4), (2, 12, 6, 6)),
    (lambda: IKNet(7, 5), (2, 7, 3)),
], ids=['convolution with bias', 'bottleneck', 'regressor'])
def test_batch_norms_fold_into_what_is_before_them(make, shape):
    module, x = unsettled(make()), torch.randn(shape)
    wanted = module(x)
    folded = fold_batch_norms(module)
    torch.testing.assert_close(folded(x), wanted, rtol=0, atol=1e-12)
    assert not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)
                   for part in folded.modules())
    assert torch.equal(module(x), wanted), 'the given module has changed'


def test_batch_norms_fold_in_a_module_of_the_backbone():
    module = unsettled(Module(2))
    x = [torch.randn(1, 64, 8, 8), torch.randn(1, 128, 4, 4)]
    for value, wanted in zip(fold_batch_norms(module)(x), module(x)):
        torch.testing.assert_close(value, wanted, rtol=0, atol=1e-12)


def test_a_layer_on_tokens_needs_no_tokens():
    mix, places, layer = mixer(), torch.randn(tokens.TOKENS, 3), nn.Linear(tokens.TOKEN_WIDTH, 5)
    cells = torch.randn(2, tokens.CELLS, 2048)
    _, value = low_rank(mix, places, Affine.of(layer))(cells)
    torch.testing.assert_close(value, layer(join(mix, places, cells)), rtol=0, atol=1e-12)


def test_a_second_layer_on_tokens_takes_the_49_rows_of_the_first():
    mix, places = mixer(), torch.randn(tokens.TOKENS, 3)
    first, second = nn.Linear(tokens.TOKEN_WIDTH, 9), nn.Linear(6, 4)
    front = low_rank(mix, places, Affine.of(first))
    products, mixed = front(torch.randn(2, tokens.CELLS, 2048))
    _, value = low_rank_after(front, 6, Affine.of(second))(products[..., :6])
    torch.testing.assert_close(value, second(mixed[..., :6]), rtol=0, atol=1e-12)


def test_query_key_and_value_are_one_product():
    layer, h = unsettled(Layer(WIDTH, FEED_FORWARD, HEADS)), torch.randn(2, 30, WIDTH)
    torch.testing.assert_close(MergedLayer(layer)(h), layer(h), rtol=0, atol=1e-12)


def test_the_last_layer_computes_only_the_rows_that_are_read():
    layer, h = unsettled(Layer(WIDTH, FEED_FORWARD, HEADS)), torch.randn(2, 30, WIDTH)
    value = SlicedLayer(layer, 11)(h)
    torch.testing.assert_close(value, layer(h)[:, 11:], rtol=0, atol=1e-12)


def test_the_first_attention_works_on_49_rows():
    mix, places = mixer(), torch.randn(tokens.TOKENS, 3)
    embedding = nn.Linear(tokens.TOKEN_WIDTH, WIDTH)
    layer = unsettled(Layer(WIDTH, FEED_FORWARD, HEADS))
    front = low_rank(mix, places, Affine.of(embedding))
    rows, h = front(torch.randn(2, tokens.CELLS, 2048))
    torch.testing.assert_close(LowRankLayer(layer, front)(h, rows), layer(h), rtol=0, atol=1e-12)


@pytest.mark.parametrize(('shapes', 'entry_width', 'first'), [
    ([(8, 2), (12, 3), (4, 1)], None, 0),
    ([(8, 2), (4, 2)], 10, 89),
    ([(4, 1)], None, 89),
], ids=['three stages', 'two stages after a layer, from a token on', 'one stage'])
def test_the_streams_between_stages_compose(shapes, entry_width, first):
    width = entry_width or tokens.TOKEN_WIDTH
    entry = nn.Linear(tokens.TOKEN_WIDTH, entry_width) if entry_width else None
    stages = []
    for outputs, layers in shapes:
        shape = StageShape(width, WIDTH, outputs, FEED_FORWARD, layers, positions=900)
        stages.append(unsettled(Stage(shape, HEADS)))
        width = outputs
    mix, places = mixer(), torch.randn(tokens.TOKENS, 3)
    cells = torch.randn(2, tokens.CELLS, 2048)
    x = join(mix, places, cells)
    wanted = nn.Sequential(*([entry] if entry else []), *stages)(x)[:, first:]
    chain = Chain(stages, mix, places, Affine.of(entry) if entry else None, first)
    torch.testing.assert_close(chain(cells), wanted, rtol=0, atol=1e-12)


def test_two_upsamplings_are_one():
    first, second = Upsampling(5, 9), Upsampling(9, 20)
    x = torch.randn(2, 5, 3)
    middle = first(x)
    value = compose_upsampling(first, second)(x)
    torch.testing.assert_close(value, torch.cat((middle, second(middle)), 1), rtol=0, atol=1e-12)
    torch.testing.assert_close(last_only(first, second)(x), second(middle), rtol=0, atol=1e-12)


def test_a_regressor_takes_the_vertices_before_their_upsampling():
    upsampling, regressor = Upsampling(4, 7), unsettled(IKNet(7, 5))
    x = torch.randn(2, 4, 3)
    wanted = regressor(upsampling(x))
    value = simplify_regressor(upsampling, regressor.regressor)(x.flatten(1))
    torch.testing.assert_close(value, wanted, rtol=0, atol=1e-12)
    layer = nn.Linear(21, 6)
    value = compose_into_regressor(upsampling, layer)(x.flatten(1))
    torch.testing.assert_close(value, layer(upsampling(x).flatten(1)), rtol=0, atol=1e-12)


def test_the_camera_is_one_layer():
    per_token, first, second = nn.Linear(3, 1), nn.Linear(11, 6), nn.Linear(6, 3)
    points = torch.randn(2, 11, 3)
    wanted = second(first(per_token(points).transpose(1, 2))).flatten(1)
    value = compose_camera(per_token, first, second)(points.flatten(1))
    torch.testing.assert_close(value, wanted, rtol=0, atol=1e-12)


def test_less_work_for_the_same_numbers():
    """The published figures of the original and the bars of what is left, counted by torch."""
    torch.set_default_dtype(torch.float32)
    work = count_published()
    published, simplified, parametric = work.values()
    assert list(work) == ['published', 'simplified', 'parametric only']
    assert published.total == pytest.approx(97_179e6, abs=1e6)
    assert published.parameters == 301_410_039
    assert simplified.total <= 91e9
    assert simplified.parameters <= 223e6
    assert parametric.total < simplified.total
    assert parametric.parameters < simplified.parameters
