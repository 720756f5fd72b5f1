# SPDX-License-Identifier: Apache-2.0
"""One frame's odds of touching, and how they add up over time."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ros2_dice.contact.touch import (
    APART_LOG_ODDS,
    OUTLIER_Z,
    GeometricTouchModel,
    TouchEvidence,
    probability,
)
from ros2_dice.contact.track import FORGET_S, TouchTrack

ON_CHEEK = TouchEvidence(0.0, 0.06, 20.0, 0.02, 'index_pad', 'cheek_left')
FRAME_NS = 33_000_000
MODEL = GeometricTouchModel()


@given(nearer=st.floats(-0.15, 1.0), step=st.floats(0.0, 1.0), cost=st.floats(0.0, 500.0))
def test_the_farther_before_the_face_the_less_likely_a_touch(nearer, step, cost):
    evidence = replace(ON_CHEEK, depth_factor=nearer, fit_cost=cost)
    farther = replace(evidence, depth_factor=nearer + step)
    assert MODEL.log_odds(farther) <= MODEL.log_odds(evidence) + 1e-9


@given(factor=st.floats(-10.0, 10.0), sigma=st.floats(0.001, 1.0), cost=st.floats(0.0, 1e6),
       gap=st.floats(0.0, 100.0), face=st.sampled_from(['nose', 'neck', '']))
def test_odds_are_always_finite_and_bounded_below(factor, sigma, cost, gap, face):
    odds = MODEL.log_odds(TouchEvidence(factor, sigma, cost, gap, 'palm', face))
    assert math.isfinite(odds)
    assert APART_LOG_ODDS <= odds < 10


def test_a_hand_whose_rays_miss_the_head_does_not_touch():
    assert MODEL.log_odds(replace(ON_CHEEK, depth_factor=math.inf)) == APART_LOG_ODDS


def test_a_match_is_worth_more_when_the_size_is_known_and_the_fit_is_good():
    off = replace(ON_CHEEK, depth_factor=0.08)
    assert MODEL.log_odds(replace(off, size_sigma=0.01)) < MODEL.log_odds(off)
    assert MODEL.log_odds(replace(ON_CHEEK, fit_cost=90.0)) < MODEL.log_odds(ON_CHEEK)


def test_a_finger_below_the_chin_touches_it_though_its_rays_end_at_the_neck():
    past_chin = replace(ON_CHEEK, depth_factor=0.2, face_region='neck', hand_region='index_pad')
    close = replace(past_chin, beside_m=0.002)
    assert MODEL.log_odds(past_chin) < 0 < MODEL.log_odds(close)
    assert close.touch_factor == 0.0
    assert past_chin.touch_factor == 0.2
    far = replace(past_chin, beside_m=0.03)
    assert MODEL.log_odds(far) == pytest.approx(MODEL.log_odds(past_chin))


def test_far_behind_the_skin_is_an_error_and_not_a_touch():
    sigma = ON_CHEEK.depth_sigma
    at_limit = MODEL.log_odds(replace(ON_CHEEK, depth_factor=-OUTLIER_Z * sigma))
    beyond = MODEL.log_odds(replace(ON_CHEEK, depth_factor=-3 * OUTLIER_Z * sigma))
    assert at_limit > 0 > beyond


def test_a_hand_beside_the_face_needs_more_than_one_on_it():
    ear = replace(ON_CHEEK, face_region='ear_left')
    assert MODEL.log_odds(ear) < MODEL.log_odds(ON_CHEEK)
    assert MODEL.log_odds(replace(ear, picture_gap=0.2)) < MODEL.log_odds(ear)


@given(odds=st.floats(-1e3, 1e3))
def test_probability_is_a_probability(odds):
    assert 0.0 <= probability(odds) <= 1.0


def test_the_first_frame_decides_alone():
    assert TouchTrack().update(0.3, 0.0, 0) == pytest.approx(probability(0.3))
    assert TouchTrack().update(-0.3, 0.0, 0) == pytest.approx(probability(-0.3))


def test_weak_evidence_does_not_turn_a_verdict():
    track = TouchTrack()
    track.update(2.0, 0.0, 0)
    for frame in range(1, 60):
        assert track.update(-0.4, 0.0, frame * FRAME_NS) >= 0.5
    for frame in range(60, 120):
        track.update(-2.0, 0.0, frame * FRAME_NS)
    assert not track.touching
    for frame in range(120, 180):
        assert track.update(0.4, 0.0, frame * FRAME_NS) < 0.5


def test_a_clear_touch_is_told_within_150_ms_after_long_hovering():
    track = TouchTrack()
    for frame in range(60):
        track.update(-3.0, 0.3, frame * FRAME_NS)
    told = next(frame for frame in range(60, 90)
                if track.update(1.8, 0.0, frame * FRAME_NS) >= 0.5)
    assert (told - 60) * FRAME_NS <= 200_000_000


@given(odds=st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=30))
def test_the_verdict_and_the_probability_agree(odds):
    track = TouchTrack()
    for frame, value in enumerate(odds):
        assert (track.update(value, 0.05, frame * FRAME_NS) >= 0.5) == track.touching


@pytest.mark.parametrize('stamp_ns', [int(FORGET_S * 1.1e9) + FRAME_NS, 0])
def test_a_gap_or_a_stamp_that_goes_back_starts_afresh(stamp_ns):
    track = TouchTrack()
    track.update(5.0, 0.1, FRAME_NS)
    assert track.update(-0.5, 0.1, stamp_ns) == pytest.approx(probability(-0.5))


def test_a_hand_that_leaves_goes_back_to_its_own_depth():
    track = TouchTrack()
    track.update(3.0, 0.1, 0)
    assert track.depth_shift == pytest.approx(0.1)
    shifts = [track.update(-5.0, 0.1, frame * FRAME_NS) and track.depth_shift
              for frame in range(1, 40)]
    assert all(b <= a + 1e-12 for a, b in zip(shifts, shifts[1:]))
    assert abs(track.depth_shift) < 1e-3
