# SPDX-License-Identifier: Apache-2.0
"""MANO and FLAME from arrays: parity with the stored numbers, mirror images, regions, joints."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ros2_dice.bodies import OpenBodies, ParametricHand, parametric_hand
from ros2_dice.bodies.head_regions import head_regions
from ros2_dice.bodies.mirror import MirrorMap
from ros2_dice.bodies.parametric import MIRROR, corrected_left_shape, mirrored_arrays
from ros2_dice.dice import standin_hand
from ros2_dice.errors import AssetError

FIXTURE = Path(__file__).resolve().parents[3] / 'shared' / 'dice' / 'postprocess.npz'


@pytest.fixture(scope='module')
def stored():
    """The stored numbers of the specification."""
    if not FIXTURE.is_file():
        pytest.skip('no fixtures of DICE beside the repository')
    return np.load(FIXTURE)


@pytest.mark.parametrize('frame', range(3))
def test_hand_and_head_are_the_published_ones(stored, hand, head, frame):
    def given(name):
        return stored['in_' + name][frame]

    posed = hand.posed(given('rh_betas'), given('rh_rot'), given('rh_pose'), given('rh_transl'))
    np.testing.assert_allclose(posed.vertices_m, stored['out_raw_hand_vs'][frame], atol=1e-7)
    np.testing.assert_allclose(hand.joints_21_m(posed), stored['out_raw_hand_kps'][frame],
                               atol=1e-7)
    posed = head.posed(given('face_shape'), given('face_exp'), given('face_pose'),
                       given('face_rot'), given('face_transl'))
    np.testing.assert_allclose(posed.vertices_m[::7], stored['out_raw_head_vs_stride7'][frame],
                               atol=1e-7)
    np.testing.assert_allclose(head.landmarks_m(posed.vertices_m),
                               stored['out_raw_head_kps'][frame], atol=1e-7)


def random_hand(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {'shape': rng.normal(size=10), 'rotation_rad': rng.normal(size=3),
            'angles_rad': rng.normal(0.0, 0.4, 45), 'translation_m': rng.normal(0.0, 0.1, 3)}


@pytest.mark.parametrize('seed', range(3))
def test_left_is_the_mirror_image_of_right(hand, left, seed):
    given = random_hand(seed)
    right = hand.posed(**given)
    turned = np.array((1.0, -1.0, -1.0))
    mirrored = left.posed(given['shape'], given['rotation_rad'] * turned,
                          given['angles_rad'] * np.tile(turned, 15),
                          given['translation_m'] * MIRROR)
    np.testing.assert_allclose(mirrored.vertices_m, right.vertices_m * MIRROR, atol=1e-12)
    np.testing.assert_allclose(mirrored.joints_m, right.joints_m * MIRROR, atol=1e-12)
    np.testing.assert_allclose(mirrored.rotations, MIRROR[:, None] * right.rotations * MIRROR,
                               atol=1e-12)


def test_the_left_topology_is_another_one_and_faces_outwards(hand, left):
    assert hand.topology.topology_id.startswith('mano_hand_right_778_')
    assert left.topology.topology_id.startswith('mano_hand_left_778_')
    np.testing.assert_array_equal(left.regions, hand.regions)
    for body in (hand, left):
        corners = body.rest_vertices_m[body.faces]
        assert np.einsum('ij,ij->', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) > 0


def test_the_sign_error_of_the_published_left_shapes_is_mended(bodies, left):
    right = standin_hand()
    good = mirrored_arrays(right)
    bad = {**good, 'shapedirs': good['shapedirs'].copy()}
    bad['shapedirs'][:, 0, 0] *= -1.0  # as published: x of the first directions not mirrored
    bad['shapedirs'][:, 0, 3] *= -1.0
    for arrays in (bad, good):
        np.testing.assert_array_equal(
            corrected_left_shape(arrays['shapedirs'], right['shapedirs']), good['shapedirs'])
    mended = ParametricHand(right, bodies.hand_left, left=True, own_left=bad)
    np.testing.assert_array_equal(mended.shape_dirs, left.shape_dirs)
    assert mended.topology.topology_id == left.topology.topology_id


def test_an_uncorrected_left_hand_grows_the_wrong_way(bodies):
    """What the error does: across the hand, the same coefficient widens one side, narrows one."""
    right = standin_hand()
    wide = np.zeros((778, 3, 10))
    wide[:, 0, 0] = right['v_template'][:, 0]
    right['shapedirs'] = wide
    shape = np.eye(10)[0] * 0.1
    zero = np.zeros(3), np.zeros(45), np.zeros(3)
    bent = mirrored_arrays(right)
    bent['shapedirs'] = -bent['shapedirs']
    width = {}
    for name, arrays in (('good', mirrored_arrays(right)), ('bad', bent), ('right', right)):
        body = ParametricHand(arrays, bodies.hand_right)
        width[name] = np.ptp(body.posed(shape, *zero).vertices_m[:, 0])
    assert width['good'] == pytest.approx(width['right'])
    assert width['bad'] < 0.9 * width['right']


def pseudo_mano(bodies: OpenBodies) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The open hand's mesh and skeleton in the layout and joint order of MANO."""
    body = bodies.hand_right
    order = [0, 4, 5, 6, 7, 8, 9, 13, 14, 15, 10, 11, 12, 1, 2, 3]
    joints = body.rest_joints_m[order]
    # Any regressor that gives these joints: the least-norm one with rows that sum to one.
    points = np.column_stack((body.rest_vertices_m, np.ones(len(body.rest_vertices_m))))
    regressor = np.column_stack((joints, np.ones(16))) @ np.linalg.pinv(points)
    turn = Rotation.from_euler('xyz', (0.3, -1.2, 0.7)).as_matrix()
    count = len(points)
    return {'v_template': body.rest_vertices_m @ turn.T + (0.1, 0.0, -0.05),
            'shapedirs': np.zeros((count, 3, 10)), 'posedirs': np.zeros((count, 3, 135)),
            'J_regressor': regressor, 'weights': body.weights[:, order].astype(float),
            'faces': np.concatenate((body.faces, body.cap_faces)),
            'parents': np.array((-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14))}, turn


def test_regions_and_axes_do_not_depend_on_the_body_model(bodies, monkeypatch):
    """The open hand as a MANO in another frame gets back its own regions and OpenXR joints."""
    arrays, turn = pseudo_mano(bodies)
    own = bodies.hand_right
    tips = own.xr_rest_m[[5, 10, 15, 20, 25]]
    monkeypatch.setattr(parametric_hand, 'TIPS', np.linalg.norm(
        own.rest_vertices_m[None] - tips[:, None], axis=2).argmin(1))
    body = ParametricHand(arrays, own)
    assert body.region_names == own.region_names
    assert (body.regions == own.regions).mean() > 0.99
    zero = np.zeros(10), np.zeros(3), np.zeros(45), np.zeros(3)
    joints = body.openxr_joints(body.posed(*zero), np.zeros(10))
    moving = [index for index in range(26) if index not in (0, 6, 11, 16, 21)]  # not derived
    np.testing.assert_allclose(joints.positions_m[moving],
                               own.xr_rest_m[moving] @ turn.T + (0.1, 0.0, -0.05), atol=0.003)
    axes = Rotation.from_quat(joints.quaternions_xyzw).as_matrix()
    off = Rotation.from_matrix(axes.swapaxes(1, 2) @ (turn @ own.xr_axes)).magnitude()
    assert np.degrees(off[[1, 2, 3, 7, 8, 12, 13, 17, 18, 22, 23]]).max() < 0.01
    assert np.degrees(off[moving]).max() < 8.0  # the last bones end at a vertex


@pytest.mark.parametrize('seed', range(2))
def test_joints_follow_the_hand(hand, seed):
    given = random_hand(seed)
    posed = hand.posed(**given)
    joints = hand.openxr_joints(posed, given['shape'])
    np.testing.assert_allclose(joints.positions_m[1], posed.joints_m[0], atol=1e-12)
    np.testing.assert_allclose(joints.positions_m[[7, 8, 9]], posed.joints_m[[1, 2, 3]],
                               atol=1e-12)
    turn = Rotation.from_rotvec((0.2, 0.4, -0.3)).as_matrix()
    moved = hand.posed(**{**given, 'rotation_rad': Rotation.from_matrix(
        turn @ posed.rotations[0]).as_rotvec()})
    other = hand.openxr_joints(moved, given['shape'])
    np.testing.assert_allclose(other.positions_m - moved.joints_m[0],
                               (joints.positions_m - posed.joints_m[0]) @ turn.T, atol=1e-9)
    assert np.isfinite(joints.radii_m).all()
    assert (joints.radii_m >= 0).all()


def test_head_regions_are_carried_over_from_the_open_head(bodies):
    """A person of another shape, as another topology, keeps nine labels of ten and more."""
    head = bodies.head
    rng = np.random.default_rng(1)
    identity, expression = rng.normal(0.0, 0.7, head.identity_count), np.zeros(52)
    from ros2_dice.bodies import HeadState

    state = HeadState(Rotation.from_euler('y', 0.3).as_matrix(), np.array((0.1, 0.2, 0.3)), 0.05,
                      identity, expression)
    chosen = rng.permutation(len(head.regions))[:2000]
    found = head_regions(head.vertices(state)[chosen].astype(float),
                         head.landmarks(state)[head.landmarks_68], head)
    assert (found == head.regions[chosen]).mean() > 0.9


def test_a_mirrored_head_changes_sides(bodies):
    """The open head is symmetrical: its mirror image is itself, with left and right exchanged."""
    head = bodies.head
    mirror = MirrorMap(head.rest_vertices_m, head.faces)
    error = mirror.points(head.rest_vertices_m) - head.rest_vertices_m
    assert np.linalg.norm(error, axis=1).max() < 0.002
    left = (head.regions == head.region_names.index('ear_left')).astype(float)
    right = (head.regions == head.region_names.index('ear_right')).astype(float)
    assert np.abs(mirror.values(left) - right).mean() < 0.002
    one_sided = head.rest_vertices_m.copy()
    one_sided[:, 0] *= np.where(one_sided[:, 0] > 0, 1.2, 1.0)
    mirrored = mirror.points(one_sided)
    assert -mirrored[:, 0].min() == pytest.approx(one_sided[:, 0].max(), abs=0.002)
    corners = mirrored[head.faces]
    assert np.einsum('ij,ij->', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) > 0


@pytest.mark.parametrize(('change', 'word'), [
    ({'weights': None}, 'weights'), ({'v_template': np.zeros((778, 2))}, 'v_template'),
    ({'shapedirs': np.zeros((778, 3, 4))}, 'shapedirs'),
    ({'faces': np.full((4, 3), 778)}, 'faces'),
    ({'v_template': np.full((778, 3), np.nan)}, 'finite'),
    ({'parents': np.full(16, 15)}, 'parents')])
def test_wrong_arrays_are_refused(bodies, change, word):
    arrays = {name: values for name, values in {**standin_hand(), **change}.items()
              if values is not None}
    with pytest.raises(AssetError, match=word):
        ParametricHand(arrays, bodies.hand_right)
