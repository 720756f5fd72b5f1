# SPDX-License-Identifier: Apache-2.0
"""Answers about labelled material, their figures, and the page about them."""
from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from painted_squares import BrightnessEstimator

from ros2_dice.errors import AssetError, ConfigError
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.evaluation.labelled import Answers, LabelledRun
from ros2_dice.evaluation.labelled_report import labelled_report
from ros2_dice.evaluation.labelled_scores import labelled_scores
from ros2_dice.evaluation.machine import environment
from ros2_dice.evaluation.material import load_material
from ros2_dice.evaluation.words import WordScores
from ros2_dice.parameters import Settings
from ros2_dice.render import Overlay

KEYS = {'precision', 'recall', 'f1', 'false_alarm_rate', 'n'}


def ask(folder: Path, gallery: Gallery | None = None) -> tuple[Answers, dict[str, Any]]:
    run = LabelledRun(BrightnessEstimator(), Settings(), gallery or Gallery(), None)
    done: list[str] = []
    answers = run.ask(load_material(folder), done.append)
    assert len(done) == len(answers.pictures) + len(answers.clips)
    return answers, labelled_scores(answers, 0.5)


def test_pictures_are_scored_by_their_labels(painted: Path):
    found = ask(painted)[1]['pictures']
    assert (found['true_positive'], found['false_negative']) == (1, 1)
    assert (found['true_negative'], found['false_positive'], found['n']) == (2, 0, 4)
    assert found['by_scene']['touch']['recall'] == 0.5
    assert found['by_scene']['none']['n'] == 1


def test_clips_are_scored_frame_by_frame_outside_the_tolerance(painted: Path):
    found = ask(painted)[1]['clips']
    # 10 frames before, 24 after, less the 2 open ones on each side; 6 settled frames of touch
    assert (found['n'], found['true_positive'], found['true_negative']) == (32, 6, 26)
    assert (found['false_positive'], found['false_negative']) == (0, 0)
    assert found['by_scene'].keys() == {'touch'}
    assert found['frames_with_right_face_part']['share'] == 1.0
    assert found['by_clip']['clip.mp4']['frames'] == 40
    assert found['events']['enter_median_ms'] == 0.0  # 2 frames early, within the tolerance


def test_every_part_has_the_promised_keys(painted: Path):
    document = ask(painted)[1]
    for part in (document['pictures'], document['clips'], document['naive'],
                 document['naive']['clips']):
        assert part.keys() >= KEYS | {'by_scene'}
        assert all(score.keys() >= KEYS for score in part['by_scene'].values())
    json.dumps(document, allow_nan=False)


def test_uncertain_rows_are_only_listed(painted: Path):
    rows = ask(painted)[1]['listed']
    assert [(row['file'], row['contact']) for row in rows] == [
        ('hover.png', 'likely'), ('clip.mp4', 'unknown')]


def test_missing_and_damaged_files_are_named(painted: Path):
    (painted / 'wrong.png').write_bytes(b'no picture')
    problems = ask(painted)[1]['problems']
    assert len(problems) == 2
    assert 'wrong.png' in problems[0]
    assert problems[1] == 'gone.png is missing'


def test_material_without_any_file_is_an_error(painted: Path):
    for path in painted.rglob('*.png'):
        path.unlink()
    (painted / 'clip.mp4').unlink()
    with pytest.raises(ConfigError, match=r'is missing'):
        ask(painted)


def test_the_page_holds_everything_itself(painted: Path, tmp_path: Path):
    gallery = Gallery()
    run = LabelledRun(BrightnessEstimator(), Settings(), gallery, PlainOverlay())
    answers = run.ask(load_material(painted), lambda name: None)
    assert [card.kind for kind in gallery.kinds for card in gallery.cards(kind)] == [
        'missed touch']
    document = {'model': '<model>', 'seconds': 1.0, 'environment': environment(),
                **labelled_scores(answers, 0.5)}
    page = labelled_report(document, answers, gallery).write(tmp_path / 'page').read_text()
    assert 'data:image/jpeg;base64,' in page
    assert '&lt;model&gt;' in page
    assert '<model>' not in page
    sources = re.findall(r'(?:src|href)="([^"]{0,20})', page)
    assert sources
    assert all(source.startswith('data:') for source in sources)
    assert page.count('<svg') == 3  # reliability, and a time line for each clip row


class PlainOverlay(Overlay):
    """Returns the picture as it is: these estimates have no meshes."""

    def __init__(self) -> None:
        super().__init__(())

    def draw(self, bgr, estimates, camera, scale=1.0, *, legend=True):
        return bgr


def test_words_count_hits_misses_and_what_was_not_meant():
    scores = WordScores('face')
    scores.add(('mouth', 'left cheek'), ['lips', 'cheek_right', 'nose'])
    scores.add((), ['chin'])
    scores.add(('elbow',), ['chin'])  # unknown: says nothing
    counts = {word: (s.true_positive, s.false_positive, s.false_negative)
              for word, s in scores.scores.items()}
    assert counts == {'mouth': (1, 0, 0), 'cheek': (0, 1, 1), 'nose': (0, 1, 0),
                      'chin': (0, 1, 0)}


def test_a_gallery_keeps_the_worst():
    import numpy as np

    gallery = Gallery(most=2)
    drawn: list[str] = []

    def draw(name: str) -> np.ndarray:
        drawn.append(name)
        return np.zeros((4, 4, 3), np.uint8)

    for name, badness in (('a', 0.2), ('b', 0.9), ('c', 0.1), ('d', 0.5)):
        gallery.offer('wrong', name, badness, lambda name=name: draw(name))
    assert [card.title for card in gallery.cards('wrong')] == ['b', 'd']
    assert drawn == ['a', 'b', 'd']


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, capsys):
    from ros2_dice.cli.main import main

    with pytest.raises(SystemExit) as stopped:
        main(['evaluate', 'labelled', str(tmp_path)])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.material
def test_the_command_on_real_pictures(material: Path, tmp_path: Path, capsys):
    from ros2_dice.assets import find_asset
    from ros2_dice.cli.main import main

    try:
        find_asset('face_landmark')
    except AssetError as error:
        pytest.skip(error.text())
    rows = {row['file']: row for row in json.loads(
        (material / 'labels.json').read_text())['images']}
    chosen = ('s/man_chin_grip.jpg', 's/man_frontal.jpg', 's/finger_on_lips.jpg')
    folder = tmp_path / 'few'
    (folder / 's').mkdir(parents=True)
    for name in chosen:
        shutil.copy(material / name, folder / name)
    (folder / 'labels.json').write_text(json.dumps({'images': [rows[name] for name in chosen]}))
    out = tmp_path / 'figures.json'
    with pytest.raises(SystemExit) as stopped:
        main(['evaluate', 'labelled', str(folder), '--json', str(out), '--report',
              str(tmp_path / 'page')])
    assert stopped.value.code == 0
    document = json.loads(out.read_text())
    assert document['pictures']['n'] == 3
    assert document['clips']['n'] == 0
    assert (tmp_path / 'page' / 'index.html').is_file()
    assert 'precision' in capsys.readouterr().out
