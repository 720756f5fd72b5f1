# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from ros2_dice.evaluation.calibration import calibration, interval_coverage


def test_probabilities_that_mean_frequency_have_no_error():
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    found = calibration(p, (rng.random(20_000) < p).tolist())
    assert found.expected_error < 0.02
    assert len(found.bins) == 10


def test_error_is_the_weighted_gap():
    found = calibration([0.95, 0.95, 0.15, 0.15], [True, False, False, False])
    assert found.expected_error == pytest.approx(0.5 * 0.45 + 0.5 * 0.15)
    assert [(b.n, b.frequency) for b in found.bins] == [(2, 0.0), (2, 0.5)]


def test_cannot_tell_is_counted_apart():
    found = calibration([math.nan, 1.0], [True, True])
    assert (found.n, found.cannot_tell, found.expected_error) == (1, 1, 0.0)
    assert calibration([], []).as_json()['ece'] is None


def test_a_normal_interval_holds_its_share():
    rng = np.random.default_rng(2)
    truth, sigma = rng.normal(0, 1, 20_000), rng.uniform(0.5, 2, 20_000)
    values = truth + rng.normal(0, 1, 20_000) * sigma
    assert interval_coverage(values, sigma, truth) == pytest.approx(0.9, abs=0.01)
    assert interval_coverage(values, 3 * sigma, truth) > 0.99


def test_unknown_intervals_are_left_out():
    nan = math.nan
    assert interval_coverage(np.array([0, nan]), np.array([1, 1.0]), np.array([0, 0.0])) == 1.0
    assert math.isnan(interval_coverage(np.array([nan]), np.array([1.0]), np.array([0.0])))
