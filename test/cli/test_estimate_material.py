# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice estimate` on real pictures with the real estimator, and on every broken file."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import trimesh
from still_people import FakeEstimator

import ros2_dice.estimator
from ros2_dice.assets import missing_assets
from ros2_dice.cli.main import main
from ros2_dice.errors import ImageError
from ros2_dice.pictures import read_picture

pytestmark = pytest.mark.material


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(['estimate', *map(str, arguments)])
    return int(caught.value.code or 0)


def test_a_real_picture_of_a_touch(material: Path, tmp_path: Path) -> None:
    if missing_assets('open'):
        pytest.skip('ros2-dice assets pull was not run')
    assert run(material / 's' / 'man_fist_on_cheek.jpg', '--out', tmp_path) == 0
    people = json.loads((tmp_path / 'man_fist_on_cheek.json').read_text())['people']
    assert len(people) == 1
    assert people[0]['face'] is not None
    assert people[0]['hands'][0]['handedness'] == 'right'
    solids = trimesh.load(tmp_path / 'man_fist_on_cheek.glb').geometry  # type: ignore[union-attr]
    assert len(solids) == 2
    assert all(len(solid.vertices) > 1000 for solid in solids.values())


def test_every_broken_file_is_named_and_none_stops_the_others(
        material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ros2_dice.estimator, 'create_estimator', FakeEstimator)
    files = sorted(path for path in (material / 's' / 'broken').iterdir() if path.is_file())
    unreadable = []
    for path in files:
        try:
            read_picture(path)
        except ImageError:
            unreadable.append(path.name)
    assert unreadable
    good = material / 's' / 'man_frontal.jpg'
    assert run(*files, good, '--out', tmp_path) == 1
    said = capsys.readouterr()
    for name in unreadable:
        assert any(name in line and line.startswith('ros2-dice: ')
                   for line in said.err.splitlines()), name
    assert f'{len(files) + 1 - len(unreadable)} picture' in said.out
    assert (tmp_path / 'man_frontal.json').exists()
