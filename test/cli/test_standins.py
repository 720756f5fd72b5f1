# SPDX-License-Identifier: Apache-2.0
"""Whoever uses a model that was made by formula is told that its results mean nothing."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from still_people import FakeEstimator

import ros2_dice.estimator
from ros2_dice.cli import demo as demo_module
from ros2_dice.cli.main import main
from ros2_dice.cli.standins import warn_of_standin
from ros2_dice.dice.folder import FORMAT, KIND, MANIFEST, manifest_text
from ros2_dice.errors import AssetError, EstimatorError
from ros2_dice.estimator import check_model

NOTE = 'STAND-IN: it means nothing'


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of two models, `made_up` and `real`, that are manifests alone."""
    monkeypatch.setenv('ROS2_DICE_DATA', str(tmp_path))
    for name, stand_in in (('made_up', True), ('real', False)):
        folder = tmp_path / 'models' / name
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(manifest_text({
            'format': FORMAT, 'kind': KIND, 'files': {}, 'missing': [], 'stand_in': stand_in,
            'note': NOTE, 'weights_hash': '', 'sources': {}, 'facts': {}, 'dropped': {}}))
    return tmp_path


def test_only_stand_ins_are_warned_of(models: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_standin('open')
    warn_of_standin('real')
    assert capsys.readouterr().err == ''
    monkeypatch.delenv('ROS2_DICE_DATA')
    warn_of_standin('made_up', str(models))
    assert capsys.readouterr().err == f'ros2-dice: model made_up: {NOTE}\n'


def test_a_damaged_manifest_is_no_stand_in_and_no_secret(models: Path) -> None:
    path = models / 'models' / 'made_up' / MANIFEST
    path.write_text(path.read_text().replace('true', 'false'))
    with pytest.raises(AssetError, match='not what its own sha256 says'):
        warn_of_standin('made_up')


def test_estimate_and_evaluate_warn(
        models: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ros2_dice.estimator, 'create_estimator', FakeEstimator)
    for words in (['estimate', 'missing.jpg', '--out', str(models / 'out')],
                  ['evaluate', 'labelled', str(_labels(models))]):
        with pytest.raises(SystemExit):
            main([*words, '--model', 'made_up'])
        assert f'model made_up: {NOTE}' in capsys.readouterr().err


@pytest.mark.parametrize(('name', 'next_step'), [
    ('other', 'ros2-dice import --name other makes another one'),
    ('../made_up', 'ros2-dice assets lists the imported ones'),
])
def test_a_name_that_can_t_be_is_not_suggested(name: str, next_step: str) -> None:
    with pytest.raises(EstimatorError) as caught:
        check_model(name)
    assert caught.value.next_step == next_step
    assert caught.value.expected == 'open or made_up or real'


def test_demo_warns(models: Path, monkeypatch: pytest.MonkeyPatch,
                    capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('rclpy')
    pytest.importorskip('ros2_dice.msg')

    def stopped(*_: Any) -> Any:
        raise AssertionError('the processes would start now')

    monkeypatch.setattr(demo_module, '_pull_assets', lambda: None)
    monkeypatch.setattr(demo_module, '_run', stopped)
    with pytest.raises(AssertionError, match='would start'):
        main(['demo', '--model', 'made_up', '--out', str(models / 'out')])
    assert f'model made_up: {NOTE}' in capsys.readouterr().err


def _labels(folder: Path) -> Path:
    """Make a folder of labels for a picture that is not there."""
    material = folder / 'material'
    material.mkdir()
    (material / 'labels.json').write_text('{"images": [{"file": "a.jpg"}]}')
    return material
