# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice import`: one line for what it refuses, nothing left behind, stand-ins marked."""
from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ros2_dice.cli.main import main
from ros2_dice.cli.standins import warn_of_standin
from ros2_dice.dice import standin_hand, standin_head
from ros2_dice.dice.sources import SOURCES

DONE = 'done.txt'
EVIL = b"cposix\nsystem\n(S'touch " + DONE.encode() + b"'\ntR."
"""A pickle that leaves a file where it is obeyed; test/assets has many more."""


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(['import', *arguments])
    return int(caught.value.code or 0)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder of the test's own, which does not exist yet."""
    monkeypatch.setenv('ROS2_DICE_DATA', str(tmp_path / 'data'))
    monkeypatch.delenv('ROS2_DICE_DEBUG', raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'data'


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that says what was refused, below the steps that came before."""
    *steps, said = capsys.readouterr().err.splitlines()
    assert said.startswith('ros2-dice: ')
    assert all(step.startswith(('Hashing ', 'Reading ', 'Running ')) for step in steps)
    return said


@pytest.fixture(scope='module')
def head_file(tmp_path_factory: pytest.TempPathFactory, standin_files: Any) -> Path:
    """Return a head made by formula; making it takes seconds."""
    path = tmp_path_factory.mktemp('head') / 'head.pkl'
    standin_files.write_body(path, standin_head())
    return path


@pytest.mark.parametrize('option', [f'--{key}' for key in SOURCES])
def test_a_hostile_file_is_refused_in_one_line(
        option: str, data: Path, tmp_path: Path, head_file: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / SOURCES[option[2:]].file
    if path.suffix == '.pkl':
        path.write_bytes(EVIL)
    elif path.suffix == '.npy':
        path.write_bytes(b'\x93NUMPY\x01\x00\x46\x00'
                         + b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(69)
                         + b'\n' + EVIL)
    else:
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('model/data.pkl', EVIL)
    # These go with a head.
    others = ['--flame', str(head_file)] if option in ('--landmarks', '--neck') else []
    assert run(option, str(path), *others) == 1
    assert 'posix.system' in refusal(capsys)
    assert not Path(DONE).exists()
    assert not any(data.rglob('*.npz'))


def test_a_folder_of_files_becomes_a_model(data: Path, tmp_path: Path, standin_files: Any,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    official = tmp_path / 'official' / 'deep'
    official.mkdir(parents=True)
    standin_files.write_body(official / 'MANO_RIGHT.pkl', standin_hand())
    assert run('--from', str(tmp_path / 'official'), '--name', 'mine') == 0
    said = capsys.readouterr().out
    assert f'imported into {data / "models" / "mine"}' in said
    assert 'without --checkpoint model.bin' in said
    assert 'not complete yet: import again with --checkpoint model.bin, --flame' in said
    manifest = json.loads((data / 'models' / 'mine' / 'manifest.json').read_text())
    assert list(manifest['sources']) == ['mano']
    assert not manifest['stand_in']

    assert run('--mano', str(official / 'MANO_RIGHT.pkl'), '--out', str(tmp_path / 'there'),
               '--json') == 0
    report = json.loads(capsys.readouterr().out)
    assert report['folder'] == str(tmp_path / 'there')
    assert (tmp_path / 'there' / 'mano.npz').is_file()
    assert run('--mano', str(official / 'MANO_RIGHT.pkl'), '--out', str(tmp_path / 'there'),
               '--verify') == 1
    assert 'incomplete' in refusal(capsys)


@pytest.mark.parametrize(('arguments', 'said'), [
    ((), 'nothing to import'),
    (('--checkpoint', 'none.bin'), 'No such file'),
    (('--from', 'nowhere'), 'nowhere is not a folder'),
    (('--from', '.'), 'none of the official files'),
    (('--mano', 'MANO_LEFT.pkl'), 'a left hand'),
    (('--stand-ins', '--mano', 'a.pkl'), 'takes no files; expected it without --mano'),
    (('--stand-ins', '--name', 'a/b'), 'model name'),
    (('--neck', 'empty'), '--flame, too'),
    (('--checkpoint', 'empty'), 'not a file of torch.save'),
    (('--checkpoint', '/dev/zero'), 'not a file'),
    (('--mano', 'empty'), '0 bytes'),
])
def test_what_can_t_be_is_said_in_one_line(arguments: tuple[str, ...], said: str, data: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    Path('empty').touch()
    Path('MANO_LEFT.pkl').write_bytes(b'N.')
    assert run(*arguments) == 1
    assert said in refusal(capsys)
    assert not data.exists()


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, 'torch', None)
    for name in ('network', 'weight_formula'):
        monkeypatch.delitem(sys.modules, f'ros2_dice.dice.{name}', raising=False)
    assert run('--stand-ins') == 1
    assert "'.[dice]'" in refusal(capsys)


def test_the_old_format_is_refused_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    Path('model.bin').write_bytes(pickle.dumps(0x1950a86a20f9469cfc6c, 2))
    assert run('--checkpoint', 'model.bin') == 1
    assert "python -c 'import torch; torch.save(torch.load(\"model.bin\"" in refusal(capsys)


@pytest.mark.timeout(600)  # a minute where the machine is busy
def test_stand_ins_go_the_whole_way_and_are_marked(
        standin_model: tuple[Path, Any], data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights, bodies, network and meshes; and what the other commands say of it."""
    shared, report = standin_model
    made = shared / 'models' / 'dice_standin'
    assert report['folder'] == str(made)
    assert report['stand_in']
    assert report['note'].startswith('STAND-IN')
    verified = report['verified']
    # Presence, hand, head: the formula's numbers (seed 0).
    assert verified['presence'] == pytest.approx(0.4173, abs=1e-3)
    assert verified['hand_size_m'] == pytest.approx(0.06646, abs=1e-4)
    assert verified['head_size_m'] == pytest.approx(0.1042, abs=1e-4)
    assert verified['weights'] == report['weights_hash'][:12]

    mine = data / 'models' / 'dice_standin'
    shutil.copytree(made, mine, copy_function=os.link)  # a gigabyte
    for command in ('assets', 'doctor'):
        with pytest.raises(SystemExit):
            main([command])
        said = capsys.readouterr().out
        assert 'dice_standin' in said
        assert 'STAND-IN' in said
        assert verified['weights'] in said
        assert 'sizes checked (--check: every byte)' in said
    warn_of_standin('dice_standin')
    assert 'STAND-IN' in capsys.readouterr().err

    content = bytearray((made / 'mano.npz').read_bytes())
    content[5000:5002] = b'!!'
    (mine / 'mano.npz').unlink()
    (mine / 'mano.npz').write_bytes(content)
    with pytest.raises(SystemExit):
        main(['doctor', '--check', '--json'])
    row = json.loads(capsys.readouterr().out)['estimators']['dice_standin']
    assert not row['ready']
    assert row['missing'][0]['state'] == 'corrupted'
    assert 'ros2-dice import' in row['missing'][0]['next_step']


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_stays_below_twice_a_file_of_full_size(tmp_path: Path, standin_files: Any) -> None:
    """As in docs/bring_your_own_weights.md; needs 4 GB of disk."""
    from ros2_dice.dice import formula_weights

    path = tmp_path / 'model.bin'
    standin_files.write_module(path, formula_weights(0, dead=True))
    size = path.stat().st_size
    assert size > 1.2e9
    code = ('import resource, sys; from ros2_dice.cli.main import main\n'
            'try: main(["import", "--checkpoint", sys.argv[1], "--out", sys.argv[2]])\n'
            'except SystemExit as end: assert not end.code\n'
            'print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)')
    done = subprocess.run([sys.executable, '-c', code, str(path), str(tmp_path / 'model')],
                          capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < 2 * size
    shutil.rmtree(tmp_path)
