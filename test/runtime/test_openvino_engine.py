# SPDX-License-Identifier: Apache-2.0
"""The OpenVINO engine on a network of one addition."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ros2_dice.errors import EngineError
from ros2_dice.runtime import Engine, load_openvino, load_openvino_in_two, require_shapes

openvino = pytest.importorskip('openvino')


def save_network(path: Path, *, dynamic: bool = False, kind: str = 'f32') -> Path:
    """Write a network that doubles `x` (2, 3) and adds one."""
    from openvino import opset13 as ops

    types = {'f32': openvino.Type.f32, 'i32': openvino.Type.i32}
    shape = openvino.PartialShape([-1, 3]) if dynamic else openvino.PartialShape([2, 3])
    x = ops.parameter(shape, types[kind])
    x.get_output_tensor(0).set_names({'x'})
    y = ops.add(ops.multiply(x, ops.constant(np.array(2, np.float32 if kind == 'f32' else
                                                      np.int32))),
                ops.constant(np.array(1, np.float32 if kind == 'f32' else np.int32)))
    y.get_output_tensor(0).set_names({'y'})
    openvino.save_model(openvino.Model([y], [x], 'test'), path, compress_to_fp16=False)
    return path


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Return the loaded test network."""
    return load_openvino(save_network(tmp_path / 'net.xml'), threads=1)


def test_says_what_it_is(engine: Engine) -> None:
    """Names, shapes, device and precision are stated."""
    assert (engine.name, engine.device, engine.precision) == ('openvino', 'cpu', 'fp32')
    assert dict(engine.inputs) == {'x': (2, 3)}
    assert dict(engine.outputs) == {'y': (2, 3)}


def test_computes_with_and_without_the_buffer(engine: Engine) -> None:
    """An own array is copied in; the engine's buffer is used as it is."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(engine.infer({'x': values})['y'], 2 * values + 1)
    buffer = engine.buffer('x')
    buffer[:] = -values
    np.testing.assert_array_equal(engine.infer({'x': buffer})['y'], 1 - 2 * values)


@pytest.mark.parametrize('values', [{}, {'x': np.zeros((3, 2), np.float32)}])
def test_refuses_other_inputs(engine: Engine, values: dict) -> None:
    """A missing input or another shape is named."""
    with pytest.raises(EngineError, match="input 'x'.*net.xml.*expected shape"):
        engine.infer(values)


def test_closed_engine_says_so(engine: Engine) -> None:
    """After close there is an error and no crash."""
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        engine.infer({'x': np.zeros((2, 3), np.float32)})


def test_require_shapes(engine: Engine) -> None:
    """The first tensor that differs is named."""
    require_shapes(engine, 'net', {'x': (2, 3)}, {'y': (2, 3)})
    with pytest.raises(EngineError, match="output 'z' of the network net"):
        require_shapes(engine, 'net', {'x': (2, 3)}, {'z': (2, 3)})
    with pytest.raises(EngineError, match="input 'x'"):
        require_shapes(engine, 'net', {'x': (2, 4)}, {})


def test_refuses_bad_files(tmp_path: Path) -> None:
    """Missing, empty and damaged files, dynamic shapes and integers are refused by name."""
    with pytest.raises(EngineError, match='none.tflite.*missing'):
        load_openvino(tmp_path / 'none.tflite', threads=1)
    for content in (b'', b'\0' * 100, b'TFL3' * 50):
        path = tmp_path / 'bad.tflite'
        path.write_bytes(content)
        with pytest.raises(EngineError, match='bad.tflite'):
            load_openvino(path, threads=1)
    with pytest.raises(EngineError, match='dynamic'):
        load_openvino(save_network(tmp_path / 'dynamic.xml', dynamic=True), threads=1)
    with pytest.raises(EngineError, match='float32'):
        load_openvino(save_network(tmp_path / 'whole.xml', kind='i32'), threads=1)


@pytest.mark.parametrize(('threads', 'precision', 'word'),
                         [(0, 'f32', 'threads'), (1, 'int3', 'precision')])
def test_refuses_bad_options(tmp_path: Path, threads: int, precision: str, word: str) -> None:
    """Options outside of their range are named."""
    with pytest.raises(EngineError, match=word):
        load_openvino(save_network(tmp_path / 'net.xml'), threads=threads, precision=precision)


def test_refuses_a_network_that_gives_no_numbers(tmp_path: Path) -> None:
    """A network whose output is not finite on an empty picture is broken."""
    from openvino import opset13 as ops

    x = ops.parameter(openvino.PartialShape([1]), openvino.Type.f32)
    x.get_output_tensor(0).set_names({'x'})
    y = ops.divide(ops.constant(np.ones(1, np.float32)), x)
    y.get_output_tensor(0).set_names({'y'})
    openvino.save_model(openvino.Model([y], [x], 'broken'), tmp_path / 'broken.xml')
    with pytest.raises(EngineError, match="output 'y'.*not finite"):
        load_openvino(tmp_path / 'broken.xml', threads=1)


def test_cache_directory_is_used(tmp_path: Path) -> None:
    """A cache folder gets files, and the second load gives the same numbers."""
    path = save_network(tmp_path / 'net.xml')
    values = np.ones((2, 3), np.float32)
    for _ in range(2):
        engine = load_openvino(path, threads=1, cache_directory=tmp_path / 'cache')
        np.testing.assert_array_equal(engine.infer({'x': values})['y'], 3.0)
    assert any((tmp_path / 'cache').iterdir())


def test_openvino_reports_to_nobody() -> None:
    """In a process of its own: what counts is what OpenVINO's first import finds."""
    script = ('import ros2_dice.runtime\n'
              'from openvino.tools.ovc import convert_impl\n'
              'print(convert_impl.tm.__name__)')
    said = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                          check=True, timeout=120).stdout
    assert said.split() == ['openvino.tools.ovc.telemetry_stub']


def test_runs_while_other_work_is_done(tmp_path: Path) -> None:
    """What was started is there when it is asked for; wrong inputs are refused at once."""
    beside = load_openvino(save_network(tmp_path / 'net.xml'), threads=1, beside=True)
    buffer = beside.buffer('x')
    for number in range(3):
        buffer[:] = number
        beside.start({'x': buffer})
        np.testing.assert_array_equal(beside.finish()['y'], np.full((2, 3), 2 * number + 1))
    with pytest.raises(EngineError, match="input 'x'.*net.xml.*expected shape"):
        beside.start({})
    beside.close()
    with pytest.raises(EngineError, match='closed'):
        beside.start({'x': buffer})


def save_chain(path: Path, *, skip: bool = False) -> Path:
    """Write a chain of three products and sums; with `skip` the input goes into each sum."""
    from openvino import opset13 as ops

    x = ops.parameter([2, 3], openvino.Type.f32)
    x.get_output_tensor(0).set_names({'x'})
    value = x
    for number in range(3):
        weights = np.arange(9, dtype=np.float32).reshape(3, 3) / 10 - number / 5
        shift = x if skip else ops.constant(np.full(3, number, np.float32))
        value = ops.add(ops.matmul(value, ops.constant(weights), False, False), shift)
    value.get_output_tensor(0).set_names({'y'})
    openvino.save_model(openvino.Model([value], [x], 'chain'), path, compress_to_fp16=False)
    return path


@pytest.mark.parametrize('share', [0.3, 0.7])
def test_two_parts_do_what_the_whole_does(tmp_path: Path, share: float) -> None:
    """The second part takes what the first one gives."""
    path = save_chain(tmp_path / 'chain.xml')
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    whole = load_openvino(path, threads=1)
    first, second = load_openvino_in_two(path, share=share, threads=2)
    first.start({'x': values})
    np.testing.assert_allclose(second.infer(first.finish())['y'], whole.infer({'x': values})['y'],
                               rtol=1e-6)


def test_says_where_a_network_has_no_single_tensor(tmp_path: Path) -> None:
    """What is needed to the very end can't be left behind."""
    with pytest.raises(EngineError, match='cut in two'):
        load_openvino_in_two(save_chain(tmp_path / 'net.xml', skip=True), share=0.5, threads=2)
