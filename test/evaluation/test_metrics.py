# SPDX-License-Identifier: Apache-2.0
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ros2_dice.evaluation.metrics import (
    Score,
    align_similarity,
    area_under_curve,
    centred_error_m,
    vertex_error_m,
)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1), scale=st.floats(0.2, 5.0))
def test_alignment_undoes_a_similarity(seed, scale):
    rng = np.random.default_rng(seed)
    target = rng.normal(0, 0.1, (50, 3))
    rotation = Rotation.from_rotvec(rng.normal(0, 1.5, 3)).as_matrix()
    turned = scale * target @ rotation.T + rng.normal(0, 1, 3)
    assert np.abs(align_similarity(turned, target) - target).max() < 1e-9


def test_alignment_does_not_mirror():
    target = np.random.default_rng(3).normal(0, 0.1, (50, 3))
    mirrored = target * (-1, 1, 1)
    assert vertex_error_m(mirrored, target, aligned=True) > 0.01


def test_alignment_mirrors_if_it_may():
    target = np.random.default_rng(3).normal(0, 0.1, (50, 3))
    mirrored = 2 * target * (-1, 1, 1) + 0.5
    assert vertex_error_m(mirrored, target, aligned=True, reflection=True) < 1e-12


def test_joint_and_vertex_errors_are_those_of_dice():
    path = Path(__file__).resolve().parents[3] / 'shared' / 'dice' / 'metrics.npz'
    if not path.is_file():
        pytest.skip('dice/metrics.npz is not beside the repository')
    with np.load(path, allow_pickle=False) as file:
        data = dict(file)
    for name, aligned in (('pve', False), ('mpjpe', False), ('pa_mpjpe', True)):
        source = name.removeprefix('pa_')
        errors = [vertex_error_m(found, true, aligned=aligned)
                  for found, true in zip(data[f'{source}_pred'], data[f'{source}_gt'])]
        np.testing.assert_allclose(errors, data[f'{name}_per_frame'], atol=1e-12)
        assert np.mean(errors) == pytest.approx(float(data[name]))
    for found, true, expected in zip(data['mpjpe_pred'], data['mpjpe_gt'], data['pa_aligned']):
        np.testing.assert_allclose(align_similarity(found, true), expected, atol=1e-12)
    found, true = data['mpjpe_pred'][2], data['mpjpe_gt'][2]  # the mirrored one
    assert vertex_error_m(found, true, aligned=True, reflection=True) < 0.02 \
        < vertex_error_m(found, true, aligned=True)


def test_centred_error_forgives_where_the_head_is_but_not_the_hand():
    rng = np.random.default_rng(6)
    head, hand = rng.normal(0, 0.1, (30, 3)), rng.normal(0, 0.1, (10, 3))
    shift = np.array((0.3, -0.2, 1.0))
    assert centred_error_m(head + shift, hand + shift, head, hand) < 1e-12
    away = centred_error_m(head + shift, hand + shift + (0.04, 0, 0), head, hand)
    assert away == pytest.approx(0.04 * 10 / 40)


def test_error_without_alignment_is_the_mean_distance():
    target = np.zeros((4, 3))
    assert vertex_error_m(target + (3.0, 0.0, 4.0), target, aligned=False) == pytest.approx(5.0)


def test_score_counts():
    score = Score.of([True, True, False, False], [True, False, True, False])
    assert score == Score(1, 1, 1, 1)
    assert (score.precision, score.recall) == (0.5, 0.5)
    assert (score + score).true_positive == 2
    assert (score.f1, score.false_alarm_rate, score.n) == (0.5, 0.5, 4)
    assert math.isnan(Score().precision)
    assert math.isnan(Score().recall)
    assert math.isnan(Score().f1)
    assert Score(0, 0, 0, 5).as_json()['f1'] is None
    assert Score(0, 0, 2, 5).as_json() == {
        'precision': None, 'recall': 0.0, 'f1': 0.0, 'false_alarm_rate': 0.0, 'n': 7,
        'true_positive': 0, 'false_positive': 0, 'false_negative': 2, 'true_negative': 5}


def test_area_under_curve():
    assert area_under_curve([2, 3], [0, 1]) == 1.0
    assert area_under_curve([0, 1], [0, 1]) == 0.5
    assert math.isnan(area_under_curve([], [1]))
