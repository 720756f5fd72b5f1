# SPDX-License-Identifier: Apache-2.0
"""Which engine is taken, and what is said of the others."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_rungs import ToyRung, ladder

from ros2_dice.errors import ConfigError, EngineError
from ros2_dice.runtime.ladder import Cancelled, Wish
from ros2_dice.runtime.rung import State


def test_auto_takes_the_best_and_says_why_better_ones_are_not_taken(tmp_path: Path) -> None:
    rungs = (ToyRung('tensorrt', no='needs a GPU'),
             ToyRung('openvino', 'int8', error=0.5), ToyRung('openvino', 'bf16', error=5e-4),
             ToyRung('openvino', 'fp32'))
    choice = ladder(tmp_path, *rungs).choose(Wish(), build=True)
    assert (choice.engine.name, choice.engine.precision) == ('openvino', 'bf16')
    assert [v.state for v in choice.verdicts] == [
        State.UNAVAILABLE, State.COARSE, State.CHOSEN, State.LOWER]
    assert choice.verdict.difference == {'metres': pytest.approx(5e-4, rel=0.01)}
    assert 'needs a GPU' in choice.text()
    assert 'metres differ by 0.5, limit 0.001' in choice.text()
    assert rungs[3].builds == 0


def test_the_second_start_builds_nothing_and_remembers_what_is_too_coarse(tmp_path: Path) -> None:
    def rungs() -> tuple[ToyRung, ...]:
        return ToyRung(precision='int8', error=0.5), ToyRung(precision='bf16')

    ladder(tmp_path, *rungs()).choose(Wish(), build=True)
    again = rungs()
    choice = ladder(tmp_path, *again).choose(Wish(), build=False)
    assert [v.state for v in choice.verdicts] == [State.COARSE, State.CHOSEN]
    assert [rung.builds for rung in again] == [0, 0]
    assert choice.engine_id.startswith('openvino-bf16-b1-')
    assert not choice.to_build


def test_a_quick_start_takes_what_needs_no_building(tmp_path: Path) -> None:
    slow, quick = ToyRung(), ToyRung('torch', built=False)
    choice = ladder(tmp_path, slow, quick).choose(Wish(), build=False)
    assert choice.engine.name == 'torch'
    assert choice.engine_id == ''
    assert choice.to_build
    assert slow.builds == 0


@pytest.mark.parametrize('error', [ImportError('libnvinfer.so.10: no such file'),
                                   OSError('undefined symbol'), RuntimeError(), MemoryError()])
def test_a_library_that_raises_costs_its_rung_only(tmp_path: Path, error: Exception) -> None:
    choice = ladder(tmp_path, ToyRung('tensorrt', raises=error), ToyRung()).choose(
        Wish(), build=True)
    assert choice.engine.name == 'openvino'
    assert choice.verdicts[0].state is State.FAILED
    assert type(error).__name__ in choice.text()


def test_what_is_forced_is_never_replaced(tmp_path: Path) -> None:
    rungs = ToyRung('tensorrt', no='needs a GPU'), ToyRung()
    with pytest.raises(EngineError, match=r"backend.name is 'tensorrt'.*needs a GPU"):
        ladder(tmp_path, *rungs).choose(Wish('tensorrt'), build=True)
    with pytest.raises(EngineError, match='backend.precision.*no engine'):
        ladder(tmp_path, *rungs).choose(Wish(precision='fp16'), build=True)
    with pytest.raises(EngineError, match='backend.device.*no engine'):
        ladder(tmp_path, *rungs).choose(Wish(device='cuda:1'), build=True)


def test_a_forced_rung_that_is_not_built_is_an_error_without_leave_to_build(
        tmp_path: Path) -> None:
    with pytest.raises(EngineError, match='not built'):
        ladder(tmp_path, ToyRung(), ToyRung('torch', built=False)).choose(
            Wish('openvino'), build=False)


def test_a_forced_precision_is_taken_with_its_difference_stated(tmp_path: Path) -> None:
    rung = ToyRung(precision='int8', error=0.5)
    one = ladder(tmp_path, rung, ToyRung())
    assert one.choose(Wish(), build=True).engine.precision == 'fp32'
    choice = one.choose(Wish(precision='int8'), build=True)
    assert choice.engine.precision == 'int8'
    assert 'differ by 0.5' in choice.verdict.reason
    # It is kept now, and auto still passes it over.
    assert one.choose(Wish(precision='int8'), build=False).engine.precision == 'int8'
    assert one.choose(Wish(), build=False).engine.precision == 'fp32'


def test_a_forced_engine_still_picks_a_precision_that_is_fine_enough(tmp_path: Path) -> None:
    rungs = ToyRung('openvino', 'bf16', error=1.0), ToyRung('onnx'), ToyRung('openvino', 'fp32')
    assert ladder(tmp_path, *rungs).choose(Wish('openvino'), build=True).engine.precision == 'fp32'


@pytest.mark.parametrize('device', ['gpu', 'cuda', 'cuda:', 'cuda:x', 'cpu:0'])
def test_an_odd_device_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match='backend.device'):
        Wish(device=device)


def test_an_engine_that_answers_nan_is_not_taken(tmp_path: Path) -> None:
    choice = ladder(tmp_path, ToyRung(precision='fp16', error=np.inf), ToyRung()).choose(
        Wish(), build=True)
    assert choice.engine.precision == 'fp32'
    assert 'not finite' in choice.text()


def test_another_weights_hash_or_library_is_another_engine(tmp_path: Path) -> None:
    ladder(tmp_path, ToyRung()).choose(Wish(), build=True)
    for rung, weights in ((ToyRung(), 'w2'), (ToyRung(version='2'), 'w1')):
        ladder(tmp_path, rung, weights=weights).choose(Wish(), build=True)
        assert rung.builds == 1
    assert len(list(tmp_path.glob('*.engine'))) == 3


def test_force_builds_again(tmp_path: Path) -> None:
    rung = ToyRung()
    one = ladder(tmp_path, rung)
    one.choose(Wish(), build=True)
    one.choose(Wish(), build=True, force=True)
    assert rung.builds == 2


def test_a_cancelled_build_ends_the_search(tmp_path: Path) -> None:
    def stop(*words: object) -> None:
        raise Cancelled('the build', state='cancelled')

    rung = ToyRung()
    with pytest.raises(Cancelled):
        ladder(tmp_path, rung, ToyRung('torch', built=False)).choose(
            Wish(), build=True, progress=stop)
    assert rung.builds == 0
    assert not list(tmp_path.glob('*.engine'))
