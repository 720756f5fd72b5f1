# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ros2_dice.evaluation.events import NO_EVENTS, runs, score_events

TIMES_S = [0.01 * n for n in range(100)]


def said(*spans):
    answer = np.zeros(100, bool)
    for first, end in spans:
        answer[first:end] = True
    return answer.tolist()


def test_runs_of_true():
    assert runs([True, True, False, True]) == [(0, 2), (3, 4)]
    assert runs([]) == []
    assert runs([False]) == []


def test_delays_of_begin_and_end():
    found = score_events(TIMES_S, said((20, 60)), said((23, 58)))
    assert found.enter_s == pytest.approx((0.03,))
    assert found.leave_s == pytest.approx((-0.02,))
    assert (found.missed, found.invented) == (0, 0)


def test_missed_and_invented_touches():
    found = score_events(TIMES_S, said((20, 30)), said((40, 50), (60, 70)))
    assert (found.missed, found.invented, found.enter_s) == (1, 2, ())


def test_a_touch_said_in_pieces_ends_with_the_last():
    found = score_events(TIMES_S, said((20, 60)), said((22, 30), (40, 65)))
    assert found.enter_s == pytest.approx((0.02,))
    assert found.leave_s == pytest.approx((0.05,))
    assert found.invented == 0


def test_ends_of_the_clip_are_no_events():
    found = score_events(TIMES_S, said((0, 100)), said((5, 90)))
    assert (found.enter_s, found.leave_s) == ((), ())


def test_tolerance_comes_off_the_delay():
    found = score_events(TIMES_S, said((20, 60)), said((23, 55)), tolerance_s=0.04)
    assert found.enter_s == pytest.approx((0.0,))
    assert found.leave_s == pytest.approx((-0.01,))


def test_scores_add_up():
    one = score_events(TIMES_S, said((20, 60)), said((23, 58)))
    both = one + NO_EVENTS + one
    assert both.as_json()['enter_median_ms'] == pytest.approx(30)
    assert both.as_json()['enter_n'] == 2
    assert NO_EVENTS.as_json()['enter_median_ms'] is None
