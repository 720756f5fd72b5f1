# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ros2_dice.evaluation.metrics import (
    Score,
    align_similarity,
    area_under_curve,
    lag_s,
    rms_motion_m,
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


def test_error_without_alignment_is_the_mean_distance():
    target = np.zeros((4, 3))
    assert vertex_error_m(target + (3.0, 0.0, 4.0), target, aligned=False) == pytest.approx(5.0)


def test_motion_forgets_where_the_vertices_are():
    place = np.random.default_rng(4).normal(0, 1, (1, 7, 3))
    track = place + np.array([[[0.001, 0, 0]], [[-0.001, 0, 0]]])
    assert rms_motion_m(track) == pytest.approx(0.001)


def test_score_counts():
    score = Score.of([True, True, False, False], [True, False, True, False])
    assert score == Score(1, 1, 1, 1)
    assert (score.precision, score.recall) == (0.5, 0.5)
    assert (score + score).true_positive == 2
    assert math.isnan(Score().precision)
    assert math.isnan(Score().recall)


def test_area_under_curve():
    assert area_under_curve([2, 3], [0, 1]) == 1.0
    assert area_under_curve([0, 1], [0, 1]) == 0.5
    assert math.isnan(area_under_curve([], [1]))


@pytest.mark.parametrize('delay', [0.0, 0.02, 0.075])
def test_lag_is_found(delay):
    times = np.arange(0, 3, 1 / 30)
    truth = np.stack([np.sin(times), np.cos(1.7 * times)], 1)
    track = np.stack([np.sin(times - delay), np.cos(1.7 * (times - delay))], 1)
    assert lag_s(times, track, truth) == pytest.approx(delay, abs=0.001)
