# SPDX-License-Identifier: Apache-2.0
"""What is made of measured engines; the measuring itself takes minutes and is run by hand."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from ros2_dice.cli.main import main
from ros2_dice.dice.stored import LIMITS
from ros2_dice.evaluation.engine_plot import draw
from ros2_dice.evaluation.engines import auto_choice
from ros2_dice.evaluation.rung_child import SIMPLIFIED
from ros2_dice.runtime.onnx_rung import OnnxRung
from ros2_dice.runtime.openvino_rung import OpenVinoRung
from ros2_dice.runtime.rung import Referee
from ros2_dice.runtime.torch_rung import TorchRung


def never(*_: object) -> Any:
    raise AssertionError('nothing is built here')


RUNGS = (*(OpenVinoRung(precision, never, Referee(never, never, {}), threads=1)
           for precision in ('int8', 'bf16', 'fp32')),
         OnnxRung(never, threads=1), TorchRung(never, '', (), ()))


def row(vertices_m: float, contact: float = 0.0) -> dict[str, Any]:
    return {'difference': {'vertices_m': vertices_m, 'contact': contact},
            'latency_ms': {'p50': 100.0, 'p95': 120.0}, 'ratio_to_reference': 2.0}


def test_auto_takes_the_first_that_is_fine_enough() -> None:
    rows = {'openvino-int8': row(0.3), 'openvino-bf16': row(9e-4, 0.03),
            'openvino-fp32': row(1e-6), SIMPLIFIED: row(0.0)}
    assert auto_choice(RUNGS, rows) == 'openvino-fp32'
    rows['openvino-bf16'] = row(LIMITS['vertices_m'], LIMITS['contact'])
    assert auto_choice(RUNGS, rows) == 'openvino-bf16'
    assert auto_choice(RUNGS, {SIMPLIFIED: row(0.0)}) == 'torch-fp32'
    assert auto_choice(RUNGS, {'openvino-int8': row(0.3)}) == ''


def test_the_picture_has_a_bar_for_each() -> None:
    rows = {'reference_eager': row(0.0), 'openvino-bf16': row(0.0)}
    rows['openvino-bf16']['latency_ms'] = {'p50': 50.0, 'p95': 60.0}
    picture = cv2.imdecode(np.frombuffer(draw(rows), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    grey, blue = ((picture == colour).all(-1).sum() for colour in (
        (150, 150, 150), (178, 114, 0)))
    assert grey == pytest.approx(2 * blue, rel=0.05)


@pytest.mark.parametrize(('words', 'said'), [
    (['--batches', '5'], '--batches'), (['--batches', 'two'], '--batches')])
def test_odd_options_are_named(
        capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    with pytest.raises(SystemExit):
        main(['benchmark', 'dice', *words])
    assert said in capsys.readouterr().err


def test_engines_are_listed_without_being_loaded(
        tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('torch')  # it lists what this network can run on
    with pytest.raises(SystemExit) as end:
        main(['benchmark', 'engines', '--cache-directory', str(tmp_path / 'engines')])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert 'openvino scanned' in said
    assert 'not built' in said
