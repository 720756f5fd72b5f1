# SPDX-License-Identifier: Apache-2.0
"""The facade over time: sides, settled shapes, predictions, stamps, scale, mirror images."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ros2_dice.bodies import HandState, OpenBodies
from ros2_dice.evaluation.synthetic import CAMERA, Scene, observe
from ros2_dice.fitting import FittedHand, FittedPerson, PersonFitter, fit_hand
from ros2_dice.landmarks import (
    FaceSight,
    HandObservation,
    PersonObservation,
    Region,
    TrackedHand,
)
from ros2_dice.parameters import Settings
from ros2_dice.types import Camera, FloatArray, Handedness, ScaleSource, State

FRAME_NS = 33_333_333
RATE_HZ = 30.0


def hand_of(person: PersonObservation, **changes: object) -> PersonObservation:
    """Return the person with changes to its first hand's observation."""
    first = person.hands[0]
    hand = replace(first, observation=replace(first.observation, **changes))  # type: ignore
    return replace(person, hands=(hand, *person.hands[1:]))


def run(fitter: PersonFitter, scene: Scene, bodies: OpenBodies, frames: int, noise_px: float = 1.0,
        first: int = 0) -> list[FittedPerson]:
    """Return a still scene's fits, frame by frame."""
    rng = np.random.default_rng(first)
    return [fitter.fit([observe(scene, bodies, rng, noise_px)], CAMERA, number * FRAME_NS)[0]
            for number in range(first, first + frames)]


def moving_hand(bodies: OpenBodies, place: Callable[[float], FloatArray], seconds: float,
                noise_px: float, settings: Settings) -> tuple[FloatArray, list[FittedHand]]:
    """Return true wrists (N, 3) [m] and fits of an open palm that moves as `place` says."""
    rng, body = np.random.default_rng(0), bodies.hand_right
    camera = Camera(1280, 720, 900.0, 900.0, 640.0, 360.0)
    fitter = PersonFitter(bodies, settings)
    palm = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    truth, fits = [], []
    for number in range(int(seconds * RATE_HZ)):
        wrist = place(number / RATE_HZ)
        points = body.landmarks(HandState(palm, wrist, 0.0, body.angle_mean, np.zeros(10)))
        seen = HandObservation(
            (camera.project(points) + rng.normal(0.0, noise_px, (21, 2))).astype(np.float32),
            np.zeros(21, np.float32),
            (points - points.mean(axis=0) + rng.normal(0.0, 0.003, (21, 3))).astype(np.float32),
            0.95, 0.95, Region(0.0, 0.0, 1.0, 0.0))
        hand = TrackedHand('h0000', Handedness.RIGHT, 0.9, seen, True)
        person = PersonObservation('a0000', None, (hand,))
        fits.append(fitter.fit([person], camera, round(number * 1e9 / RATE_HZ))[0].hands[0])
        truth.append(wrist)
    return np.array(truth), fits


def test_a_hand_at_one_metre_a_second_lags_at_most_30_ms(bodies: OpenBodies) -> None:
    speed, reach = 1.0, 0.5

    def place(time_s: float) -> FloatArray:
        way = max(0.0, time_s - 1.0) * speed % (2 * reach)
        return np.array((min(way, 2 * reach - way) - reach / 2, 0.05, 0.8))

    truth, fits = moving_hand(bodies, place, 5.0, 1.0, Settings())
    found = np.array([fit.state.translation_m[0] for fit in fits])
    speeds = np.gradient(truth[:, 0]) * RATE_HZ
    steady = np.array([number > 35 and np.ptp(speeds[number - 5:number + 1]) < 1e-6
                       for number in range(len(speeds))])
    behind = (truth[:, 0] - found) * np.sign(speeds)
    assert steady.sum() > 40
    assert behind[steady].mean() / speed < 0.030


@pytest.mark.parametrize('axis', [0, 1])
def test_slow_motion_comes_through(bodies: OpenBodies, axis: int) -> None:
    """At 2 cm/s, under a pixel a frame, the hand is never more than 4 mm behind."""
    def place(time_s: float) -> FloatArray:
        where = np.array((0.0, 0.05, 0.8))
        where[axis] += 0.02 * max(0.0, time_s - 1.0)
        return where

    truth, fits = moving_hand(bodies, place, 5.0, 0.3, Settings())
    found = np.array([fit.state.translation_m[axis] for fit in fits])
    behind = (truth[:, axis] - found)[60:] - np.median((truth[:, axis] - found)[20:30])
    assert np.abs(behind).max() < 0.004
    assert found[-1] - found[30] == pytest.approx(truth[-1, axis] - truth[30, axis], rel=0.1)


def test_a_new_hand_does_not_creep_to_its_place(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    """The same landmarks again and again: the first fit is as good as the last one."""
    for scene in (scenes[6], scenes[10]):  # their costs have long, flat valleys
        seen = observe(scene, bodies, np.random.default_rng(0), 1.0)
        fitter = PersonFitter(bodies, Settings())
        hands = [fitter.fit([seen], CAMERA, number * FRAME_NS)[0].hands[0]
                 for number in range(12)]
        depths = np.array([hand.fit.state.translation_m[2] for hand in hands if hand.fit])
        assert len(depths) == 12
        assert np.ptp(depths) < 0.0003 * depths[-1]


def test_a_still_hand_and_head_stay_within_a_millimetre(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    """Landmark noise of 0.3 px is what sensor noise and shifts of half a pixel make."""
    for scene in scenes[:3]:
        people = run(PersonFitter(bodies, Settings()), scene, bodies, 100, noise_px=0.3)[20:]
        hands = np.array([person.hands[0].vertices_m for person in people], float)
        heads = np.array([person.head.vertices_m for person in people if person.head], float)
        assert len(heads) == len(people)
        for track, bound_mm in ((hands, 2.0), (heads, 1.0)):
            stray = np.sqrt(((track - track.mean(axis=0)) ** 2).sum(axis=-1).mean())
            assert 1e3 * stray < bound_mm


def test_settled_shapes_do_not_change_any_more(bodies: OpenBodies, scenes: list[Scene]) -> None:
    people = run(PersonFitter(bodies, Settings()), scenes[0], bodies, 90)
    assert people[-1].head is not None
    assert people[-1].head.identity_settled
    assert people[-1].hands[0].shape_settled
    for body in (people[-1].head, people[-1].hands[0]):
        assert body.fit is not None
    assert people[-2].head is not None
    np.testing.assert_array_equal(people[-1].head.state.identity, people[-2].head.state.identity)


@pytest.mark.parametrize('wrong', [0.35, 0.7])
def test_side_comes_from_the_shape_where_the_network_is_unsure(
        bodies: OpenBodies, scenes: list[Scene], wrong: float) -> None:
    rng, right = np.random.default_rng(0), 0
    for scene in scenes[:8]:
        fitter = PersonFitter(bodies, Settings())
        fitted = []
        for number in range(5):
            person = hand_of(observe(scene, bodies, rng, 1.0),
                             right_probability=1 - wrong if scene.left else wrong)
            fitted = fitter.fit([person], CAMERA, number * FRAME_NS)
        right += fitted[0].hands[0].body.left == scene.left
    assert right >= 7


def test_a_settled_side_changes_only_where_frames_in_a_row_say_so(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    """For a frame or two the network takes a hand for the other one; a lasting change counts."""
    fitter = PersonFitter(bodies, Settings())
    settled = run(fitter, scenes[0], bodies, 10)[-1].hands[0].body.left
    rng = np.random.default_rng(1)
    number, lefts = 10, []
    for is_mirrored in (*[True] * 2, *[False] * 10, *[True] * 6):
        person = observe(scenes[0], bodies, rng, 1.0)
        seen = person.hands[0].observation
        if is_mirrored:
            middle = seen.points_px.mean(axis=0)
            mirror = np.array((-1.0, 1.0, 1.0), np.float32)
            person = hand_of(person, points_px=(seen.points_px - middle) * mirror[:2] + middle,
                             world_m=seen.world_m * mirror,
                             right_probability=1.0 - seen.right_probability)
        lefts.append(fitter.fit([person], CAMERA, number * FRAME_NS)[0].hands[0].body.left)
        number += 1
    assert lefts[:12] == [settled] * 12
    assert lefts[-1] != settled


def test_lost_hand_is_predicted_then_forgotten(bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings({'tracking.timeout': 0.3}))
    last = run(fitter, scenes[0], bodies, 10)[-1]
    seen = observe(scenes[0], bodies, np.random.default_rng(0), 1.0)
    alone = replace(seen, hands=())
    states = []
    for number in range(10, 25):
        person = fitter.fit([alone], CAMERA, number * FRAME_NS)[0]
        states.append([hand.measured for hand in person.hands])
        for hand in person.hands:
            assert hand.fit is None
            assert np.linalg.norm(
                hand.state.translation_m - last.hands[0].state.translation_m) < 0.05
    assert states[0] == [State.PREDICTED]
    assert states[7] == [State.PREDICTED]
    assert states[-1] == []


def test_a_lost_hand_that_is_found_elsewhere_leaves_no_ghost(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    """A new hand of the lost one's side is that hand; one of the other side is not."""
    fitter = PersonFitter(bodies, Settings())
    run(fitter, scenes[0], bodies, 10)
    seen = observe(scenes[0], bodies, np.random.default_rng(0), 1.0)
    stale = replace(seen.hands[0], fresh=False)
    found = replace(seen.hands[0], hand_id='h0001')
    person = fitter.fit([replace(seen, hands=(stale, found))], CAMERA, 10 * FRAME_NS)[0]
    assert [hand.hand_id for hand in person.hands] == ['h0001']
    person = fitter.fit([replace(seen, hands=(stale, found))], CAMERA, 11 * FRAME_NS)[0]
    assert [hand.hand_id for hand in person.hands] == ['h0001']

    fitter = PersonFitter(bodies, Settings())
    run(fitter, scenes[0], bodies, 10)
    mirrored = found.observation.points_px * (-1, 1) + (CAMERA.width_px, 0)
    other = replace(found, observation=replace(
        found.observation, points_px=mirrored.astype(np.float32),
        world_m=found.observation.world_m * np.array((-1, 1, 1), np.float32),
        right_probability=1 - found.observation.right_probability))
    person = fitter.fit([replace(seen, hands=(stale, other))], CAMERA, 10 * FRAME_NS)[0]
    assert [hand.measured for hand in person.hands] == [State.PREDICTED, State.MEASURED]


def test_a_stale_observation_counts_as_not_seen(bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings())
    run(fitter, scenes[0], bodies, 3)
    seen = observe(scenes[0], bodies, np.random.default_rng(0), 1.0)
    stale = replace(seen, face_fresh=False, hands=(replace(seen.hands[0], fresh=False),))
    person = fitter.fit([stale], CAMERA, 3 * FRAME_NS)[0]
    assert person.head is not None
    assert person.head.measured == State.PREDICTED
    assert person.hands[0].measured == State.PREDICTED


def test_everybody_lost_is_predicted_then_nobody(bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings())
    run(fitter, scenes[0], bodies, 3)
    assert len(fitter.fit([], CAMERA, 4 * FRAME_NS)) == 1
    assert fitter.fit([], CAMERA, 40 * FRAME_NS) == ()


def test_a_moving_hand_goes_on_for_a_moment(bodies: OpenBodies) -> None:
    body = bodies.hand_right
    _, fits = moving_hand(
        bodies, lambda time_s: np.array((0.5 * time_s - 0.3, 0.05, 0.8)), 1.0, 0.5, Settings())
    assert fits[-1].body is body
    # The filter's own view of the motion is what a prediction uses.
    fitter = PersonFitter(bodies, Settings({'tracking.timeout': 1.0}))
    camera = fits[-1].camera
    for number, fit in enumerate(fits):
        assert fit.observation is not None
        hand = TrackedHand('h0000', Handedness.RIGHT, 0.9, fit.observation, True)
        fitter.fit([PersonObservation('a', None, (hand,))], camera, round(number * 1e9 / RATE_HZ))
    predicted = fitter.fit([], camera, round((len(fits) + 2) * 1e9 / RATE_HZ))[0].hands[0]
    assert predicted.measured == State.PREDICTED
    step = predicted.state.translation_m[0] - fits[-1].state.translation_m[0]
    assert 0.01 < step < 0.06


@pytest.mark.parametrize('stamps', [[0] * 12, list(range(11, -1, -1)), [0, 5, 5, 4, 4, 100, 99]])
def test_stamps_that_stand_still_or_go_back(bodies: OpenBodies, scenes: list[Scene],
                                            stamps: list[int]) -> None:
    fitter, rng = PersonFitter(bodies, Settings()), np.random.default_rng(0)
    for stamp in stamps:
        people = fitter.fit([observe(scenes[0], bodies, rng, 1.0)], CAMERA, stamp * FRAME_NS)
        assert people[0].hands[0].measured == State.MEASURED
        assert np.isfinite(people[0].hands[0].vertices_m).all()
        assert people[0].head is not None
        assert np.isfinite(people[0].head.vertices_m).all()


def test_landmarks_that_are_not_finite_count_as_not_seen(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings())
    seen = observe(scenes[0], bodies, np.random.default_rng(0), 1.0)
    assert seen.face is not None
    broken = hand_of(seen, world_m=np.full((21, 3), np.nan, np.float32))
    points = seen.face.points_px.copy()
    points[5] = np.inf
    broken = replace(broken, face=replace(seen.face, points_px=points))
    assert fitter.fit([broken], CAMERA, 0) == ()
    run(fitter, scenes[0], bodies, 3)
    person = fitter.fit([broken], CAMERA, 4 * FRAME_NS)[0]
    assert person.hands[0].measured == State.PREDICTED


def test_scale_source_and_stddev(bodies: OpenBodies, scenes: list[Scene]) -> None:
    person = observe(scenes[0], bodies, np.random.default_rng(0), 1.0)
    guessed = Camera.from_fov(640, 480, 0.86)

    def fit(camera: Camera, **sizes: float) -> FittedPerson:
        settings = Settings({f'scale.{name}': value for name, value in sizes.items()})
        return PersonFitter(bodies, settings).fit([person], camera, 0)[0]

    known, prior = fit(CAMERA), fit(guessed)
    eyes = fit(CAMERA, interpupillary_distance=0.063)
    assert known.scale_source == ScaleSource.INTRINSICS
    assert prior.scale_source == ScaleSource.PRIOR
    assert eyes.scale_source == ScaleSource.CALIBRATED
    assert fit(guessed, hand_length=0.19).scale_source == ScaleSource.CALIBRATED
    depth_m = scenes[0].head.translation_m[2]
    assert 0.03 * depth_m < known.depth_stddev_m < 0.08 * depth_m
    assert eyes.depth_stddev_m < known.depth_stddev_m < prior.depth_stddev_m


def test_measured_sizes_scale_the_bodies(bodies: OpenBodies, scenes: list[Scene]) -> None:
    person = observe(scenes[0], bodies, np.random.default_rng(0), 1.0)
    length = bodies.hand_right.length_m(np.zeros(10))
    settings = Settings({'scale.hand_length': 1.1 * length,
                         'scale.interpupillary_distance': 1.05 * 0.0601})
    fitted = PersonFitter(bodies, settings).fit([person], CAMERA, 0)[0]
    assert fitted.hands[0].state.log_scale == pytest.approx(math.log(1.1), abs=0.01)
    assert fitted.head is not None
    assert fitted.head.state.log_scale == pytest.approx(math.log(1.05), abs=0.01)


def test_a_size_told_later_counts_at_once(bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings())
    before = run(fitter, scenes[0], bodies, 40)[-1].head
    fitter.apply(Settings({'scale.interpupillary_distance': 1.1 * 0.0601}))
    after = run(fitter, scenes[0], bodies, 1, first=40)[-1].head
    assert before is not None
    assert after is not None
    assert after.state.log_scale == pytest.approx(math.log(1.1), abs=0.01)
    assert after.state.translation_m[2] > 1.05 * before.state.translation_m[2]


def test_a_kept_ratio_moves_the_size_of_the_hands(bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings())
    before = run(fitter, scenes[0], bodies, 40)[-1].hands[0]
    fitter.apply(Settings({'scale.hand_to_head': math.exp(0.08),
                           'scale.hand_to_head_stddev': 0.02}))
    after = run(fitter, scenes[0], bodies, 60, first=40)[-1].hands[0]
    assert after.state.log_scale - before.state.log_scale == pytest.approx(0.08, abs=0.01)
    assert after.state.translation_m[2] > 1.05 * before.state.translation_m[2]


def test_the_same_input_gives_the_same_bytes(bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings())
    first = run(fitter, scenes[1], bodies, 12)[-1]
    fitter.reset()
    second = run(fitter, scenes[1], bodies, 12)[-1]
    np.testing.assert_array_equal(first.hands[0].vertices_m, second.hands[0].vertices_m)
    assert first.head is not None
    assert second.head is not None
    np.testing.assert_array_equal(first.head.vertices_m, second.head.vertices_m)


def test_a_clamped_depth_costs_more_and_moves_the_wrist(bodies: OpenBodies,
                                                        scenes: list[Scene]) -> None:
    hand = run(PersonFitter(bodies, Settings()), scenes[0], bodies, 5)[-1].hands[0]
    assert hand.fit is not None
    assert hand.observation is not None
    wanted = math.log(hand.fit.state.translation_m[2]) + 0.1
    moved = fit_hand(hand.body, hand.observation, hand.camera, hand.prior, start=hand.fit.state,
                     log_z=wanted, iterations=5, fixed_shape=hand.shape_settled)
    assert moved.cost > hand.fit.cost
    assert math.log(moved.state.translation_m[2]) == pytest.approx(wanted, abs=0.02)
    again = hand.with_state(moved.state)
    assert again.wrist_pose.position_m[2] == pytest.approx(math.exp(wanted), rel=0.03)
    np.testing.assert_allclose(again.joints.positions_m[1], again.wrist_pose.position_m)


def test_several_people_are_sorted_and_kept_apart(bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng, fitter = np.random.default_rng(0), PersonFitter(bodies, Settings())
    first = replace(observe(scenes[0], bodies, rng, 1.0), person_id='b')
    second = replace(observe(scenes[1], bodies, rng, 1.0), person_id='a')
    people = fitter.fit([first, second], CAMERA, 0)
    assert [person.person_id for person in people] == ['a', 'b']
    assert people[0].head is not None
    assert abs(people[0].head.state.translation_m[2] - scenes[1].head.translation_m[2]) < 0.1


def test_the_lost_give_way_to_those_seen(bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng, fitter = np.random.default_rng(0), PersonFitter(bodies, Settings())
    fitter.fit([observe(scenes[0], bodies, rng, 1.0)], CAMERA, 0)
    after_cut = replace(observe(scenes[1], bodies, rng, 1.0), person_id='other')
    people = fitter.fit([after_cut], CAMERA, FRAME_NS)
    assert [person.person_id for person in people] == ['other']


def test_smoothing_off_is_the_fit_itself(bodies: OpenBodies, scenes: list[Scene]) -> None:
    fitter = PersonFitter(bodies, Settings({'smoothing.enabled': False}))
    hand = run(fitter, scenes[0], bodies, 3)[-1].hands[0]
    assert hand.fit is not None
    np.testing.assert_array_equal(hand.state.angles_rad, hand.fit.state.angles_rad)
    np.testing.assert_allclose(hand.state.translation_m, hand.fit.state.translation_m)


def test_heads_may_be_fitted_before_the_hands_are_seen(bodies: OpenBodies,
                                                       scenes: list[Scene]) -> None:
    """With hands where they were foreseen the result is the same; strangers have to wait."""
    early, late = PersonFitter(bodies, Settings()), PersonFitter(bodies, Settings())
    for number in range(4):
        person = observe(scenes[0], bodies, np.random.default_rng(number), 1.0)
        assert person.face is not None
        sight = FaceSight(person.person_id, person.face,
                          tuple(hand.observation.points_px for hand in person.hands))
        ahead = early.fit_heads([sight], CAMERA, number * FRAME_NS)
        first = early.fit([person], CAMERA, number * FRAME_NS)[0]
        second = late.fit([person], CAMERA, number * FRAME_NS)[0]
        assert first.head is not None
        assert second.head is not None
        assert list(ahead.values()) == ([first.head] if number else [])
        np.testing.assert_array_equal(first.head.vertices_m, second.head.vertices_m)
        np.testing.assert_array_equal(first.hands[0].vertices_m, second.hands[0].vertices_m)
