# SPDX-License-Identifier: Apache-2.0
"""Filters, covered points and size priors on their own."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ros2_dice.bodies.rotation import rotation_matrix, rotation_vector
from ros2_dice.fitting.cover import COVERED_TRUST, trust_beside_hands
from ros2_dice.fitting.gain import Smoothing
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.fitting.scale import combined
from ros2_dice.fitting.smooth import OneEuro, RotationOneEuro

DT_S = 1.0 / 30.0
DEFAULT = Smoothing()


def test_noise_at_rest_gets_less() -> None:
    rng, euro = np.random.default_rng(0), OneEuro()
    noisy = 0.001 * rng.normal(size=(300, 3))
    calm = np.array([euro.update(sample, DT_S, DEFAULT) for sample in noisy])
    assert calm[30:].std() < 0.4 * noisy[30:].std()


@given(speed_mps=st.floats(0.5, 3.0), beta=st.floats(5.0, 50.0))
def test_lag_of_a_ramp_is_at_most_that_of_the_cutoff(speed_mps: float, beta: float) -> None:
    smoothing, euro = Smoothing(True, 1.0, beta), OneEuro(noise_mps=0.03)
    value = np.zeros(1)
    for number in range(200):
        value = euro.update(np.array((speed_mps * number * DT_S,)), DT_S, smoothing)
    behind_s = (speed_mps * 199 * DT_S - value[0]) / speed_mps
    cutoff = 1.0 + beta * speed_mps ** 2 / (speed_mps + 0.03)
    assert -1e-9 <= behind_s <= 1.02 / (2 * math.pi * cutoff)


def filtered(samples: np.ndarray, **options: float) -> np.ndarray:
    """Return (frames, N) samples after the filter with the parameters' defaults."""
    euro = OneEuro(**options)
    return np.array([euro.update(sample, DT_S, Smoothing(True, 1.0, 15.0)) for sample in samples])


@pytest.mark.parametrize('noise_m', [0.001, 0.003, 0.01])
def test_a_filter_at_rest_is_calm_whatever_the_noise(noise_m: float) -> None:
    noisy = noise_m * np.random.default_rng(1).normal(size=(300, 1))
    share = float(filtered(noisy)[60:].std()) / noise_m
    assert share < 0.33  # 0.44 at 1 cm where the noise is not learnt


@pytest.mark.parametrize('noise_m', [0.0005, 0.003, 0.01])
@pytest.mark.parametrize('speed_mps', [0.02, 0.1, 0.3, 1.0])
def test_motion_is_followed_within_what_noise_can_hide(speed_mps: float, noise_m: float) -> None:
    place = speed_mps * DT_S * np.maximum(np.arange(240) - 60, 0)[:, None]
    noise = noise_m * np.random.default_rng(2).normal(size=place.shape)
    for options in ({}, {'calm': 0.2, 'noise_mps': 0.15, 'speed_cutoff_hz': 1.0}):
        behind_m = float((place - filtered(place + noise, **options))[90:].mean())
        assert behind_m < min(7.0 * noise_m, 0.03)
        assert speed_mps < 1.0 or behind_m / speed_mps < 0.03


def test_one_outlier_does_not_open_the_filter_for_long() -> None:
    noisy = 0.003 * np.random.default_rng(4).normal(size=(200, 1))
    noisy[120] += 0.1
    calm = filtered(noisy)
    assert abs(float(calm[140:].mean() - calm[60:120].mean())) < 0.003


def test_a_renewed_filter_finds_its_new_place_within_a_third_of_a_second() -> None:
    rng, smoothing = np.random.default_rng(6), Smoothing(True, 1.0, 15.0)
    left_m = []
    for renewed in (False, True):
        euro, value = OneEuro(calm=0.2, noise_mps=0.15, speed_cutoff_hz=1.0), np.zeros(1)
        for number in range(50):
            if renewed and number == 40:
                euro.renew()
            place = 0.02 * (number >= 40)
            value = euro.update(np.array((place + 0.007 * rng.normal(),)), DT_S, smoothing)
        left_m.append(abs(0.02 - float(value[0])))
    assert left_m[1] < 0.005 < left_m[0]


def test_a_stream_without_noise_may_become_noisy() -> None:
    noisy = np.zeros((300, 1))
    noisy[100:] = 0.003 * np.random.default_rng(5).normal(size=(200, 1))
    assert float(filtered(noisy)[200:].std()) < 0.3 * 0.003


def test_filter_that_is_off_passes_everything_through() -> None:
    euro, off = OneEuro(), Smoothing(enabled=False)
    for sample in (1.0, -2.0, 5.0):
        assert euro.update(np.array((sample,)), DT_S, off)[0] == sample


def test_the_first_frames_are_averaged() -> None:
    euro = OneEuro()
    for sample in (0.010, 0.0, 0.0, 0.0):
        value = euro.update(np.array((sample,)), DT_S, Smoothing(True, 0.01, 0.0))
    assert value[0] == pytest.approx(0.0025)


def test_rotation_filter_follows_a_turn_by_the_shortest_way() -> None:
    euro, turned = RotationOneEuro(0.1), np.eye(3)
    for degree in range(0, 720, 6):  # twice around, 180 deg/s
        turned = euro.update(rotation_matrix(np.array((0.0, 0.0, math.radians(degree)))), DT_S,
                             DEFAULT)
        np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)
    behind = rotation_vector(rotation_matrix(np.array((0.0, 0.0, math.radians(714)))) @ turned.T)
    assert 0.0 < math.degrees(behind[2]) < 25.0
    assert abs(behind[0]) < 1e-9


def test_coasting_dies_out() -> None:
    euro = OneEuro()
    for number in range(60):
        euro.update(np.array((number * DT_S,)), DT_S, DEFAULT)
    near, far = euro.coast(0.05)[0], euro.coast(10.0)[0]
    assert euro.value is not None
    assert euro.value[0] < near < far < euro.value[0] + 0.12


def hand_at(x: float, y: float, length: float = 60.0) -> np.ndarray:
    """Return 21 points of an upright open hand around a place [px]."""
    points = [(x, y)]
    for finger in range(5):
        base = x + (finger - 2) * 0.25 * length
        points += [(base, y - length * (0.6 + 0.3 * part)) for part in range(4)]
    return np.array(points)


def test_only_points_under_the_hand_lose_trust() -> None:
    grid = np.stack(np.meshgrid(np.linspace(0, 200, 26), np.linspace(0, 200, 18)), -1)
    face = grid.reshape(-1, 2)
    hand = hand_at(50.0, 150.0)
    trust = trust_beside_hands(face, [hand])
    assert trust is not None
    assert set(np.unique(trust)) == {COVERED_TRUST, 1.0}
    distance = np.linalg.norm(face[:, None] - hand, axis=-1).min(axis=1)
    assert (trust[distance < 5.0] == COVERED_TRUST).all()
    assert (trust[distance > 50.0] == 1.0).all()


def test_a_hand_elsewhere_changes_nothing() -> None:
    face = np.random.default_rng(0).uniform(0, 100, (468, 2))
    assert trust_beside_hands(face, [hand_at(400.0, 300.0)]) is None
    assert trust_beside_hands(face, []) is None


def test_priors_combine_by_their_precision() -> None:
    both = combined(SizePrior(0.0, 0.04), SizePrior(0.1, 0.04))
    assert both.log_scale == pytest.approx(0.05)
    assert both.sigma == pytest.approx(0.04 / math.sqrt(2))
    sure = combined(SizePrior(0.0, 1.0), SizePrior(0.1, 0.001))
    assert sure.log_scale == pytest.approx(0.1, abs=1e-4)
