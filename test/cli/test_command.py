# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: help, lazy verbs, errors, tables."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ros2_dice import __version__
from ros2_dice.cli import main as main_module
from ros2_dice.cli.main import VERBS, load_verb, main
from ros2_dice.errors import AssetError, ConfigError
from ros2_dice.parameters import PARAMETERS


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_help_names_every_verb_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run('--help') == 0
    said = capsys.readouterr().out
    for verb in VERBS:
        assert verb in said
    assert 'Examples' in said


def test_help_imports_nothing_heavy() -> None:
    code = ('import sys\nfrom ros2_dice.cli.main import main\ntry:\n    main(["--help"])\n'
            'except SystemExit: pass\n'
            'print([m for m in ("numpy", "cv2", "openvino", "scipy", "rclpy", "av", "trimesh")'
            ' if m in sys.modules], file=sys.stderr)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == '[]'


@pytest.mark.parametrize('verb', VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, '--help') == 0
    assert f'ros2-dice {verb}' in capsys.readouterr().out


COMMANDS = [*((verb,) for verb in VERBS), ('assets', 'pull'), ('benchmark', 'open'),
            ('benchmark', 'dice'), ('evaluate', 'labelled')]


@pytest.mark.parametrize('words', COMMANDS, ids=' '.join)
def test_examples_fit_a_terminal_of_80_columns(
        words: tuple[str, ...], capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that wraps can't be pasted."""
    said = {}
    for columns in ('80', '200'):
        monkeypatch.setenv('COLUMNS', columns)
        monkeypatch.setattr('typer.rich_utils.MAX_WIDTH', int(columns))
        assert run(*words, '--help') == 0
        _, _, examples = capsys.readouterr().out.partition('Examples')
        said[columns] = [line.rstrip() for line in examples.splitlines()]
    assert said['80'] == said['200']


def test_paragraphs_of_help_fill_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """They are broken in the source at 99 columns."""
    assert run('build-engine', '--help') == 0
    said = capsys.readouterr().out.partition('Fine enough')[2].partition('\n \n')[0]
    lines = [line.strip() for line in said.split('Options')[0].splitlines() if line.strip(' ╭─')]
    assert all(len(line) > 50 for line in lines[:-1])


def test_unknown_verbs_and_options_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run('guess') == 2
    assert 'guess' in capsys.readouterr().err
    assert run('version', '--loud') == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for spelling in ('version', '--version'):
        assert run(spelling) == 0
        assert capsys.readouterr().out.strip() == __version__


def test_a_missing_package_breaks_its_verb_only(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(main_module.DEBUG_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, 'ros2_dice.cli.demo', None)
    with pytest.raises(ConfigError, match='ros2-dice demo'):
        load_verb('demo')
    assert run('demo') == 1
    assert 'doctor lists what is missing' in capsys.readouterr().err
    assert run('version') == 0


def test_an_error_is_one_line_unless_debugging(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(main_module.DEBUG_VARIABLE, '0')
    assert run('assets', 'pull', 'nose') == 1
    said = capsys.readouterr().err
    assert said.startswith("ros2-dice: asset name is 'nose'; expected one of ")
    assert said.count('\n') == 1
    with pytest.raises(AssetError):
        main(['--debug', 'assets', 'pull', 'nose'])


def test_parameters_as_table_json_and_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert run('parameters') == 0
    assert 'smoothing.min_cutoff' in capsys.readouterr().out
    assert run('parameters', 'tracking', '--json') == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row['name'] for row in rows] == [n for n in PARAMETERS if n.startswith('tracking')]
    assert run('parameters', 'zzz') == 1
    assert "no parameter begins with 'zzz'" in capsys.readouterr().err
    assert run('parameters', '--json', '--yaml') == 1
    assert '--yaml together with --json' in capsys.readouterr().err
    assert run('parameters', 'contact', '--yaml') == 1
    assert 'one or the other' in capsys.readouterr().err
    assert run('parameters', '--yaml') == 0
    values = yaml.safe_load(capsys.readouterr().out)['/**']['ros__parameters']
    assert values['model']['id'] == 'open'


def test_options_of_assets_hold_for_pull_wherever_they_stand(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (('--directory', str(tmp_path), 'pull'), ('pull', '--directory', str(tmp_path))):
        assert run('assets', *words, '--from', str(tmp_path / 'stick')) == 1
        assert 'stick' in capsys.readouterr().err, 'nothing is there: it looks at the stick'


def test_assets_table_and_json(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('ROS2_DICE_DATA', str(tmp_path))
    assert run('assets') == 0
    said = capsys.readouterr().out
    assert 'face_landmark' in said
    assert 'Next: ros2-dice assets pull' in said
    (tmp_path / 'face_landmark.tflite').write_bytes(b'wrong')
    assert run('assets', '--json') == 0
    rows = {row['name']: row for row in json.loads(capsys.readouterr().out)['assets']}
    assert rows['face_landmark']['state'] == 'corrupted'
    assert rows['face_landmark']['next_step'].endswith('pull face_landmark --force')
    assert rows['open_bodies']['state'] == 'present'
    assert rows['mano']['state'] == 'missing'


def test_pull_from_a_folder_without_the_files(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('ROS2_DICE_DATA', str(tmp_path / 'data'))
    (tmp_path / 'stick').mkdir()
    assert run('assets', 'pull', '--from', str(tmp_path / 'stick')) == 1
    assert 'mediapipe-0.10.21-*.whl' in capsys.readouterr().err


@pytest.mark.parametrize(('words', 'said'), [
    (('benchmark', 'open', '--json', 'gone/open.json'), 'there is no folder'),
    (('benchmark', 'dice', '--plot', 'gone/dice.png'), 'there is no folder'),
    (('benchmark', 'engines', '--json', '.'), 'it is a folder'),
    (('evaluate', 'generated', '--json', 'gone/generated.json'), 'there is no folder'),
    (('evaluate', 'labelled', '.', '--report', 'file/page'), 'Not a directory')])
def test_where_results_go_is_looked_at_before_the_work(
        words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    """An evaluation takes many minutes; its figures must not be lost at the end."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    assert run(*words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert 'written' in lines[0]


def test_a_disk_that_fills_up_is_one_line(monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    def full(verb: str) -> None:
        raise OSError(28, 'No space left on device', 'out.json')

    monkeypatch.delenv(main_module.DEBUG_VARIABLE, raising=False)
    monkeypatch.setattr(main_module, 'load_verb', full)
    assert run('version') == 1
    assert capsys.readouterr().err == (
        "ros2-dice: [Errno 28] No space left on device: 'out.json'\n")
