# SPDX-License-Identifier: Apache-2.0
"""Progress without a terminal: a line for each step, and now and then one for many things."""
from __future__ import annotations

import pytest

from ros2_dice.cli import progress
from ros2_dice.cli.progress import progress_bar


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what would make rich take the captured stream for a terminal."""
    for name in ('FORCE_COLOR', 'TTY_COMPATIBLE', 'TTY_INTERACTIVE'):
        monkeypatch.delenv(name, raising=False)


def test_each_step_is_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(unit='bytes', steps=True) as bar:
        for done in range(0, 100, 10):
            bar.show('Hashing [model].bin', done, 100)
        bar.show('Reading', 0, 0)
    said = capsys.readouterr()
    assert said.err == 'Hashing [model].bin\nReading\n'
    assert not said.out


def test_things_are_counted_in_silence_and_what_is_said_stays(
        capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(2) as bar:
        bar.advance('a.jpg')
        bar.say('a.jpg: 1 face')
        bar.advance('b.jpg')
    assert capsys.readouterr().err == 'a.jpg: 1 face\n'


def test_a_long_count_says_how_far_it_is(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, 'SILENCE_S', 0.0)
    with progress_bar(2) as bar:
        bar.advance('scenes')
        bar.advance()
    with progress_bar(2, quiet=True) as bar:
        bar.advance('scenes')
    assert capsys.readouterr().err == '1 of 2 done: scenes\n2 of 2 done\n'


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(unit='share', steps=True, quiet=True) as bar:
        bar.show('building', 0.5, 1.0)
        bar.say('built')
    assert capsys.readouterr().err == ''


def test_a_terminal_gets_a_bar_that_goes(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('TTY_COMPATIBLE', '1')
    monkeypatch.setenv('TERM', 'xterm')  # a bare container says dumb, which has no bars
    with progress_bar(steps=True) as bar:
        bar.show('drawing', 3, 7)
    said = capsys.readouterr().err
    assert 'drawing' in said
    assert '3/7' in said
    assert said.endswith('\x1b[2K'), 'the line is erased'
