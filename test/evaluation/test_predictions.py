# SPDX-License-Identifier: Apache-2.0
"""Files of predictions, and their figures against truth and against labels."""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from ros2_dice.errors import ConfigError
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.evaluation.machine import environment
from ros2_dice.evaluation.material import load_material
from ros2_dice.evaluation.prediction_report import mesh_rows, prediction_report
from ros2_dice.evaluation.prediction_scores import score_against_labels, score_against_truth
from ros2_dice.evaluation.predictions import Predictions, load_predictions, save_predictions

FRAMES = ('a', 'b', 'c', 'd')


def scene(gap_m: float) -> dict[str, np.ndarray]:
    """Return a head and a hand, both balls, so far apart."""
    head = trimesh.creation.icosphere(subdivisions=2, radius=0.09)
    hand = trimesh.creation.icosphere(subdivisions=1, radius=0.03).vertices
    reach = np.linalg.norm(head.vertices[head.faces].mean(1), axis=1).min() + 0.03
    return {'head_vertices_m': head.vertices, 'hand_vertices_m': hand + (reach + gap_m, 0, 0),
            'head_faces': head.faces}


def file(path: Path, gaps_m: tuple[float, ...], chances: tuple[float, ...],
         frames: tuple[str, ...] = FRAMES) -> Predictions:
    scenes = [scene(gap_m) for gap_m in gaps_m]
    save_predictions(path, path.stem, frames, {
        **{name: np.stack([s[name] for s in scenes])
           for name in ('head_vertices_m', 'hand_vertices_m')},
        'head_faces': scenes[0]['head_faces'], 'touch_probability': chances,
        'joints_m': np.stack([s['hand_vertices_m'][:21] for s in scenes])})
    return load_predictions(path)


def score(found: Predictions, truth: Predictions) -> dict[str, Any]:
    document = score_against_truth(found, truth, 0.5, lambda name: None)
    json.dumps(document, allow_nan=False)
    return document


@pytest.fixture
def truth(tmp_path: Path) -> Predictions:
    return file(tmp_path / 'truth.npz', (0.001, 0.001, 0.04, 0.04), (1.0, 1.0, 0.0, math.nan))


def test_truth_itself_is_perfect(truth: Predictions):
    found = score(truth, truth)
    assert (found['touch']['f1'], found['touch']['n']) == (1.0, 3)
    assert set(found['errors'].values()) == {0.0}
    assert found['plausibility']['f_score_percent'] == 100.0
    assert found['plausibility']['frames_truly_touching'] == 2


def test_errors_and_ratios_of_predictions(tmp_path: Path, truth: Predictions):
    # one buried, one too far, two right; the last frame is not predicted
    found = score(file(tmp_path / 'x.npz', (-0.13, 0.05, 0.04), (0.9, 0.2, math.nan),
                       FRAMES[:3]), truth)
    assert found['frames_missing'] == 1
    assert (found['touch']['true_positive'], found['touch']['false_negative'],
            found['touch']['true_negative']) == (1, 1, 1)
    assert found['touch']['calibration']['cannot_tell'] == 1
    assert found['plausibility']['buried_frames'] == 1
    assert found['plausibility']['frames'] == 3
    assert found['plausibility']['strict_f_score_percent'] < \
        found['plausibility']['f_score_percent']
    assert found['errors']['mpjpe_mm'] == pytest.approx(1e3 * (0.131 + 0.049 + 0.0) / 3)
    assert found['errors']['pa_mpjpe_mm'] < 1e-6
    head, hand = (truth.arrays[f'{part}_vertices_m'].shape[1] for part in ('head', 'hand'))
    assert found['errors']['pve_centred_mm'] == pytest.approx(60 * hand / (head + hand))


def test_meshes_of_another_kind_are_only_held_against_touch(tmp_path: Path, truth: Predictions):
    path = tmp_path / 'other.npz'
    box = trimesh.creation.box((0.15, 0.2, 0.2))
    save_predictions(path, 'other', FRAMES, {
        'head_vertices_m': np.tile(box.vertices, (4, 1, 1)), 'head_faces': box.faces,
        'hand_vertices_m': np.tile([[0.077, 0.0, 0.0]], (4, 1, 1))})
    found = score(load_predictions(path), truth)
    assert found['touch'] is None
    assert set(found['errors'].values()) == {None}
    assert found['plausibility']['touchness_percent'] == 100.0
    assert len(mesh_rows([found])) == 1


def test_predictions_are_scored_by_labels(tmp_path: Path, painted: Path):
    material = load_material(painted)
    clip = [f'clip.mp4#{n}' for n in range(40)]
    frames = ('touch.png', 'hover.png', 'wrong.png', *clip)
    save_predictions(tmp_path / 'x.npz', 'x', frames, {
        'touch_probability': [0.9, 0.8, 0.9] + [float(12 <= n <= 21) for n in range(40)],
        'face_regions': ['cheek_left', '', 'nose'] + [''] * 40,
        'hand_regions': ['index_pad', '', ''] + [''] * 40})
    found = score_against_labels(load_predictions(tmp_path / 'x.npz'), material, 0.5)
    json.dumps(found, allow_nan=False)
    pictures = found['pictures']
    assert (pictures['true_positive'], pictures['false_positive']) == (2, 1)
    assert pictures['by_face_part']['cheek']['recall'] == 0.5
    assert pictures['by_face_part']['nose']['precision'] == 0.0
    assert (found['clips']['n'], found['clips']['f1']) == (32, 1.0)
    assert set(found['frames_missing']) == {'empty.png', 'gone.png'}
    assert 'naive' not in found


def test_the_page_has_all_systems_and_the_published_table(tmp_path: Path, truth: Predictions):
    systems = [score(truth, truth)]
    page = prediction_report('Title', {'systems': systems, 'truth': 'truth.npz',
                                       'environment': environment()}, Gallery()).html()
    assert 'DICE (2025), regression' in page
    assert 'Not comparable' in page
    assert page.count('<table') == 3


@pytest.mark.parametrize(('arrays', 'said'), [
    ({'touch_probability': [0.1]}, 'touch_probability'),
    ({'touch_probability': [0.1, 2.0]}, r'\[0, 1\]'),
    ({'touch_probability': ['a', 'b']}, 'touch_probability'),
    ({'head_vertices_m': np.zeros((2, 3))}, 'head_vertices_m'),
    ({'head_vertices_m': np.zeros((2, 4, 3)), 'head_faces': [[0, 1, 4]]}, 'head_faces'),
    ({'vertices': np.zeros(2)}, 'vertices')])
def test_what_does_not_fit_the_format_is_named(tmp_path: Path, arrays: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        save_predictions(tmp_path / 'x.npz', 'x', ('a', 'b'), arrays)


def test_other_files_are_refused(tmp_path: Path):
    path = tmp_path / 'x.npz'
    path.write_bytes(b'nothing')
    with pytest.raises(ConfigError, match='x.npz is no file of plain arrays') as caught:
        load_predictions(path)
    assert 'allow_pickle' not in str(caught.value), 'what numpy advises'
    np.savez(path, frames=np.array(['a', 'b']))
    with pytest.raises(ConfigError, match='format'):
        load_predictions(path)
    with pytest.raises(ConfigError, match="x.npy can't be read: No such file"):
        load_predictions(tmp_path / 'x.npy')


@pytest.mark.parametrize('damage', ['cut', 'flip'])
def test_a_damaged_file_is_refused_wherever_it_is_damaged(tmp_path: Path, truth: Predictions,
                                                          damage: str):
    path = tmp_path / 'ours.npz'
    save_predictions(path, 'ours', truth.frames, truth.arrays)
    data = path.read_bytes()
    refused = 0
    for at in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:at] if damage == 'cut'
                         else data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:])
        try:
            load_predictions(path)
        except ConfigError:
            refused += 1
    assert refused > (50 if damage == 'cut' else 25)


def test_the_command_needs_one_truth(tmp_path: Path, truth: Predictions, capsys):
    from ros2_dice.cli.main import main

    with pytest.raises(SystemExit) as stopped:
        main(['evaluate', 'predictions', str(tmp_path / 'truth.npz')])
    assert stopped.value.code == 1
    assert '--labels' in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(['evaluate', 'predictions', str(tmp_path / 'truth.npz'), '--truth',
              str(tmp_path / 'truth.npz'), '--json', str(tmp_path / 'out.json')])
    assert stopped.value.code == 0
    assert json.loads((tmp_path / 'out.json').read_text())['systems'][0]['touch']['f1'] == 1.0
