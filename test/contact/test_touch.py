# SPDX-License-Identifier: Apache-2.0
"""One frame's odds of touching, and how they add up over time."""
from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ros2_dice.contact import LearnedTouchModel, load_touch_model
from ros2_dice.contact.learned import DOUBT, ODDS_FEATURES
from ros2_dice.contact.movement import Look, Movement
from ros2_dice.contact.ratio import APPROACH_S, PersonRatio
from ros2_dice.contact.touch import (
    APART_LOG_ODDS,
    DepthNoise,
    TouchEvidence,
    probability,
    touch_factor,
)
from ros2_dice.contact.track import FORGET_S, TouchTrack
from ros2_dice.errors import AssetError

FILE = Path(__file__).resolve().parents[2] / 'model' / 'touch_model.json'
ON_CHEEK = TouchEvidence(0.0, 0.06, 20.0, 0.02)
FRAME_NS = 33_000_000
MODEL = load_touch_model(FILE)
NOISE = DepthNoise(0.0, 0.06)


@given(nearer=st.floats(-0.05, 1.0), step=st.floats(0.0, 1.0), cost=st.floats(0.0, 500.0))
def test_the_farther_before_the_face_the_less_likely_a_touch(nearer, step, cost):
    evidence = replace(ON_CHEEK, depth_factor=nearer, fit_cost=cost)
    farther = replace(evidence, depth_factor=nearer + step)
    assert MODEL.log_odds(farther) <= MODEL.log_odds(evidence) + 1e-9


@given(factor=st.floats(-10.0, 10.0), sigma=st.floats(0.001, 1.0), cost=st.floats(0.0, 1e6),
       gap=st.floats(0.0, 100.0), residual=st.floats(0.0, 10.0))
def test_odds_are_always_finite_and_bounded_below(factor, sigma, cost, gap, residual):
    odds = MODEL.log_odds(TouchEvidence(factor, sigma, cost, gap, face_residual=residual))
    assert math.isfinite(odds)
    assert APART_LOG_ODDS <= odds < 12


def test_a_hand_whose_rays_miss_the_head_is_judged_by_the_gap_in_the_picture():
    missing = replace(ON_CHEEK, depth_factor=math.inf)
    odds = [MODEL.log_odds(replace(missing, picture_gap=gap))
            for gap in (0.0, 0.05, 0.2, 0.5, 0.7, 100.0)]
    assert odds == sorted(odds, reverse=True)
    assert odds[-1] < odds[0] < 0.0  # a gap counts; but its absence alone makes no touch
    assert odds[-1] == APART_LOG_ODDS


def test_a_match_is_worth_more_when_the_size_is_known_and_the_fit_is_good():
    off = replace(ON_CHEEK, depth_factor=0.15)
    assert MODEL.log_odds(replace(off, size_sigma=0.01)) < MODEL.log_odds(off)
    assert MODEL.log_odds(replace(ON_CHEEK, fit_cost=150.0)) < MODEL.log_odds(ON_CHEEK)
    assert MODEL.noise(replace(ON_CHEEK, fit_cost=150.0)).sigma > MODEL.noise(ON_CHEEK).sigma


def test_a_face_that_could_not_be_fitted_says_little_about_depth():
    far = replace(ON_CHEEK, depth_factor=0.5)
    assert MODEL.log_odds(far) < MODEL.log_odds(replace(far, face_residual=0.024))


def test_a_finger_below_the_chin_touches_it_though_its_rays_end_at_the_neck():
    past_chin = replace(ON_CHEEK, depth_factor=0.3)
    close = replace(past_chin, beside_m=0.002)
    assert MODEL.log_odds(past_chin) < 0 < MODEL.log_odds(close)
    assert touch_factor(close, NOISE) == 0.0
    assert touch_factor(past_chin, NOISE) == 0.3
    assert MODEL.log_odds(replace(past_chin, beside_m=0.03)) == pytest.approx(
        MODEL.log_odds(past_chin))


def test_what_lies_far_behind_the_skin_may_be_no_touching_hand():
    behind = [MODEL.log_odds(replace(ON_CHEEK, depth_factor=-far)) for far in (0.1, 0.9, 2.0)]
    assert behind[0] > 0.0 > behind[1]
    assert behind[1:] == [DOUBT, DOUBT]


def test_a_gap_in_the_picture_speaks_against_a_touch():
    odds = [MODEL.log_odds(replace(ON_CHEEK, picture_gap=gap)) for gap in (0.02, 0.1, 0.2)]
    assert odds[0] > odds[1] > odds[2]


def test_the_weight_of_the_depth_is_never_negative():
    assert MODEL.odds[ODDS_FEATURES.index('likelihood')] >= 0.0


@pytest.mark.parametrize('text', ['', '{}', '{"mean": 1}', '[]'])
def test_a_file_that_is_no_model_is_refused(tmp_path, text):
    bad = tmp_path / 'touch_model.json'
    bad.write_text(text)
    with pytest.raises(AssetError, match='train it again'):
        load_touch_model(bad)
    data = json.loads(FILE.read_text())
    del data['odds']['gap']
    bad.write_text(json.dumps(data))
    with pytest.raises(AssetError):
        load_touch_model(bad)


@given(odds=st.floats(-1e3, 1e3))
def test_probability_is_a_probability(odds):
    assert 0.0 <= probability(odds) <= 1.0


def approaches(ratio: PersonRatio, factors: list[float], seconds: float) -> None:
    """Let hands come, stay and leave, one after the other."""
    for factor in factors:
        for _ in range(round(seconds * 30)):
            ratio.update('h', factor, NOISE, 0.5, 1 / 30)
        ratio.update('h', math.inf, NOISE, APART_LOG_ODDS, 1 / 30)


def test_a_person_s_ratio_is_learnt_over_several_approaches():
    """Hands 6 % larger than the mean seem to stop 6 % before the skin."""
    rng = np.random.default_rng(3)
    ratio = PersonRatio(0.06)
    approaches(ratio, [0.06 + rng.normal(0.0, 0.03) for _ in range(30)], APPROACH_S)
    assert ratio.mean == pytest.approx(0.06, abs=0.03)
    assert ratio.sigma < 0.045


def test_hands_seen_behind_the_skin_are_smaller_than_they_seem():
    ratio = PersonRatio(0.06)
    approaches(ratio, [-0.15] * 4, APPROACH_S)
    assert ratio.mean < -0.03


def test_what_was_learnt_starts_from_what_was_known():
    fresh, kept = PersonRatio(0.06), PersonRatio(0.03, 0.05)
    assert fresh.learnt() == (1.0, 0.06, 0.0)
    assert kept.learnt().hand_to_head == pytest.approx(math.exp(0.05))
    approaches(kept, [0.0] * 3, 2 * APPROACH_S)
    assert kept.learnt().approaches == pytest.approx(3.0)
    assert kept.learnt().hand_to_head == pytest.approx(math.exp(0.05), abs=0.02)
    assert kept.learnt().stddev < 0.03


def test_a_long_stay_is_no_more_evidence_than_a_short_one():
    short, long = PersonRatio(0.06), PersonRatio(0.06)
    approaches(short, [0.05], APPROACH_S)
    approaches(long, [0.05], 20 * APPROACH_S)
    assert long.mean == pytest.approx(short.mean, abs=1e-3)


def test_far_hands_teach_nothing_and_a_known_ratio_stays():
    ratio = PersonRatio(0.06)
    approaches(ratio, [0.6] * 5, APPROACH_S)
    assert ratio.mean == pytest.approx(0.0, abs=0.005)
    known = PersonRatio(0.015)
    approaches(known, [0.1] * 10, APPROACH_S)
    assert abs(known.mean) < 0.03


def test_the_first_frame_decides_alone():
    assert TouchTrack().update(Look(0.3, 0.0, 0.0), 0) == pytest.approx(probability(0.3))
    assert TouchTrack().update(Look(-0.3, 0.0, 0.0), 0) == pytest.approx(probability(-0.3))


def test_weak_evidence_does_not_turn_a_verdict():
    track = TouchTrack()
    track.update(Look(2.0, 0.0, 0.0), 0)
    for frame in range(1, 60):
        assert track.update(Look(-0.2, 0.0, 0.0), frame * FRAME_NS) >= 0.5
    for frame in range(60, 120):
        track.update(Look(-2.0, 0.0, 0.0), frame * FRAME_NS)
    assert not track.touching
    for frame in range(120, 180):
        assert track.update(Look(0.2, 0.0, 0.0), frame * FRAME_NS) < 0.5


def test_a_clear_touch_is_told_soon_after_long_hovering():
    track = TouchTrack()
    for frame in range(60):
        track.update(Look(-3.0, 0.3, 0.3), frame * FRAME_NS)
    told = next(frame for frame in range(60, 90)
                if track.update(Look(1.8, 0.0, 0.0), frame * FRAME_NS) >= 0.5)
    assert (told - 60) * FRAME_NS <= 150_000_000


@given(odds=st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=30))
def test_the_verdict_and_the_probability_agree(odds):
    track = TouchTrack()
    for frame, value in enumerate(odds):
        assert (track.update(Look(value, 0.05, 0.05), frame * FRAME_NS) >= 0.5) == track.touching


@pytest.mark.parametrize('stamp_ns', [int(FORGET_S * 1.1e9) + FRAME_NS, 0])
def test_a_gap_or_a_stamp_that_goes_back_starts_afresh(stamp_ns):
    track = TouchTrack()
    track.update(Look(5.0, 0.1, 0.1), FRAME_NS)
    assert track.update(Look(-0.5, 0.1, 0.1), stamp_ns) == pytest.approx(probability(-0.5))


def test_a_hand_that_leaves_goes_back_to_its_own_depth():
    track = TouchTrack()
    track.update(Look(3.0, 0.1, 0.1), 0)
    assert track.depth_shift == pytest.approx(0.1)
    shifts = [track.update(Look(-5.0, 0.1, 0.1), frame * FRAME_NS) and track.depth_shift
              for frame in range(1, 40)]
    assert all(b <= a + 1e-12 for a, b in zip(shifts, shifts[1:]))
    assert abs(track.depth_shift) < 1e-3


def frames_until(track: TouchTrack, touching: bool, looks: list[Look]) -> int:
    """Return how many of the looks, after half a second of the first one, turn the verdict."""
    for frame in range(15):
        track.update(looks[0], frame * FRAME_NS)
    assert track.touching is not touching
    for number, look in enumerate(looks):
        track.update(look, (15 + number) * FRAME_NS)
        if track.touching is touching:
            return number
    raise AssertionError('the verdict never turned')


def test_a_depth_that_changes_says_that_a_finger_leaves_while_the_depth_itself_does_not():
    leaving = [Look(1.5, 0.02 * n, 0.0, 0.0) for n in range(9)]
    assert frames_until(TouchTrack(), False, leaving) <= 5
    sideways = [Look(1.5, 0.0, 0.0, 0.03 * n) for n in range(9)]
    assert frames_until(TouchTrack(), False, sideways) <= 7


def test_errors_that_drift_end_no_touch():
    track = TouchTrack()
    assert all(track.update(Look(1.0, 0.1 * frame / 30, 0.0, 0.01), frame * FRAME_NS) >= 0.5
               for frame in range(60))


def passing(speed: float, frame: int) -> Look:
    """Return a hand that moves across the picture in front of the face, in face widths / s."""
    return Look(2.0, 0.0, 0.0, 0.0, np.array((speed * frame * FRAME_NS * 1e-9, 0.0)))


def test_a_hand_that_rushes_past_the_face_has_not_touched_it_but_one_that_stops_has():
    track = TouchTrack()
    for frame in range(5):
        track.update(Look(-3.0, 0.3, 0.3, 0.3, passing(2.6, frame).place), frame * FRAME_NS)
    assert not any(track.update(passing(2.6, frame), frame * FRAME_NS) >= 0.5
                   for frame in range(5, 20))
    stopped = [track.update(passing(2.6, 20), frame * FRAME_NS) >= 0.5
               for frame in range(20, 30)]
    assert stopped.index(True) <= 5


def test_fingers_that_touch_may_rub():
    track = TouchTrack()
    track.update(passing(0.0, 0), 0)
    assert all(track.update(passing(4.0, frame), frame * FRAME_NS) >= 0.5
               for frame in range(1, 30))


def test_speed_needs_two_places_and_time_between_them():
    movement = Movement()
    for look, elapsed_s in ((passing(1.0, 0), math.inf), (Look(0.0), 0.1), (passing(1.0, 9), 0.1),
                            (passing(1.0, 20), 0.0)):
        movement.see(look, elapsed_s)
        assert movement.speed == 0.0
        assert movement.against_begin() == 0.0


def test_a_touch_fades_while_the_hand_is_not_seen():
    seen = Look(1.5, 0.0, 0.0, 0.0)
    assert frames_until(TouchTrack(), False, [seen] + [seen._replace(measured=False)] * 15) >= 4


def test_the_model_is_what_the_file_says():
    data = json.loads(FILE.read_text())
    assert isinstance(MODEL, LearnedTouchModel)
    assert dict(zip(ODDS_FEATURES, MODEL.odds)) == data['odds']


def test_the_depth_of_a_touch_is_calm_and_follows_a_hand_that_slides() -> None:
    rng, track = np.random.default_rng(0), TouchTrack()
    still, slides = [], []
    for frame in range(180):
        wanted = -0.1 - 0.002 * max(0, frame - 120)  # 0.06 a second: 36 mm/s at 0.6 m
        track.update(Look(5.0, 0.0, wanted + 0.004 * rng.normal()), frame * FRAME_NS)
        if 30 <= frame < 120:
            still.append(track.depth_shift)
        if frame >= 150:
            slides.append(track.depth_shift - wanted)
    assert np.std(still) < 0.001
    assert abs(float(np.mean(slides))) < 0.02
