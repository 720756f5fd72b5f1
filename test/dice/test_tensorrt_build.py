# SPDX-License-Identifier: Apache-2.0
"""An engine of the whole network, built by TensorRT for RTX without a GPU."""
from __future__ import annotations

import importlib
import json
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.tensorrt, pytest.mark.timeout(900)]

ARCHITECTURE = 'SM89'


@pytest.fixture(scope='module')
def library() -> Any:
    try:
        return importlib.import_module('tensorrt_rtx')
    except ImportError as error:
        pytest.skip(f'TensorRT for RTX has no wheel for this platform: {error}')


@pytest.fixture(scope='module')
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the forms of the network with made-up weights."""
    pytest.importorskip('torch')
    pytest.importorskip('onnxscript')
    from ros2_dice.dice.rungs import DiceNetworks, Weights
    from ros2_dice.runtime.cache import EngineCache

    cache = EngineCache(tmp_path_factory.mktemp('cache'))
    return DiceNetworks(Weights.by_formula(), cache, 2)


def test_builds_ahead_of_time_in_mixed_fp16_with_all_outputs(
        library: Any, network: Any, record_property: Any) -> None:
    onnx = importlib.import_module('onnx')
    from ros2_dice.runtime.tensorrt_rung import TensorRtRung

    data = network.onnx('fp16', 1)
    graph = onnx.load_from_string(data).graph
    assert tuple(row.name for row in graph.output) == network.names
    types = {row.name: row.type.tensor_type.elem_type for row in
             (*graph.value_info, *graph.output)}
    fp16, fp32 = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    for kind, wanted in (('LayerNormalization', {fp32}), ('Softmax', {fp32}), ('Conv', {fp16})):
        found = {types[node.output[0]] for node in graph.node if node.op_type == kind}
        assert found == wanted, kind
    assert {types[name] for name in network.names} == {fp32}

    said: list[str] = []
    rung = TensorRtRung('tensorrt_rtx', lambda: data, precision='fp16',
                        architectures=(ARCHITECTURE,))
    assert ARCHITECTURE in rung.versions()['architectures']
    began_s = time.monotonic()
    engine = rung.build(lambda stage, share, detail: said.append(detail))
    took_s = time.monotonic() - began_s
    print(json.dumps({'architecture': ARCHITECTURE, 'engine_mb': round(len(engine) / 1e6),
                      'onnx_mb': round(len(data) / 1e6), 'build_s': round(took_s, 1)}))
    # 242 million live weights in two bytes each, less what composition removes.
    assert 400e6 < len(engine) < 700e6
    assert len(said) > 2, 'progress is reported'


def test_a_build_can_be_given_up(library: Any) -> None:
    from ros2_dice.runtime.ladder import Cancelled
    from ros2_dice.runtime.tensorrt_rung import build_engine

    def stop(share: float, phase: str) -> None:
        raise Cancelled('the build', state='cancelled')

    with pytest.raises(Cancelled):
        build_engine(library, small_network(), (ARCHITECTURE,), stop)


def test_refuses_what_is_no_network_and_unknown_architectures(library: Any) -> None:
    from ros2_dice.errors import EngineError
    from ros2_dice.runtime.tensorrt_rung import build_engine

    with pytest.raises(EngineError, match='ONNX file'):
        build_engine(library, b'nonsense', (ARCHITECTURE,))
    with pytest.raises(EngineError, match='SM12345'):
        build_engine(library, small_network(), ('SM12345',))


def small_network() -> bytes:
    """Return an ONNX file of one product."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('onnxscript')
    from ros2_dice.runtime.export import to_onnx

    class One(torch.nn.Linear):
        def forward(self, image: Any) -> tuple[Any]:
            return (super().forward(image),)

    return to_onnx(One(8, 4), 'image', (8,), ('y',), 1)
