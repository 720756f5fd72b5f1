# SPDX-License-Identifier: Apache-2.0
"""The reader of labels.json."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ros2_dice.errors import ConfigError
from ros2_dice.evaluation.material import load_material
from ros2_dice.evaluation.words import face_regions, hand_regions, unknown_words


def labels(folder: Path, document: object) -> Path:
    (folder / 'labels.json').write_text(
        document if isinstance(document, str) else json.dumps(document))
    return folder


def test_rows_need_no_more_than_their_file(tmp_path: Path):
    found = load_material(labels(tmp_path, {
        'images': [{'file': 'a.jpg'}], 'videos': [{'file': 'b.mp4'}]}))
    picture, clip = found.pictures[0], found.clips[0]
    assert (picture.contact, picture.is_touch, picture.scene) == ('unknown', None, 'unknown')
    assert (clip.is_scored, clip.touches) == (False, ())


def test_what_is_null_is_as_if_it_were_not_there(tmp_path: Path):
    found = load_material(labels(tmp_path, {
        'images': [{'file': 'a.jpg', 'contact': None, 'scene': None, 'person_hands': None,
                    'hands': None, 'notes': None},
                   {'file': 'b.jpg', 'contact': ' Yes', 'person_hands': [
                       {'touches': 'chin', 'fingers': None}, None]}],
        'videos': [{'file': 'c.mp4', 'fps': None, 'frames': None, 'frame_tolerance': None,
                    'touch_frames': [{'first': 3, 'last': 9, 'region': ['mouth', 'nose / eye']},
                                     {'first': 12, 'last': 13, 'region': None}]}]}))
    assert (found.pictures[0].scene, found.pictures[0].contact) == ('unknown', 'unknown')
    assert found.pictures[1].is_touch
    assert found.pictures[1].face_words == ('chin',)
    assert found.clips[0].touches[0].words == ('mouth', 'nose', 'eye')
    assert (found.clips[0].tolerance, found.clips[0].touches[1].words) == (4, ())


@pytest.mark.parametrize(('contact', 'touch'), [
    ('yes', True), ('no', False), ('No', False), ('likely', None), ('drawn', None)])
def test_only_yes_and_no_are_answers(tmp_path: Path, contact: str, touch: bool | None):
    row = {'file': 'a.jpg', 'contact': contact, 'contact_certain': False}
    assert load_material(labels(tmp_path, {'images': [row]})).pictures[0].is_touch is touch


def test_files_are_found_by_their_name_below_the_folder(painted: Path):
    pictures = load_material(painted).pictures
    assert pictures[2].path == painted / 'deep' / 'empty.png'
    assert not pictures[5].path.exists()


def test_clips_without_spans_are_scored_only_if_they_say_no(tmp_path: Path):
    clips = load_material(labels(tmp_path, {'videos': [
        {'file': 'a.mp4', 'touch_frames': []}, {'file': 'b.mp4', 'contact': 'no'},
        {'file': 'c.mp4', 'touch_frames': None}]})).clips
    assert [clip.is_scored for clip in clips] == [True, True, False]


def test_frames_near_the_ends_of_a_touch_are_open(painted: Path):
    clip = load_material(painted).clips[0]
    assert clip.touch_frames() == set(range(12, 22))
    assert clip.open_frames() == {10, 11, 12, 13, 20, 21, 22, 23}


@pytest.mark.parametrize('document', [
    'no json', '[]', '{}', '{"images": 3}', '{"images": [{"scene": "near"}]}',
    '{"videos": [{"file": "a.mp4", "touch_frames": [{"first": 1}]}]}',
    '{"videos": [{"file": "a.mp4", "touch_frames": [[1, 2]]}]}'])
def test_another_format_is_refused_in_one_line(tmp_path: Path, document: str):
    with pytest.raises(ConfigError, match=r'labels.json.*expected') as caught:
        load_material(labels(tmp_path, document))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('document', 'named'), [
    ('{"images": [], "videos": null}', 'no picture and no clip'),
    ('{"videos": "clip.mp4"}', r'labels\.json, videos is str'),
    ('{"images": [{"file": "a.jpg"}, 7]}', r'labels\.json, images, row 1 is 7')])
def test_what_is_wrong_is_named(tmp_path: Path, document: str, named: str):
    with pytest.raises(ConfigError) as caught:
        load_material(labels(tmp_path, document))
    assert re.search(named, str(caught.value))


def test_a_folder_without_labels_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r'labels\.json'):
        load_material(tmp_path / 'nowhere')


def test_every_word_of_the_material_is_known(material: Path):
    found = load_material(material)
    assert not [word for p in found.pictures for word in unknown_words(p.face_words, p.hand_words)]
    assert not [word for c in found.clips for span in c.touches
                for word in span.words if face_regions(word) is None]


def test_words_mean_regions_that_the_bodies_have():
    from ros2_dice.bodies import load_open_bodies
    from ros2_dice.evaluation.words import FACE_WORDS, HAND_WORDS
    from ros2_dice.share import share_folder

    bodies = load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')
    assert {r for w in FACE_WORDS for r in face_regions(w) or ()} == set(bodies.head.region_names)
    known = set(bodies.hand_right.region_names)
    assert {r for word in HAND_WORDS for r in hand_regions(word) or ()} == known


@pytest.mark.parametrize(('word', 'regions'), [
    ('cheek', {'cheek_left', 'cheek_right', 'jaw_left', 'jaw_right'}),
    ('left cheek', {'cheek_left', 'jaw_left'}), ('Lips', {'lips', 'mouth_area'}),
    ('eyebrows', {'brow', 'forehead'}), ('elbow', None), ('', None)])
def test_face_words(word: str, regions: set[str] | None):
    found = face_regions(word)
    assert (None if found is None else set(found)) == regions


def test_hand_words():
    assert hand_regions('knuckles') == hand_regions('fist')
    assert 'index_pad' in (hand_regions('index finger') or ())
    assert hand_regions('back_of_hand') == ('back',)
    assert hand_regions('foot') is None


@pytest.mark.parametrize('document', [
    {'images': [{'file': 'a.jpg', 'person_hands': 2}]},
    {'images': [{'file': 'a.jpg', 'person_hands': [{'fingers': {}}], 'contact': 'yes'},
                {'file': 'b.jpg', 'person_hands': True}]},
    {'videos': [{'file': 'c.mp4', 'fps': 'thirty'}]},
    {'videos': [{'file': 'c.mp4', 'frames': [1]}]}])
def test_an_entry_of_another_kind_is_named_with_its_row(tmp_path: Path,
                                                        document: object) -> None:
    with pytest.raises(ConfigError, match=r'labels.json, row of [abc]\.\w+ is not in the format'):
        load_material(labels(tmp_path, document))
