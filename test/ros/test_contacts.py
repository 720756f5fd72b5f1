# SPDX-License-Identifier: Apache-2.0
"""Touches begin once and end once."""
import dataclasses

from fakes import estimate_of

from ros2_dice.ros.contacts import ContactState, TouchTracker

BEGAN, ONGOING, ENDED = ContactState.BEGAN, ContactState.ONGOING, ContactState.ENDED
STEP_NS = 33_000_000


def run(probabilities, threshold=0.5, area=1e-4):
    """States of the one touch, frame by frame; None where there is none."""
    tracker, states = TouchTracker(), []
    for number, probability in enumerate(probabilities):
        estimates = []
        if probability is not None:
            estimate = estimate_of(0, touch=probability)
            contact = dataclasses.replace(estimate.contacts[0], area_m2=area)
            estimates = [dataclasses.replace(estimate, contacts=(contact,))]
        touches = tracker.update(estimates, number * STEP_NS, threshold, 1e-5)
        states.append(touches[0].state if touches else None)
    return states


def test_a_touch_begins_goes_on_and_ends():
    assert run([0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]) == [
        None, BEGAN, ONGOING, ONGOING, ONGOING, ONGOING, ONGOING, ENDED, None]


def test_flicker_around_the_threshold_is_one_touch():
    states = run([0.6, 0.4, 0.6, 0.45, 0.55, 0.4, 0.6])
    assert states == [BEGAN] + [ONGOING] * 6


def test_short_gaps_are_one_touch():
    assert run([0.9, None, 0.0, 0.9, None, 0.9]) == [BEGAN] + [ONGOING] * 5


def test_below_the_threshold_or_area_nothing_begins():
    assert run([0.49] * 3) == [None] * 3
    assert run([0.9] * 3, area=1e-6) == [None] * 3


def test_duration_counts_from_the_beginning():
    tracker = TouchTracker()
    for number in range(4):
        touch, = tracker.update([estimate_of(0)], number * STEP_NS, 0.5, 0.0)
        assert touch.duration_ns(number * STEP_NS) == number * STEP_NS


def test_two_hands_are_two_touches():
    tracker = TouchTracker()
    pair = [estimate_of(0), estimate_of(0, hand_id='ccccc')]
    assert [t.hand_id for t in tracker.update(pair, 0, 0.5, 0.0)] == ['bbbbb', 'ccccc']


def test_all_end_at_once_when_nobody_looks_any_more():
    tracker = TouchTracker()
    assert not tracker.any_open
    tracker.update([estimate_of(0, hand_id='ccccc')], 0, 0.5, 0.0)
    tracker.reset()
    tracker.update([], STEP_NS, 0.5, 0.0)
    tracker.update([estimate_of(0, hand_id='ccccc'), estimate_of(0)], 0, 0.5, 0.0)
    assert tracker.any_open
    ended = tracker.end_all()
    assert [(t.hand_id, t.state) for t in ended] == [('bbbbb', ENDED), ('ccccc', ENDED)]
    assert not tracker.any_open
    assert tracker.end_all() == []
    touch, = tracker.update([estimate_of(0)], STEP_NS, 0.5, 0.0)
    assert touch.state == BEGAN


def test_reset_ends_open_touches_once():
    tracker = TouchTracker()
    tracker.update([estimate_of(0)], 10 * STEP_NS, 0.5, 0.0)
    tracker.reset()
    states = [t.state for t in tracker.update([estimate_of(0)], 0, 0.5, 0.0)]
    assert sorted(states) == [BEGAN, ENDED]
    touch, = tracker.update([estimate_of(0)], STEP_NS, 0.5, 0.0)
    assert touch.state == ONGOING
