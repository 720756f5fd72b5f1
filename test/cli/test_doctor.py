# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice doctor` tells the truth about this machine and about gaps."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ros2_dice.cli import inventory as inventory_module
from ros2_dice.cli.inventory import inventory
from ros2_dice.cli.main import main
from ros2_dice.errors import install_hint


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(['doctor', *arguments])
    return int(caught.value.code or 0)


def test_missing_networks_are_named_with_the_command(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('ROS2_DICE_DATA', str(tmp_path))
    assert run() == 1
    said = capsys.readouterr().out
    assert 'face_landmark is missing: ros2-dice assets pull' in said
    assert run('--json') == 1
    report = json.loads(capsys.readouterr().out)
    assert not report['estimators']['open']['ready']
    assert report['data_folder'] == str(tmp_path)


def test_with_everything_there_the_status_is_0(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr('ros2_dice.assets.missing_assets', lambda *_: ())
    monkeypatch.setattr('ros2_dice.dice.imported_folders', lambda *_: ())
    assert run() == 0
    said = capsys.readouterr().out
    assert 'open          ready' in said
    assert 'dice          no       no weights imported: ros2-dice import' in said
    assert "'.[view]'" in said or 'rerun-sdk               missing' not in said


def test_versions_and_engines_are_real() -> None:
    report = inventory()
    versions = {row['name']: row['version'] for row in report['packages']}
    import numpy

    assert versions['numpy'] == numpy.__version__
    assert report['engines']['openvino']['ready']
    assert not report['engines']['tensorrt']['ready']
    assert report['machine']['threads'] >= 1


def test_without_openvino_the_open_estimator_can_t_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'openvino', None)
    monkeypatch.setattr('ros2_dice.assets.missing_assets', lambda *_: ())
    report = inventory()
    assert not report['engines']['openvino']['ready']
    assert not report['estimators']['open']['ready']
    assert report['estimators']['open']['note'] == 'needs openvino'


def test_a_distribution_s_own_opencv_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise inventory_module.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(inventory_module.importlib.metadata, 'version', none)
    versions = {row['name']: row['version'] for row in inventory()['packages']}
    assert versions['opencv-python-headless'][0].isdigit()
    assert versions['rerun-sdk'] == ''


def test_the_extra_of_a_missing_engine_is_printed(monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Rich takes words in brackets for markup and leaves them out."""
    report = inventory()
    report['engines']['onnx'] = {'ready': False, 'precisions': [],
                                 'note': f'not installed ({install_hint("engines")})'}
    monkeypatch.setattr('ros2_dice.cli.inventory.inventory', lambda *_: report)
    run()
    assert "onnx          no       not installed (in the clone: pip install -c constraints.txt " \
        "-e '.[engines]')" in capsys.readouterr().out


@pytest.mark.parametrize('command', [('build-engine', '--formula'), ('benchmark', 'engines')])
def test_without_torch_engines_name_the_extra(command: tuple[str, ...],
                                              monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(SystemExit) as ended:
        main(list(command))
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "'.[dice]'" in said
    assert said.count('\n') == 1
