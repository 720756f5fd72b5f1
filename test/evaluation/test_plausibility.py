# SPDX-License-Identifier: Apache-2.0
"""The published plausibility measures: stored cases of DICE and Decaf, and small ones by hand."""
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ros2_dice.evaluation.plausibility import FramePlausibility, Plausibility
from ros2_dice.evaluation.signed_distance import signed_distances_m

SHARED = Path(__file__).resolve().parents[3] / 'shared'


def stored(name: str) -> dict[str, np.ndarray]:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f'{name} is not beside the repository')
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def columns(predicted: list[FramePlausibility], truth: list[FramePlausibility]) -> np.ndarray:
    """Return frames as the stored tables have them."""
    return np.array([(not p.collides, t.touches and not p.touches, t.touches,
                      p.collision_distance_m, 1) for p, t in zip(predicted, truth)], float)


def test_metrics_are_those_of_dice():
    data = stored('dice/metrics.npz')
    signed, true = (
        [signed_distances_m(hand, head, data['head_faces'])
         for hand, head in zip(data[f'plaus_{who}_hand'], data[f'plaus_{who}_head'])]
        for who in ('pred', 'gt'))
    np.testing.assert_allclose(-np.array(signed), data['plaus_pred_sdf'], atol=1e-12)
    predicted = [FramePlausibility.of(s) for s in signed]
    truth = [FramePlausibility.of(s) for s in true]
    np.testing.assert_allclose(columns(predicted, truth), data['plaus_per_frame'], atol=1e-12)
    result = Plausibility.of(predicted, [t.touches for t in truth])
    assert result.non_collision_ratio == pytest.approx(float(data['non_collision_ratio']))
    assert result.touchness_ratio == pytest.approx(float(data['touchness_ratio']))
    assert result.f_score == pytest.approx(float(data['f_score']))
    assert 100 * result.collision_distance_m == pytest.approx(
        float(data['collision_distance_x100']))


def test_metrics_are_those_of_decaf_and_the_buried_hand_is_told():
    data = stored('two_hands/decaf_plausibility.npz')
    head, faces = data['head_vertices'], data['head_faces']
    signed = [signed_distances_m(hand, head, faces) for hand in data['pred_hand']]
    true = [signed_distances_m(hand, head, faces) for hand in data['gt_hand']]
    np.testing.assert_allclose(-np.array(signed), data['sdf_pred'], atol=1e-6)
    predicted = [FramePlausibility.of(s) for s in signed]
    truth = [FramePlausibility.of(s) for s in true]
    found = columns(predicted, truth)
    np.testing.assert_allclose(found, data['per_frame'], atol=1e-7)
    np.testing.assert_allclose(found.sum(0), data['total'], atol=1e-6)
    assert [p.buried for p in predicted] == [n == 8 for n in range(10)]
    result = Plausibility.of(predicted, [t.touches for t in truth])
    assert result.strict_f_score < result.f_score


# Depth of each of four hand points [m], and: collides, touches, collision distance, buried.
CASES = {
    'far': ((-0.1, -0.2, -0.1, -0.1), (False, False, 0.0, False)),
    'near': ((-0.005, -0.2, -0.1, -0.1), (False, True, 0.0, False)),
    'skin deep': ((0.004, -0.2, -0.1, -0.1), (False, True, 0.001, False)),
    'too deep': ((0.008, 0.004, -0.1, -0.1), (True, True, 0.003, False)),
    'all deep': ((0.02, 0.02, 0.02, 0.02), (True, False, 0.02, False)),
    'buried': ((0.06, 0.07, 0.08, 0.09), (False, True, 0.0, True)),
}


@pytest.mark.parametrize('case', CASES)
def test_one_frame(case: str):
    depth, expected = CASES[case]
    found = FramePlausibility.of(-np.array(depth))
    assert (found.collides, found.touches, found.buried) == (
        expected[0], expected[1], expected[3])
    assert found.collision_distance_m == pytest.approx(expected[2])


def test_ratios_over_frames():
    frames = [FramePlausibility.of(-np.array(depth)) for depth, _ in CASES.values()]
    result = Plausibility.of(frames, [True, True, True, True, True, False])
    assert result.non_collision_ratio == pytest.approx(100 * 4 / 6)
    assert result.touchness_ratio == pytest.approx(100 * 3 / 5)
    assert result.f_score == pytest.approx(2 * 60 * 400 / 6 / (60 + 400 / 6))
    assert result.buried == 1
    assert result.strictly_non_colliding == 3


def test_a_method_that_never_touches_scores_nothing():
    frames = [FramePlausibility.of(np.array([0.1, 0.1]))] * 3
    result = Plausibility.of(frames, [True] * 3)
    assert (result.non_collision_ratio, result.touchness_ratio, result.f_score) == (100, 0, 0)


def test_without_a_true_touch_there_is_no_touchness():
    result = Plausibility.of([FramePlausibility.of(np.array([0.1]))], [False])
    assert math.isnan(result.touchness_ratio)
    assert result.as_json()['f_score_percent'] is None
