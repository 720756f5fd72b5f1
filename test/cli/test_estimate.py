# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice estimate` with a made-up estimator: files, names, failures, exit status."""
from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from still_people import FakeEstimator

import ros2_dice.estimator
from ros2_dice.cli.estimate import Result
from ros2_dice.cli.main import main
from ros2_dice.errors import EstimatorError
from ros2_dice.parameters import Settings


@pytest.fixture
def estimators(monkeypatch: pytest.MonkeyPatch) -> list[FakeEstimator]:
    """Return those that the command made."""
    made: list[FakeEstimator] = []

    def create(settings: Settings) -> FakeEstimator:
        made.append(FakeEstimator(settings))
        return made[-1]

    monkeypatch.setattr(ros2_dice.estimator, 'create_estimator', create)
    return made


def picture(path: Path, brightness: int = 120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((90, 160, 3), brightness, np.uint8))
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(['estimate', *map(str, arguments)])
    return int(caught.value.code or 0)


def test_a_picture_gets_overlay_meshes_and_json(
        tmp_path: Path, estimators: list[FakeEstimator],
        capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'out'
    assert run(picture(tmp_path / 'x.jpg'), '--out', out) == 0
    assert {path.name for path in out.iterdir()} == {
        'x.png', 'x.json', 'x.glb', 'x_a0000_face.ply', 'x_a0000_h0000.ply', 'x_a0000_h0001.ply',
        'x_b0001_face.ply', 'x_c0002_h0002.ply'}
    overlay = cv2.imread(str(out / 'x.png'))
    assert overlay is not None
    assert overlay.shape == (90, 160, 3)
    assert (overlay != 120).any(), 'something is drawn'
    document = json.loads((out / 'x.json').read_text())
    assert list(document) == [
        'people', 'picture', 'width_px', 'height_px', 'focal_px', 'focal_source', 'model']
    assert len(document['people']) == 3
    said = capsys.readouterr()
    assert '1 picture done' in said.out
    assert '2 faces, 3 hands; right hand: touch (0.90); left hand: touch unknown' in said.err
    assert estimators[0].closed


@pytest.mark.parametrize(('probability', 'said'), [
    (0.01, 'no touch (0.01)'), (0.5, 'touch (0.50)'), (None, 'touch unknown')])
def test_a_line_says_whether_a_hand_touches(probability: float | None, said: str) -> None:
    hand = {'handedness': 'left', 'contact_probability': probability}
    line = Result('x.jpg', people=[{'face': None, 'hands': [hand]}]).line()
    assert line == f'x.jpg: 0 faces, 1 hand; left hand: {said}'


def test_nobody_there_is_no_failure(tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    out = tmp_path / 'out'
    assert run(picture(tmp_path / 'dark.png', 0), '--out', out) == 0
    assert {path.name for path in out.iterdir()} == {'dark.png', 'dark.json'}
    assert json.loads((out / 'dark.json').read_text())['people'] == []


def test_a_bad_picture_is_named_and_the_others_are_done(
        tmp_path: Path, estimators: list[FakeEstimator],
        capsys: pytest.CaptureFixture[str]) -> None:
    good, last = picture(tmp_path / 'a.jpg'), picture(tmp_path / 'z.jpg')
    (tmp_path / 'cut.jpg').write_bytes(good.read_bytes()[:200])
    (tmp_path / 'empty.png').touch()
    out = tmp_path / 'out'
    assert run(good, tmp_path / 'cut.jpg', tmp_path / 'empty.png', tmp_path / 'none.jpg', last,
               '--out', out) == 1
    said = capsys.readouterr()
    for name, reason in (('cut.jpg', 'cut off'), ('empty.png', 'empty'),
                         ('none.jpg', 'No such file')):
        line = next(line for line in said.err.splitlines() if name in line and 'dice:' in line)
        assert reason in line
    assert 'Traceback' not in said.err
    assert '2 pictures done, 3 failed' in said.out
    assert (out / 'a.json').exists()
    assert (out / 'z.json').exists()
    assert not (out / 'cut.json').exists()


def test_equal_stems_do_not_overwrite(tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    out = tmp_path / 'out'
    assert run(picture(tmp_path / 'x.jpg'), picture(tmp_path / 'x.png', 0), '--out', out) == 0
    assert len(json.loads((out / 'x.json').read_text())['people']) == 3
    assert json.loads((out / 'x_2.json').read_text())['people'] == []


def test_results_beside_the_sources_are_refused(
        tmp_path: Path, estimators: list[FakeEstimator],
        capsys: pytest.CaptureFixture[str]) -> None:
    source, other = picture(tmp_path / 'x.jpg'), picture(tmp_path / 'x.png')
    before = other.read_bytes()
    assert run(source, '--out', tmp_path) == 1
    assert 'holds the picture x.jpg' in capsys.readouterr().err
    assert not estimators
    assert other.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {'x.jpg', 'x.png'}


def test_only_own_results_are_overwritten(
        tmp_path: Path, estimators: list[FakeEstimator],
        capsys: pytest.CaptureFixture[str]) -> None:
    source, out = picture(tmp_path / 'x.jpg'), tmp_path / 'out'
    theirs = picture(out / 'x.png')
    before = theirs.read_bytes()
    assert run(source, picture(tmp_path / 'y.jpg'), '--out', out) == 1
    assert str(theirs) in capsys.readouterr().err
    assert theirs.read_bytes() == before
    assert not (out / 'x.json').exists()
    assert run(tmp_path / 'y.jpg', '--out', out) == 0, 'own results again'
    (out / 'x.json').write_text('{"name": "theirs"}')
    assert run(source, '--out', out) == 1
    assert theirs.read_bytes() == before


def test_meshes_of_an_earlier_run_do_not_stay(
        tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    """Who reads x_*.ply must not take them for what is in the picture now."""
    out = tmp_path / 'out'
    assert run(picture(tmp_path / 'x.jpg'), '--out', out) == 0
    (out / 'x_mine.ply').touch()
    assert (out / 'x_b0001_face.ply').exists()
    assert run(picture(tmp_path / 'x.jpg', 0), '--out', out) == 0
    assert {path.name for path in out.iterdir()} == {'x.png', 'x.json', 'x_mine.ply'}


def test_nothing_done_leaves_no_folder(
        tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    assert run(tmp_path / 'none.jpg', '--out', tmp_path / 'out') == 1
    assert not (tmp_path / 'out').exists()


def test_the_json_says_which_lens(tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    source, out = picture(tmp_path / 'x.jpg'), tmp_path / 'out'
    seen = []
    for options in ([], ['--focal', 200], ['--fov', 90]):
        run(source, '--out', out, *options)
        document = json.loads((out / 'x.json').read_text())
        seen.append((document['focal_source'], round(document['focal_px'])))
    assert seen == [('assumed', 138), ('given', 200), ('given', 80)]


def test_folders_patterns_and_json(
        tmp_path: Path, estimators: list[FakeEstimator],
        capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / 'in' / 'a.jpg')
    picture(tmp_path / 'in' / 'b.png')
    assert run(tmp_path / 'in', '--out', tmp_path / 'out', '--json') == 0
    said = capsys.readouterr()
    results = json.loads(said.out)
    assert [Path(result['picture']).name for result in results] == ['a.jpg', 'b.png']
    assert all(Path(name).exists() for result in results for name in result['files'])
    assert results[0]['people'][0]['id'] == 'a0000'
    assert said.err == ''
    assert run(f'{tmp_path}/in/*.webp', tmp_path / 'in', '--out', tmp_path / 'out') == 1


def test_pictures_know_nothing_of_each_other(
        tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    run(picture(tmp_path / 'a.jpg'), picture(tmp_path / 'b.jpg'), '--out', tmp_path / 'out')
    assert estimators[0].resets == 2
    settings = estimators[0].settings
    assert settings is not None
    assert not settings.flag('smoothing.enabled')
    assert not settings.flag('tracking.enabled')
    assert settings.integer('detection.max_persons') == 8


def test_the_lens(tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    source, out = picture(tmp_path / 'a.jpg'), tmp_path / 'out'
    run(source, '--out', out, '--focal', 200)
    run(source, '--out', out, '--fov', 90)
    run(source, '--out', out)
    cameras = [estimator.frames[0].camera for estimator in estimators]
    assert [camera.calibrated for camera in cameras if camera] == [True, False, False]
    assert [round(camera.fx_px) for camera in cameras if camera] == [
        200, 80, round(80 / math.tan(0.5 * 1.05))]


@pytest.mark.parametrize(('options', 'said'), [
    (['--focal', '-3'], '--focal is -3'), (['--focal', 'nan'], '--focal'),
    (['--fov', '300'], '12 to 166 degrees'),
    (['--fov', '60', '--focal', '800'], 'exclude each other')])
def test_a_wrong_lens_is_refused(
        tmp_path: Path, estimators: list[FakeEstimator], options: list[str], said: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert run(picture(tmp_path / 'a.jpg'), '--out', tmp_path / 'out', *options) == 1
    assert said in capsys.readouterr().err
    assert not estimators


def test_levels_of_detail_shrink_the_meshes(
        tmp_path: Path, estimators: list[FakeEstimator]) -> None:
    source = picture(tmp_path / 'a.jpg')
    run(source, '--out', tmp_path / 'full')
    run(source, '--out', tmp_path / 'coarse', '--level', 2)
    name = 'a_a0000_face.ply'
    assert (tmp_path / 'coarse' / name).stat().st_size < (tmp_path / 'full' / name).stat().st_size


def test_a_broken_estimator_is_one_line(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    def broken(settings: Settings) -> FakeEstimator:
        raise EstimatorError('engine', state='gone', next_step='ros2-dice doctor')

    monkeypatch.setattr(ros2_dice.estimator, 'create_estimator', broken)
    assert run(picture(tmp_path / 'a.jpg'), '--out', tmp_path / 'out') == 1
    assert capsys.readouterr().err == 'ros2-dice: engine is gone (ros2-dice doctor)\n'


def test_an_output_that_is_a_file(
        tmp_path: Path, estimators: list[FakeEstimator],
        capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'out').touch()
    assert run(picture(tmp_path / 'a.jpg'), '--out', tmp_path / 'out') == 1
    assert 'out is a file; expected a folder' in capsys.readouterr().err
    assert not estimators
