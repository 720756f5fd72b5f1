# SPDX-License-Identifier: Apache-2.0
"""From outputs to meshes: the stored numbers, and each quirk alone."""
from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from ros2_dice.bodies import ParametricHand, ParametricHead, load_open_bodies
from ros2_dice.dice import standin_hand, standin_head
from ros2_dice.dice.postprocess import (
    Behaviour,
    Captured,
    FrameOneEuro,
    Outputs,
    WeakCamera,
    capture,
    network_hand_joints_m,
)
from ros2_dice.errors import AssetError
from ros2_dice.share import share_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.parity.postprocess import compare_postprocess
from tools.parity.report import Report


@pytest.fixture(scope='module')
def rigs() -> tuple[ParametricHand, ParametricHead]:
    guides = load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')
    return (ParametricHand(standin_hand(), guides.hand_right),
            ParametricHead(standin_head(), guides.head))


def outputs_of(seed: int, presence: float = 0.9) -> Outputs:
    rng = np.random.default_rng(seed)
    sizes = {'cam_param': 3, 'rh_betas': 10, 'rh_transl': 3, 'rh_rot': 3, 'rh_pose': 45,
             'face_shape': 100, 'face_exp': 50, 'face_pose': 6, 'face_rot': 3, 'face_transl': 3}
    values = {name: rng.normal(0.0, 0.3, size) for name, size in sizes.items()}
    return Outputs(**values, deform_ungated=rng.normal(0.0, 0.002, (5023, 3)),
                   hand_contact=rng.uniform(size=778), head_contact=rng.uniform(size=5023),
                   presence=presence)


def made(rigs: tuple[ParametricHand, ParametricHead], given: Outputs,
         behaviour: Behaviour | None = None) -> Captured:
    return capture(given, *rigs, behaviour or Behaviour())


def test_everything_is_the_published_one(shared_dice, capsys):
    report = Report()
    compare_postprocess(np.load(shared_dice / 'postprocess.npz'), report)
    assert report.finish() == 0, capsys.readouterr().out
    assert report.compared > 30


def test_a_file_of_something_else_is_refused():
    with pytest.raises(AssetError, match='postprocess'):
        compare_postprocess({'seed': np.array(0)}, Report())


def test_the_gate_takes_the_deformation_away(rigs):
    shut, open_ = outputs_of(1, presence=0.4), outputs_of(1, presence=0.6)
    assert not made(rigs, shut).deformation_m.any()
    assert made(rigs, open_).deformation_m.any()
    assert made(rigs, shut, Behaviour(presence_gate=False)).deformation_m.any()
    assert made(rigs, shut, Behaviour(presence_threshold=0.3)).deformation_m.any()
    demo = made(rigs, shut, Behaviour.official_demo())
    np.testing.assert_array_equal(demo.deformation_m, made(rigs, open_).deformation_m)


def test_deformation_is_subtracted_and_spares_the_neck(rigs):
    given = outputs_of(2)
    done = made(rigs, given)
    neck = np.zeros(5023, bool)
    neck[rigs[1].neck] = True
    np.testing.assert_array_equal(done.deformation_m[~neck], -given.deform_ungated[~neck])
    assert not done.deformation_m[neck].any()
    np.testing.assert_allclose(done.deformed_head_m - done.head.vertices_m, done.deformation_m,
                               atol=1e-15)


def test_no_vertex_is_likelier_to_touch_than_the_hand(rigs):
    given = outputs_of(3, presence=0.3)
    done = made(rigs, given)
    assert done.hand_contact.max() == done.head_contact.max() == 0.3
    loose = made(rigs, given, Behaviour(contacts_within_presence=False))
    np.testing.assert_array_equal(loose.hand_contact, given.hand_contact)


def test_the_origin_is_the_undeformed_head(rigs):
    done = made(rigs, outputs_of(4))
    np.testing.assert_allclose(done.head.vertices_m.mean(0), 0.0, atol=1e-12)


def test_both_joint_sets_keep_their_own_tips(rigs):
    hand = rigs[0]
    zero = hand.posed(np.zeros(10), np.zeros(3), np.zeros(45), np.zeros(3))
    mesh = zero.vertices_m
    network, own = network_hand_joints_m(mesh, hand), hand.joints_21_m(zero, tip_share=1.0)
    np.testing.assert_array_equal(network[[4, 8, 12, 16, 20]], mesh[[745, 317, 445, 556, 673]])
    np.testing.assert_allclose(own[16:], mesh[[744, 320, 443, 554, 671]], atol=1e-12)
    np.testing.assert_allclose(network[[1, 5, 9, 13, 17]], own[[13, 1, 4, 10, 7]], atol=1e-9)


def test_the_camera_scales_with_the_view():
    camera = WeakCamera.from_output(np.array((-30.0, 110.0, 100.0)))
    point = np.array((0.1, -0.05, 7.0))
    np.testing.assert_allclose(camera.project(point), (140.0, 85.0))
    np.testing.assert_allclose(camera.project(point, 448), (280.0, 170.0))


def test_the_scripts_filter_starts_at_zero():
    series = FrameOneEuro()
    share = 2 * np.pi / (2 * np.pi + 1)
    assert series.update(np.ones(1), 1.0)[0] == pytest.approx(share)
    assert series.update(np.ones(1), 2.0)[0] == pytest.approx(share + (1 - share) * share)


def test_a_row_is_finite_or_not(rigs):
    given = outputs_of(5)
    assert given.is_finite()
    for field in fields(Outputs):
        value = getattr(given, field.name)
        bad = np.nan if isinstance(value, float) else np.where(
            np.arange(value.size).reshape(value.shape) == 1, np.inf, value)
        assert not replace(given, **{field.name: bad}).is_finite()


def test_rows_are_taken_from_a_batch():
    both = [outputs_of(6), outputs_of(7)]
    batch = {field.name: np.stack([np.asarray(getattr(one, field.name)) for one in both])
             for field in fields(Outputs)}
    batch['hand_contact'] = batch['hand_contact'][..., None]
    batch['presence'] = batch['presence'][:, None].astype(np.float32)
    row = Outputs.row(batch, 1)
    np.testing.assert_array_equal(row.hand_contact, both[1].hand_contact)
    assert row.presence == pytest.approx(0.9)
