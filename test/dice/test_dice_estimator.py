# SPDX-License-Identifier: Apache-2.0
"""The dice estimator on scripted people and answers; the network itself is tested elsewhere."""
from __future__ import annotations

import math

import numpy as np
import pytest
from standin_scene import (
    CAMERA,
    SETTINGS,
    WIDTH,
    answer,
    face,
    frame_at,
    make,
    model,
    person,
    tracked,
)

from ros2_dice import dice_estimator
from ros2_dice.dice.placement import seen_at_px
from ros2_dice.errors import AssetError, EstimatorError
from ros2_dice.estimator import create_estimator
from ros2_dice.landmarks import PersonObservation
from ros2_dice.parameters import Settings
from ros2_dice.stamps import NOMINAL_STEP_NS
from ros2_dice.types import Camera, Handedness, ScaleSource, State

RIGHT, LEFT = Handedness.RIGHT, Handedness.LEFT
MIRROR = np.array((-1.0, 1.0, 1.0))


def test_one_hand_and_face(monkeypatch):
    estimator, engine, tracker = make(monkeypatch, [answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 350.0)),)
    found, = estimator.estimate(frame_at())
    assert (found.person_id, found.hand_id, found.handedness) == ('p0000', 'h0001', RIGHT)
    assert found.state == State.MEASURED
    assert found.scale_source == ScaleSource.INTRINSICS
    assert found.hand is not None
    assert found.face is not None
    assert found.hand.vertices_m.shape == (778, 3)
    assert found.face.vertices_m.shape == (5023, 3)
    for body in (found.hand, found.face):
        assert body.vertices_m.dtype == np.float32
        assert np.isfinite(body.vertices_m).all()
        assert body.contact is not None
    assert {found.hand.topology_id, found.face.topology_id} <= {
        topology.topology_id for topology in estimator.topologies}
    assert found.contact_probability == pytest.approx(0.9)
    assert found.face.has_deformation
    assert found.face.deformation_m is not None
    assert found.max_deformation_m == pytest.approx(0.003, rel=1e-4)
    assert found.face.deformation_m[1050, 2] > 0.0029  # the network's -z is subtracted
    assert found.joints is not None
    np.testing.assert_allclose(found.joints.positions_m[1], found.wrist_pose.position_m)
    assert math.isfinite(found.min_distance_m)
    assert 0 < found.depth_stddev_m < 0.1
    assert found.contacts
    assert max(contact.probability for contact in found.contacts) == pytest.approx(0.8)
    assert estimator.model_id == 'dice_standin/scripted-fp32'
    assert {'crop', 'network', 'meshes', 'contact', 'total'} <= estimator.stage_times_s.keys()
    assert 0.5 < found.face.vertices_m[:, 2].mean() < 1.0
    estimator.close()
    assert engine.closed


def test_time_goes_on_where_stamps_stand_still(monkeypatch):
    estimator, _, tracker = make(monkeypatch, [answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 350.0)),)
    seen_ns = []
    observe = tracker.observe
    monkeypatch.setattr(tracker, 'observe',
                        lambda frame: [seen_ns.append(frame.stamp_ns), observe(frame)][1])
    for _ in range(3):
        estimator.estimate(frame_at(0))
    assert seen_ns == [0, NOMINAL_STEP_NS, 2 * NOMINAL_STEP_NS]
    estimator.reset()
    estimator.estimate(frame_at(0))
    assert seen_ns[-1] == 0


@pytest.mark.parametrize(('metres', 'limit_px'), [(20.0, 0.1), (2.0, 1.5), (0.7, 6.0)])
@pytest.mark.parametrize(('side', 'cx_px'), [(RIGHT, 180.0), (RIGHT, 420.0), (LEFT, 420.0)])
def test_the_camera_sees_them_where_the_network_does(monkeypatch, metres, limit_px, side, cx_px):
    """In pixels of the network's crop; the rest is perspective, which the network leaves out."""
    estimator, _, tracker = make(monkeypatch, [answer(metres=metres)])
    tracker.people = (person(tracked('h0001', side, cx_px), cx_px=cx_px),)
    found, = estimator.estimate(frame_at())
    memory = estimator._memories['p0000'].hands['h0001']
    assert memory.square is not None
    for body, seen in ((found.hand, memory.seen.hand.vertices_m),
                       (found.face, memory.seen.deformed_head_m)):
        if side == LEFT and body is found.face:  # other vertices have these places in a mirror
            seen = estimator._head.mirror.values(seen)
        wanted = seen_at_px(seen, memory.seen.camera, memory.square)
        off = np.linalg.norm(CAMERA.project(body.vertices_m.astype(float)) - wanted, axis=1)
        assert off.mean() * 224.0 / memory.square.size_px < limit_px


def test_a_mirrored_picture_gives_the_mirror_image(monkeypatch):
    """A left hand is a right one in a mirror, through crop, network, bodies and camera."""
    right, engine, tracker = make(monkeypatch, [answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 380.0), cx_px=400.0),)
    one, = right.estimate(frame_at())
    left, _, tracker = make(monkeypatch, [answer()])
    seen = person(tracked('h0001', LEFT, 380.0), cx_px=400.0)
    flip = np.array((-1.0, 1.0), np.float32), np.array((WIDTH, 0.0), np.float32)
    hand = seen.hands[0].observation
    hand.points_px[:] = hand.points_px * flip[0] + flip[1]
    assert seen.face is not None
    seen.face.points_px[:] = seen.face.points_px * flip[0] + flip[1]
    tracker.people = (seen,)
    other, = left.estimate(frame_at())
    np.testing.assert_allclose(other.hand.vertices_m, one.hand.vertices_m * MIRROR, atol=2e-6)
    np.testing.assert_allclose(other.wrist_pose.position_m, one.wrist_pose.position_m * MIRROR,
                               atol=1e-9)
    np.testing.assert_allclose(other.joints.positions_m, one.joints.positions_m * MIRROR,
                               atol=1e-6)
    assert other.hand.topology_id != one.hand.topology_id
    # The same head, up to the lumps of the stand-in, which is no mirror image of itself.
    np.testing.assert_allclose(other.face.vertices_m.mean(0),
                               one.face.vertices_m.mean(0) * MIRROR, atol=0.01)
    assert other.max_deformation_m == pytest.approx(one.max_deformation_m, rel=0.05)
    assert other.min_distance_m == pytest.approx(one.min_distance_m, abs=0.005)


def test_two_hands_share_a_face(monkeypatch):
    rows = [answer(0), {**answer(0), 'deform_ungated': np.roll(
        answer(0)['deform_ungated'], 2000, axis=0)}]
    estimator, _, tracker = make(monkeypatch, rows)
    tracker.people = (person(tracked('h0002', RIGHT, 350.0), tracked('h0001', LEFT, 290.0)),)
    left, right = estimator.estimate(frame_at())
    assert (left.hand_id, right.hand_id) == ('h0001', 'h0002')
    np.testing.assert_array_equal(left.face.vertices_m, right.face.vertices_m)
    assert np.abs(left.face.deformation_m).max() == pytest.approx(0.003, abs=4e-4)
    assert not np.array_equal(left.face.deformation_m, right.face.deformation_m)
    assert left.face_pose == right.face_pose


def test_several_people_in_one_batch(monkeypatch):
    estimator, engine, tracker = make(monkeypatch, [answer(0), answer(1), answer(2)], batch=3)
    tracker.people = (person(tracked('h0001', RIGHT, 150.0), person_id='p0000', cx_px=150.0),
                      person(person_id='p0001', cx_px=330.0),
                      person(tracked('h0002', LEFT, 500.0), person_id='p0002', cx_px=500.0))
    found = estimator.estimate(frame_at())
    assert [one.person_id for one in found] == ['p0000', 'p0001', 'p0002']
    assert len(engine.batches) == 1
    assert found[1].hand is None
    assert math.isnan(found[1].contact_probability)
    assert found[1].face is not None
    assert found[1].face.contact is None


def test_a_hand_without_a_face_can_not_tell(monkeypatch):
    estimator, _, tracker = make(monkeypatch, [answer()])
    tracker.people = (PersonObservation('p0000', None, (tracked('h0001', RIGHT, 300.0),)),)
    found, = estimator.estimate(frame_at())
    assert found.face is None
    assert found.face_pose is None
    assert found.hand is not None
    assert found.hand.contact is None
    assert math.isnan(found.contact_probability)


def test_what_is_no_number_is_reported_and_not_returned(monkeypatch):
    bad = answer()
    bad['rh_pose'] = np.full(45, np.nan, np.float32)
    estimator, _, tracker = make(monkeypatch, [answer(), bad, answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    first = estimator.estimate(frame_at(0))
    with pytest.raises(EstimatorError, match='not finite') as caught:
        estimator.estimate(frame_at(33_000_000))
    assert 'fp32' in caught.value.next_step
    again = estimator.estimate(frame_at(66_000_000))
    np.testing.assert_array_equal(again[0].hand.vertices_m, first[0].hand.vertices_m)


def test_one_hand_that_is_no_number_does_not_take_the_other_along(monkeypatch):
    bad = {**answer(), 'rh_transl': np.full(3, np.nan, np.float32)}
    estimator, _, tracker = make(monkeypatch, [answer(), bad, answer(), bad, answer(), answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0), tracked('h0002', RIGHT, 400.0)),)
    only, = estimator.estimate(frame_at(0))
    assert (only.hand_id, only.state) == ('h0001', State.MEASURED)
    only, = estimator.estimate(frame_at(33_000_000))  # still without a sight of the other
    assert only.hand_id == 'h0001'
    both = estimator.estimate(frame_at(66_000_000))
    assert [(one.hand_id, one.state) for one in both] == [
        ('h0001', State.MEASURED), ('h0002', State.MEASURED)]


def test_a_known_hand_that_is_no_number_is_predicted(monkeypatch):
    bad = {**answer(), 'rh_transl': np.full(3, np.nan, np.float32)}
    estimator, _, tracker = make(monkeypatch, [answer(), answer(), answer(), bad])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0), tracked('h0002', RIGHT, 400.0)),)
    before = estimator.estimate(frame_at(0))
    first, second = estimator.estimate(frame_at(33_000_000))
    assert (first.state, second.state) == (State.MEASURED, State.PREDICTED)
    assert np.isfinite(second.hand.vertices_m).all()
    np.testing.assert_allclose(second.hand.vertices_m, before[1].hand.vertices_m, atol=1e-5)


def test_a_camera_of_no_scale_is_nowhere(monkeypatch):
    lost = {**answer(), 'cam_param': np.zeros(3, np.float32)}
    estimator, _, tracker = make(monkeypatch, [lost, answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    assert estimator.estimate(frame_at(0)) == ()
    assert len(estimator.estimate(frame_at(33_000_000))) == 1


def test_a_hand_out_of_sight_is_predicted_without_the_network(monkeypatch):
    estimator, engine, tracker = make(monkeypatch, [answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    first, = estimator.estimate(frame_at(0))
    tracker.people = (person(tracked('h0001', RIGHT, 300.0, fresh=False)),)
    later, = estimator.estimate(frame_at(33_000_000))
    assert engine.asked == 1
    assert later.state == State.PREDICTED
    np.testing.assert_array_equal(later.hand.vertices_m, first.hand.vertices_m)
    tracker.people = ()
    assert estimator.estimate(frame_at(66_000_000)) == ()
    assert not estimator._memories


def test_the_same_frames_give_the_same_bytes(monkeypatch):
    runs = []
    for _ in range(2):
        estimator, _, tracker = make(monkeypatch, [answer(0), answer(1), answer(2)],
                                     SETTINGS.replace({'smoothing.enabled': True}))
        tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
        runs.append([estimator.estimate(frame_at(n * 33_000_000))[0] for n in range(3)])
    for one, other in zip(*runs):
        assert one.hand.vertices_m.tobytes() == other.hand.vertices_m.tobytes()
        assert one.face.vertices_m.tobytes() == other.face.vertices_m.tobytes()


def test_smoothing_calms_and_reset_forgets(monkeypatch):
    rows = [answer(0, offset=(0.05 + 0.004 * (-1) ** n, 0.04, -0.1)) for n in range(20)]

    def trembling(settings: Settings) -> float:
        estimator, _, tracker = make(monkeypatch, rows, settings)
        tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
        wrists = [estimator.estimate(frame_at(n * 33_000_000))[0].wrist_pose.position_m
                  for n in range(20)]
        return float(np.std(np.diff(wrists[8:], axis=0)))

    assert trembling(SETTINGS.replace({'smoothing.enabled': True})) < 0.5 * trembling(SETTINGS)
    estimator, _, tracker = make(monkeypatch, [answer(0), answer(5)],
                                 SETTINGS.replace({'smoothing.enabled': True}))
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    estimator.estimate(frame_at(0))
    estimator.reset()
    assert tracker.resets == 2  # one at the start
    after, = estimator.estimate(frame_at(33_000_000))
    fresh, _, tracker = make(monkeypatch, [answer(5)])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    np.testing.assert_allclose(after.hand.vertices_m,
                               fresh.estimate(frame_at(0))[0].hand.vertices_m, atol=1e-6)


def test_live_parameters(monkeypatch):
    estimator, _, tracker = make(monkeypatch, [answer(presence=0.4)])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    shut, = estimator.estimate(frame_at(0))
    assert shut.face.has_deformation
    assert shut.face.deformation_m is None
    assert shut.max_deformation_m == 0.0
    assert shut.face.contact.max() == pytest.approx(0.4)
    estimator.apply(SETTINGS.replace({'dice.presence_threshold': 0.2,
                                      'dice.contacts_within_presence': False}))
    open_, = estimator.estimate(frame_at(33_000_000))
    assert open_.max_deformation_m > 0.002
    assert open_.face.contact.max() == pytest.approx(0.8)


def test_a_measured_size_moves_them_and_leaves_their_image(monkeypatch):
    estimator, _, tracker = make(monkeypatch, [answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    plain, = estimator.estimate(frame_at(0))
    length = estimator._right.length_m(answer()['rh_betas'])
    estimator.apply(SETTINGS.replace({'scale.hand_length': min(0.3, 1.1 * length)}))
    larger, = estimator.estimate(frame_at(33_000_000))
    factor = min(0.3, 1.1 * length) / length
    np.testing.assert_allclose(larger.hand.vertices_m, factor * plain.hand.vertices_m, rtol=1e-4)
    np.testing.assert_allclose(larger.face.vertices_m, factor * plain.face.vertices_m, rtol=1e-4)
    assert larger.scale_source == ScaleSource.CALIBRATED
    assert larger.depth_stddev_m < plain.depth_stddev_m


def test_a_nominal_lens_is_said(monkeypatch):
    estimator, _, tracker = make(monkeypatch, [answer()])
    tracker.people = (person(tracked('h0001', RIGHT, 300.0)),)
    with_lens, = estimator.estimate(frame_at(0))
    nominal, = estimator.estimate(frame_at(33_000_000, camera=None))
    assert nominal.scale_source == ScaleSource.PRIOR
    assert nominal.depth_stddev_m > with_lens.depth_stddev_m
    fov = Camera.from_fov(640, 480, 1.05)
    assert nominal.face.vertices_m[:, 2].mean() == pytest.approx(
        with_lens.face.vertices_m[:, 2].mean() * fov.fx_px / CAMERA.fx_px, rel=0.05)


def test_the_official_demo_looks_at_the_middle(monkeypatch):
    settings = SETTINGS.replace({'dice.official_demo': True,
                                 'tracking.deterministic_ids': True})
    estimator, engine, tracker = make(monkeypatch, [answer(presence=0.1)], settings)
    assert tracker is None
    found, = estimator.estimate(frame_at())
    assert (found.person_id, found.hand_id, found.handedness) == ('a0000', 'a0001', RIGHT)
    assert (found.roi.x_px, found.roi.y_px, found.roi.width_px) == (80, 0, 480)
    assert found.max_deformation_m > 0.002  # its gate never shuts
    assert estimator.estimate(frame_at(33_000_000))[0].hand_id == 'a0001'


def test_the_square_rests_while_landmarks_tremble(monkeypatch):
    estimator, _, tracker = make(monkeypatch, [answer()])
    squares = set()
    for frame in range(6):
        tracker.people = (person(tracked('h0001', RIGHT, 300.0 + frame % 2), cx_px=320.0),)
        squares.add(estimator.estimate(frame_at(frame * 33_000_000))[0].roi)
    assert len(squares) == 1


@pytest.mark.parametrize(('name', 'error', 'words'), [
    ('dice', AssetError, 'ros2-dice import'), ('nonesuch', EstimatorError, 'nonesuch')])
def test_without_weights_it_says_the_next_command(tmp_path, name, error, words):
    with pytest.raises(error, match=words):
        create_estimator(Settings({'model.id': name, 'model.directory': str(tmp_path)}))


def test_bodies_of_another_kind_are_refused(monkeypatch):
    monkeypatch.setattr(dice_estimator, 'HAND_VERTICES', 777)
    with pytest.raises(AssetError, match='778 vertices'):
        dice_estimator.DiceEstimator(SETTINGS, model())


def test_a_face_far_from_the_middle_stays_in_the_square(monkeypatch):
    estimator, _, tracker = make(monkeypatch, [answer()])
    for cx_px in (40.0, 320.0, 600.0):
        tracker.people = (PersonObservation('p0000', face(cx_px=cx_px), ()),)
        roi = estimator.estimate(frame_at())[0].roi
        assert roi.x_px >= 0
        assert roi.x_px + roi.width_px <= WIDTH
        assert roi.x_px <= max(cx_px - 60, 0)
        assert roi.x_px + roi.width_px >= min(cx_px + 60, WIDTH)
