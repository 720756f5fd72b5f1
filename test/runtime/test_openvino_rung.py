# SPDX-License-Identifier: Apache-2.0
"""Mixed precision in an OpenVINO graph, on a network of a convolution and some products."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_dice.errors import EngineError
from ros2_dice.runtime.cache import EngineCache
from ros2_dice.runtime.engine_file import Sample
from ros2_dice.runtime.ladder import Ladder, Wish
from ros2_dice.runtime.protocol import FloatTensor
from ros2_dice.runtime.rung import Referee, State, silent

openvino = pytest.importorskip('openvino')
graph = pytest.importorskip('ros2_dice.runtime.openvino_graph')
rung_module = pytest.importorskip('ros2_dice.runtime.openvino_rung')

CAPABILITIES = openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


def network() -> Any:
    """Return `image` (1, 3, 16, 16) to `y` (1, 256, 8): a convolution and four products."""
    from openvino import opset13 as ops

    rng = np.random.default_rng(5)

    def weights(*shape: int) -> Any:
        return ops.constant((rng.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32))

    image = ops.parameter([1, 3, 16, 16], np.float32)
    image.get_output_tensor(0).set_names({'image'})
    kernel = ops.constant((rng.standard_normal((32, 3, 3, 3)) / 5.0).astype(np.float32))
    x = ops.relu(ops.convolution(image, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
    x = ops.transpose(ops.reshape(x, ops.constant(np.array([1, 32, 256])), False),
                      ops.constant(np.array([0, 2, 1])))
    for _ in range(3):
        x = ops.add(x, ops.tanh(ops.matmul(x, weights(32, 32), False, True)))
    y = ops.matmul(x, weights(8, 32), False, True)
    y.get_output_tensor(0).set_names({'y'})
    return openvino.Model([y], [image], 'small')


def answers(model: Any, inputs: Mapping[str, FloatTensor]) -> np.ndarray:
    """Return `y` of a model in fp32."""
    compiled = openvino.Core().compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    return np.stack([compiled({'image': image[None]})[0][0] for image in inputs['image']])


@pytest.fixture(scope='module')
def sample() -> Sample:
    """Return three pictures and what the network makes of them."""
    images = np.random.default_rng(6).standard_normal((3, 3, 16, 16)).astype(np.float32)
    inputs = {'image': images}
    return Sample(inputs, {'y': answers(network(), inputs)})


def measure(outputs: Mapping[str, FloatTensor],
            wanted: Mapping[str, FloatTensor]) -> dict[str, float]:
    return {'y': float(np.abs(outputs['y'] - wanted['y']).max())}


def make(precision: str, sample: Sample, limit: float, variant: str = '') -> Any:
    """Return a rung with a limit."""
    return rung_module.OpenVinoRung(precision, network, Referee(lambda: sample, measure,
                                                               {'y': limit}),
                                    threads=1, variant=variant)


def test_products_are_found_with_their_work() -> None:
    nodes = graph.products(network())
    assert [node.get_type_name() for node in nodes] == ['Convolution'] + 4 * ['MatMul']
    assert [graph.multiplications(node) for node in nodes] == [
        32 * 256 * 27, *(3 * [256 * 32 * 32]), 256 * 32 * 8]


def test_the_last_products_are_those_before_an_output() -> None:
    assert graph.last_products(network()) == {4}
    assert graph.last_products(network(), 2) == {3, 4}


def test_groups_share_the_work_and_lose_nothing() -> None:
    places = list(range(5))
    for count in (1, 2, 3, 5):
        parts = graph.groups(network(), places, count)
        assert [place for part in parts for place in part] == places
        assert len(parts) <= count


def test_the_copy_is_lowered_and_the_original_is_not(sample: Sample) -> None:
    model = network()
    lowered = graph.cast_products(model, {1, 2})
    kinds = [node.get_element_type().get_type_name() for node in graph.products(lowered)]
    assert kinds == ['f32', 'bf16', 'bf16', 'f32', 'f32']
    assert all(port.element_type == openvino.Type.f32 for port in lowered.outputs)
    np.testing.assert_array_equal(answers(model, sample.inputs), sample.outputs['y'])


def test_quantizing_uses_the_ranges_that_were_seen(sample: Sample) -> None:
    model = network()
    ranges = graph.activation_ranges(model, sample.inputs, threads=1)
    assert len(ranges) == 5
    low, high = ranges['image:0'] if 'image:0' in ranges else next(iter(ranges.values()))
    images = sample.inputs['image']
    assert (low, high) == (pytest.approx(images.min()), pytest.approx(images.max()))
    lowered = graph.quantize_products(model, {0, 1, 2, 3}, ranges)
    count = sum(n.get_type_name() == 'FakeQuantize' for n in lowered.get_ops())
    assert count == 8  # four activations, four sets of weights
    spread = float(np.std(sample.outputs['y']))
    change = np.abs(answers(lowered, sample.inputs) - sample.outputs['y']).max()
    assert 0.0 < change < 0.5 * spread


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'int8'])
def test_builds_loads_and_stays_near_fp32(sample: Sample, precision: str) -> None:
    rung = make(precision, sample, 10.0)
    if rung.obstacle():
        pytest.skip(rung.obstacle())
    engine = rung.load(memoryview(rung.build(silent)))
    assert (engine.name, engine.device, engine.precision) == ('openvino', 'cpu', precision)
    assert dict(engine.inputs) == {'image': (1, 3, 16, 16)}
    difference, _ = rung._referee.compare(engine)
    bound = {'fp32': 1e-4, 'bf16': 0.1, 'int8': 0.5}[precision]
    assert difference['y'] < bound
    if precision != 'fp32':
        assert difference['y'] > 1e-6, 'nothing was lowered'


def test_the_scan_lowers_as_much_as_the_limit_bears(sample: Sample) -> None:
    if 'BF16' not in CAPABILITIES:
        pytest.skip('this CPU has no bf16 instructions')
    differences = []
    for variant in ('', rung_module.SCANNED):
        rung = make('bf16', sample, 10.0, variant)
        differences.append(rung._referee.compare(rung.load(memoryview(rung.build(silent))))[0]['y'])
    full, scanned = differences
    assert scanned == pytest.approx(full), 'a wide limit bears all'
    rung = make('bf16', sample, 0.6 * full, rung_module.SCANNED)
    difference = rung._referee.compare(rung.load(memoryview(rung.build(silent))))[0]['y']
    assert 0.0 < difference <= 0.6 * full
    with pytest.raises(EngineError, match='parts only'):
        make('bf16', sample, 1e-9, rung_module.SCANNED).build(silent)


def test_the_ladder_goes_on_to_fp32_when_the_limit_is_narrow(
        tmp_path: Path, sample: Sample) -> None:
    referee = Referee(lambda: sample, measure, {'y': 1e-5})
    rungs = [rung_module.OpenVinoRung(precision, network, referee, threads=1, variant=variant)
             for precision, variant in (('int8', ''), ('bf16', ''),
                                        ('bf16', rung_module.SCANNED), ('fp32', ''))]
    for _ in range(2):
        ladder = Ladder(rungs, cache=EngineCache(tmp_path), identity={}, referee=referee)
        choice = ladder.choose(Wish(), build=True)
        assert choice.engine.precision == 'fp32'
        assert all(v.state in (State.COARSE, State.UNAVAILABLE)
                   for v in choice.verdicts[:-1])


@pytest.mark.parametrize('data', [b'', b'nonsense', bytes(1000)])
def test_refuses_what_is_no_network(sample: Sample, data: bytes) -> None:
    with pytest.raises(EngineError, match='compiled network'):
        make('fp32', sample, 1.0).load(memoryview(data))
