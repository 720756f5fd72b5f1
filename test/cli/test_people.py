# SPDX-License-Identifier: Apache-2.0
"""Estimates as JSON."""
from __future__ import annotations

import json

from still_people import person

from ros2_dice.cli.people import people_document


def test_people_with_face_and_hands() -> None:
    document = people_document(person())
    assert set(document) == {'people'}
    first, second, third = document['people']
    assert [first['id'], second['id'], third['id']] == ['a0000', 'b0001', 'c0002']
    assert set(first) == {'id', 'face', 'hands'}
    assert [hand['id'] for hand in first['hands']] == ['h0000', 'h0001']
    assert second['face'] is not None
    assert second['hands'] == []
    assert third['face'] is None
    assert third['hands'][0]['handedness'] == 'unknown'


def test_a_hand_says_what_it_touches() -> None:
    hand = people_document(person())['people'][0]['hands'][0]
    assert hand['handedness'] == 'right'
    assert hand['confidence'] == 0.8
    assert hand['contact_probability'] == 0.9
    assert hand['min_distance_m'] == -0.001
    assert [region['face_region'] for region in hand['regions']] == ['cheek_l']
    assert hand['regions'][0]['distance_stddev_m'] is None
    assert hand['scale_source'] == 'prior'
    assert len(hand['joints_m']) == 26
    assert hand['roi_px'] == [1, 2, 30, 40]


def test_unknown_is_null_and_never_nan() -> None:
    document = people_document(person())
    hand = document['people'][0]['hands'][1]
    assert hand['contact_probability'] is None
    assert hand['min_distance_m'] is None
    alone = document['people'][2]['hands'][0]
    assert alone['touching_vertices'] is None
    assert alone['max_deformation_m'] is None
    json.dumps(document, allow_nan=False)


def test_a_face_of_two_hands_has_the_larger_deformation() -> None:
    assert people_document(person())['people'][0]['face']['max_deformation_m'] == 0.002


def test_nobody() -> None:
    assert people_document(()) == {'people': []}
