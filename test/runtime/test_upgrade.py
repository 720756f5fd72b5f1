# SPDX-License-Identifier: Apache-2.0
"""An estimator's engine: quickly one that works, then the better one that was built meanwhile."""
from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_rungs import ToyRung, ladder

from ros2_dice.dice import choosing
from ros2_dice.errors import EngineError
from ros2_dice.parameters import Settings

WEIGHTS: Any = None
BUILD = """
import sys
from collections.abc import Callable
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from toy_rungs import ToyRung, ladder
from ros2_dice.runtime.ladder import Wish
print('{"stage": "BUILDING", "progress": 0.5, "detail": "the toy"}', flush=True)
ladder(Path(sys.argv[2]), ToyRung()).choose(Wish(), build=True)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the ladder be one of toys, and the build one of a toy."""
    def make(weights: object, settings: Settings, say: Any, **words: Any) -> Any:
        rungs = ToyRung('tensorrt', no='needs a GPU'), ToyRung(), ToyRung(
            'torch', built=False, exact=True)
        return ladder(tmp_path, *rungs), None

    monkeypatch.setattr(choosing, 'make_ladder', make)
    monkeypatch.setattr(choosing, 'build_command', lambda settings: [
        sys.executable, '-c', BUILD, str(Path(__file__).parent), str(tmp_path)])
    return tmp_path


def answer(engine: choosing.Upgrade) -> float:
    return float(engine.infer({'x': np.ones((1, 3), np.float32)})['y'][0, 0])


def test_serves_at_once_and_changes_over_when_the_better_one_is_built(folder: Path) -> None:
    engine = choosing.Upgrade(WEIGHTS, Settings())
    assert engine.name == 'torch'
    said: list[str] = []
    engine.listen(said.append)
    assert 'needs a GPU' in said[0]
    assert 'not built' in said[0]
    engine.start_building()
    assert engine.report['building']
    assert answer(engine) == 2.0
    assert engine.wait_for_build(60)
    assert engine.name == 'openvino'
    assert answer(engine) == 2.0
    assert any('changed over to openvino' in line for line in said)
    report = engine.report
    assert (report['building'], report['build_error'], report['metres']) == ('', '', 0.0)
    assert str(report['engine_id']).startswith('openvino-fp32')
    engine.start_building()
    assert engine.wait_for_build(60)
    engine.close()
    # The next start finds it.
    assert choosing.Upgrade(WEIGHTS, Settings()).name == 'openvino'


def test_a_failed_build_leaves_what_serves_and_is_said(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, 'build_command', lambda settings: [
        sys.executable, '-c', 'import sys; sys.exit("no room")'])
    engine = choosing.Upgrade(WEIGHTS, Settings())
    engine.start_building()
    assert engine.wait_for_build(60)
    assert engine.name == 'torch'
    assert engine.report['build_error'] == 'no room'
    assert answer(engine) == 2.0
    engine.close()


def test_closing_gives_a_build_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, 'build_command', lambda settings: [
        sys.executable, '-c', 'import time; time.sleep(600)'])
    engine = choosing.Upgrade(WEIGHTS, Settings())
    engine.start_building()
    engine.close()
    assert engine.wait_for_build(60)


def test_nothing_is_built_without_leave(folder: Path) -> None:
    engine = choosing.Upgrade(WEIGHTS, Settings({'backend.build_if_missing': False}))
    said: list[str] = []
    engine.listen(said.append)
    engine.start_building()
    assert engine.report['building'] == ''
    assert 'ros2-dice build-engine' in said[-1]


def test_a_forced_engine_that_is_not_built(folder: Path) -> None:
    forced = {'backend.name': 'openvino'}
    with pytest.raises(EngineError, match='not built'):
        choosing.Upgrade(WEIGHTS, Settings({**forced, 'backend.build_if_missing': False}))
    engine = choosing.Upgrade(WEIGHTS, Settings(forced))
    said: list[str] = []
    engine.listen(said.append)
    assert 'it is built now' in said[0]
    assert engine.name == 'torch'
    engine.start_building()
    assert engine.wait_for_build(60)
    assert engine.name == 'openvino'
    engine.close()


def test_a_forced_engine_that_can_not_run_is_an_error(folder: Path) -> None:
    with pytest.raises(EngineError, match='needs a GPU'):
        choosing.Upgrade(WEIGHTS, Settings({'backend.name': 'tensorrt'}))


def test_an_engine_that_somebody_else_built_is_taken(folder: Path) -> None:
    from ros2_dice.runtime.ladder import Wish

    engine = choosing.Upgrade(WEIGHTS, Settings())
    ladder(folder, ToyRung()).choose(Wish(), build=True)
    engine._change_over()
    assert engine.name == 'openvino'


def test_the_command_asks_for_what_the_parameters_ask_for() -> None:
    words = choosing.build_command(Settings({
        'model.id': 'mine', 'backend.precision': 'bf16', 'backend.threads': 3}))
    assert words[1:5] == ['-m', 'ros2_dice.cli.main', 'build-engine', '--background']
    pairs = dict(zip(words[5::2], words[6::2]))
    assert pairs == {'--model': 'mine', '--backend': 'auto', '--device': 'auto',
                     '--precision': 'bf16', '--threads': '3'}


class DeviceRung(ToyRung):
    """A toy on a device, for any batch."""

    def load(self, payload: memoryview) -> Any:
        engine: Any = super().load(payload)
        engine.on_device, engine.device = True, self.device
        engine.inputs, engine.outputs = {'x': (self.batch, 3)}, {'y': (self.batch, 3)}
        return engine


@pytest.fixture
def sized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """`sized(batch)`: the ladder of a toy on a device, which stands in for the real one."""
    def make(batch: int) -> Any:
        return ladder(tmp_path, DeviceRung('tensorrt', device='cuda:0', batch=batch))

    monkeypatch.setattr(choosing, 'make_ladder', lambda weights, settings, say: (make(1), None))
    monkeypatch.setattr(choosing, 'ladder_for', lambda networks, device, batch: make(batch))
    return make


def test_on_a_device_several_at_once_are_built_and_used(
        tmp_path: Path, sized: Callable[[int], Any]) -> None:
    choosing.build(WEIGHTS, Settings())
    names = sorted(path.name for path in tmp_path.glob('*.engine'))
    assert [name[:name.rindex('-')] for name in names] == ['tensorrt-fp32-b1', 'tensorrt-fp32-b4']
    engine = choosing.Upgrade(WEIGHTS, Settings())
    said: list[str] = []
    engine.listen(said.append)
    assert any(line.startswith('no engine for 2 at once') for line in said)
    with engine.lent() as choice:
        assert choice.batches is not None
        assert choice.batches.most == 4
        x = np.arange(9, dtype=np.float32).reshape(3, 3)
        np.testing.assert_array_equal(choice.batches.infer({'x': x})['y'], 2.0 * x)
    engine.close()


def test_without_larger_ones_a_device_serves_one_after_another(
        sized: Callable[[int], Any]) -> None:
    choice = sized(1).choose(choosing.Wish(), build=True)
    choice.close()
    engine = choosing.Upgrade(WEIGHTS, Settings())
    with engine.lent() as choice:
        assert choice.batches is not None
        assert choice.batches.most == 1
        x = np.ones((3, 3), np.float32)
        np.testing.assert_array_equal(choice.batches.infer({'x': x})['y'], 2.0 * x)
    engine.close()
