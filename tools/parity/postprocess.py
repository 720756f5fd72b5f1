# SPDX-License-Identifier: Apache-2.0
"""
Bodies, centring, camera and filters beside those of a postprocess*.npz file.

The file holds inputs `in_*` and expected `out_*`; `_stride7` = every seventh vertex. The bodies
are the formula-made ones of the file's seed.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ros2_dice.bodies import ParametricHand, ParametricHead, load_open_bodies
from ros2_dice.dice.postprocess import (
    Behaviour,
    FrameOneEuro,
    Outputs,
    WeakCamera,
    capture,
    centred_on_head,
    contact_map,
    neck_cleared,
    network_hand_joints_m,
)
from ros2_dice.dice.standin import sample, standin_decimation, standin_hand, standin_head
from ros2_dice.errors import AssetError
from ros2_dice.share import share_folder
from ros2_dice.types import FloatArray
from tools.parity.report import Report

LENGTH_BOUND_M, PIXEL_BOUND_PX = 1e-7, 1e-5
_VIEW_PX = 672


def compare_postprocess(stored: Mapping[str, np.ndarray], report: Report) -> None:
    """
    Report the difference of each stored result from ours.

    Raises:
        AssetError: the arrays are not those of such a file.
    """
    seed, frames = (stored.get(name) for name in ('seed', 'in_cam_param'))
    if seed is None or frames is None:
        raise AssetError('the file', expected='a postprocess*.npz: seed, in_* and out_*')
    guides = load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')
    hand = ParametricHand(standin_hand(int(seed)), guides.hand_right)
    head = ParametricHead(standin_head(int(seed)), guides.head)
    rows = [_frame(stored, row, hand, head, int(seed)) for row in range(len(frames))]
    found = {name: np.stack([row[name] for row in rows]) for name in rows[0]} | _smoothed(stored)
    for name, wanted in stored.items():
        if name.startswith('out_'):
            plain = name.removeprefix('out_')
            values = found.get(plain.removesuffix('_stride7'), np.zeros(0))
            report.compare(plain, values[:, ::7] if plain.endswith('_stride7') else values,
                           wanted, PIXEL_BOUND_PX if plain.startswith('uv') else LENGTH_BOUND_M)


def _frame(stored: Mapping[str, np.ndarray], row: int, hand: ParametricHand,
           head: ParametricHead, seed: int) -> dict[str, FloatArray]:
    """Return all results of one frame by their stored names, without a stride."""
    def given(name: str) -> FloatArray:
        return np.asarray(stored['in_' + name][row], np.float64)

    parts = ('cam_param', 'rh_betas', 'rh_transl', 'rh_rot', 'rh_pose', 'face_shape', 'face_exp',
             'face_pose', 'face_rot', 'face_transl')
    outputs = Outputs(
        **{name: given(name) for name in parts}, deform_ungated=given('deform'),
        hand_contact=given('hand_contact')[:, 0], head_contact=given('head_contact')[:, 0],
        presence=1.0)
    raw_hand = hand.posed(outputs.rh_betas, outputs.rh_rot, outputs.rh_pose, outputs.rh_transl)
    raw_head = head.posed(outputs.face_shape, outputs.face_exp, outputs.face_pose,
                          outputs.face_rot, outputs.face_transl)
    done = capture(outputs, hand, head, Behaviour.official_demo())
    masked = neck_cleared(outputs.deform_ungated, head)
    network = dict(zip(
        ('np_head_vs', 'np_head_vs_sub2', 'np_head_vs_sub1', 'np_hand_vs', 'np_hand_vs_sub',
         'np_head_joints', 'np_hand_joints'),
        centred_on_head(*(given(name) for name in (
            'head_vs', 'head_vs_sub2', 'head_vs_sub1', 'hand_vs', 'hand_vs_sub', 'head_joints',
            'hand_joints')))))
    joints = hand.joints_21_m(done.hand)
    matrices = standin_decimation(seed)
    result = {
        'raw_head_vs': raw_head.vertices_m,
        'raw_head_kps': head.landmarks_m(raw_head.vertices_m),
        'raw_hand_vs': raw_hand.vertices_m, 'raw_hand_kps': hand.joints_21_m(raw_hand),
        'head_vs_param': done.head.vertices_m, 'hand_vs_param': done.hand.vertices_m,
        'head_kps_param': done.head_landmarks_m, 'hand_kps_param': joints,
        'deform_masked': masked, 'head_vs_deformed': done.deformed_head_m, **network,
        'np_head_vs_deformed': network['np_head_vs'] - masked,
        'np_head_kps_from_model': head.landmarks_m(network['np_head_vs']),
        'np_hand_kps_from_model': network_hand_joints_m(network['np_hand_vs'], hand),
        'hand_vs_param_sub': sample(matrices['hand_D0'], done.hand.vertices_m),
        'head_vs_param_sub2': sample(
            matrices['head_D1'], sample(matrices['head_D0'], done.head.vertices_m)),
        'hand_contact_map': contact_map(given('hand_contact')),
        'head_contact_map': contact_map(given('head_contact'))}
    camera = WeakCamera.from_output(outputs.cam_param)
    for name in ('hand_vs_param', 'head_vs_deformed', 'hand_kps_param', 'head_kps_param',
                 'np_hand_joints', 'np_head_joints', 'np_hand_kps_from_model',
                 'np_head_kps_from_model'):
        result[f'uv_{name}'] = camera.project(result[name])
    result['uv672_hand_kps_param'] = camera.project(joints, _VIEW_PX)
    return result


def _smoothed(stored: Mapping[str, np.ndarray]) -> dict[str, FloatArray]:
    """Return the filtered series: as in the script, and with seconds for time and beta 0.7."""
    found = {}
    for name, series, times in (
            ('euro_default', FrameOneEuro(), 'in_euro_t'),
            ('euro_beta', FrameOneEuro(beta=0.7, d_cutoff=1.0), 'in_euro_t2')):
        if times in stored:
            found[name] = np.stack([series.update(values, float(time)) for values, time in zip(
                stored['in_euro_x'], stored[times])])
    return found
