# SPDX-License-Identifier: Apache-2.0
"""Changing over to a better engine while frames come, and building in another process."""
from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from toy_rungs import ToyEngine, ToyRung, ladder

from ros2_dice.errors import EngineError
from ros2_dice.runtime.ladder import Wish
from ros2_dice.runtime.rung import Choice, State, Verdict
from ros2_dice.runtime.serving import Builder, ServingEngine

ONE = np.ones((1, 3), np.float32)


def choice(name: str, error: float = 0.0) -> Choice:
    """Return a choice of a toy engine."""
    verdict = Verdict(name, 'fp32', '', 'cpu', State.CHOSEN)
    return Choice(ToyEngine(name, 'fp32', error), verdict, (verdict,))


def test_no_frame_is_lost_or_mixed_while_engines_change() -> None:
    serving = ServingEngine(choice('e0'))
    answers: list[float] = []
    stop = threading.Event()

    def frames() -> None:
        while not stop.is_set():
            answers.append(float(serving.infer({'x': ONE})['y'][0, 0]))

    worker = threading.Thread(target=frames)
    worker.start()
    old = serving.choice.engine
    for number in range(1, 30):
        serving.offer(choice(f'e{number}', float(number)))
        served = len(answers)
        while len(answers) < served + 2:
            time.sleep(0.001)
    stop.set()
    worker.join()
    assert answers == sorted(answers), 'never back to an old engine'
    assert set(answers) == {2.0 + number for number in range(30)}
    assert isinstance(old, ToyEngine)
    assert old.closed
    assert serving.name == 'e29'


def test_results_of_the_old_engine_stay_until_the_next_frame() -> None:
    first, second = choice('a'), choice('b')
    serving = ServingEngine(first)
    serving.infer({'x': ONE})
    serving.offer(second)
    assert isinstance(first.engine, ToyEngine)
    assert not first.engine.closed
    serving.infer({'x': ONE})
    assert first.engine.closed
    serving.close()
    with pytest.raises(EngineError):
        serving.infer({'x': ONE})


def test_the_input_memory_stays_when_the_engine_changes() -> None:
    serving = ServingEngine(choice('a'))
    memory = serving.buffer('x')
    serving.offer(choice('b'))
    assert serving.buffer('x') is memory


def test_an_engine_of_other_shapes_is_refused() -> None:
    serving = ServingEngine(choice('a'))
    other = choice('b')
    assert isinstance(other.engine, ToyEngine)
    other.engine.inputs = {'x': (2, 3)}
    with pytest.raises(EngineError, match='other shapes'):
        serving.offer(other)
    assert serving.name == 'a'


def run(code: str) -> tuple[list[dict], str]:
    """Return what a building process reported and how it ended."""
    rows: list[dict] = []
    ends: list[str] = []
    builder = Builder([sys.executable, '-c', code], on_progress=lambda row: rows.append(dict(row)),
                      on_done=ends.append)
    builder.start()
    assert builder.wait(60)
    return rows, ends[0]


def test_follows_a_process_line_by_line() -> None:
    rows, end = run("""print('{"stage": "BUILDING", "progress": 0.5}')
print("a library's words")
print('{"engine_id": "x"}')""")
    assert rows == [{'stage': 'BUILDING', 'progress': 0.5}, {'engine_id': 'x'}]
    assert end == ''


@pytest.mark.parametrize(('code', 'words'), [
    ('print(\'{"error": "no room"}\'); raise SystemExit(1)', 'no room'),
    ('import sys; sys.exit("segments are faulty")', 'segments are faulty'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGKILL)', 'killed by signal 9'),
    ('raise SystemExit(3)', 'exit status 3')])
def test_says_why_a_build_failed(code: str, words: str) -> None:
    assert words in run(code)[1]


@pytest.mark.parametrize('stream', ['stdout', 'stderr'])
def test_words_that_are_no_utf_8_do_not_hold_a_build_up(stream: str) -> None:
    """More of them than a pipe holds."""
    code = (f'import json, sys\nsys.{stream}.buffer.write(b"\\xff no text\\n" * 20_000)\n'
            f'sys.{stream}.flush()\nprint(json.dumps({{"engine_id": "one"}}))')
    rows: list[dict[str, object]] = []
    ends: list[str] = []
    builder = Builder([sys.executable, '-c', code],
                      on_progress=lambda row: rows.append(dict(row)), on_done=ends.append)
    builder.start()
    assert builder.wait(60)
    assert (rows, ends) == ([{'engine_id': 'one'}], [''])


def test_a_program_that_is_not_there_is_a_failed_build(tmp_path: Path) -> None:
    ends: list[str] = []
    builder = Builder([str(tmp_path / 'none')], on_done=ends.append)
    builder.start()
    assert builder.wait(60)
    assert 'could not be started' in ends[0]


def test_a_build_can_be_given_up() -> None:
    started = threading.Event()
    ends: list[str] = []
    builder = Builder([sys.executable, '-c',
                       'import time; print("{}", flush=True); time.sleep(600)'],
                      on_progress=lambda row: started.set(), on_done=ends.append)
    builder.start()
    assert started.wait(60)
    builder.stop()
    assert builder.wait(60)
    assert ends == []


def test_what_is_missing_is_told_from_what_is_there(tmp_path: Path) -> None:
    rungs = ToyRung('tensorrt', no='needs a GPU'), ToyRung(), ToyRung('torch', built=False)
    one = ladder(tmp_path, *rungs)
    assert [verdict.name for verdict in one.missing(Wish())] == ['openvino']
    assert [row['state'] for row in one.survey(rungs)] == [
        'needs a GPU', 'can run, not built (ros2-dice build-engine)',
        'can run, needs no building']
    one.choose(Wish(), build=True)
    assert one.missing(Wish()) == ()
    assert one.survey(rungs)[1]['state'].startswith('built: metres differ by 0')
