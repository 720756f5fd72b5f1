# SPDX-License-Identifier: Apache-2.0
"""Crop, network and bodies in one go give what the estimator's own steps give."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ros2_dice.bodies import ParametricHand, ParametricHead, load_open_bodies
from ros2_dice.dice import standin_hand, standin_head
from ros2_dice.dice.formula import unit
from ros2_dice.dice.postprocess import Outputs, capture
from ros2_dice.dice.preprocess import Square, network_input
from ros2_dice.share import share_folder
from ros2_dice.types import Frame

torch = pytest.importorskip('torch')

SIZES = {'cam_param': (3,), 'rh_betas': (10,), 'rh_transl': (3,), 'rh_rot': (3,),
         'rh_pose': (45,), 'face_shape': (100,), 'face_exp': (50,), 'face_pose': (6,),
         'face_rot': (3,), 'face_transl': (3,),
         'deform_ungated': (5023, 3), 'hand_contact': (778, 1), 'head_contact': (5023, 1)}


@pytest.mark.parametrize('presence', [0.3, 0.8])
def test_agrees_with_crop_network_and_capture(presence: float) -> None:
    device_path = pytest.importorskip('ros2_dice.dice.device_path')
    from ros2_dice.dice.simplified import ParametricOutput

    class Network(torch.nn.Module):
        """Answers by formula, moved by the brightness of each colour."""

        def forward(self, image: Any) -> Any:
            bright = image.mean((1, 2, 3))
            values = {name: 0.1 * torch.from_numpy(unit(name, 1, size).astype(
                np.float32)) for name, size in SIZES.items()}
            rows = {name: value[None] * (1.0 + bright.reshape(-1, *(1,) * value.ndim))
                    for name, value in values.items()}
            for name in ('hand_contact', 'head_contact'):
                rows[name] = rows[name].abs() * 9.0
            return ParametricOutput(**rows, presence=torch.full((len(image), 1), presence))

    guides = load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')
    hand = ParametricHand(standin_hand(0), guides.hand_right)
    head = ParametricHead(standin_head(0), guides.head)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    frame = Frame(pixels, 0, channel_order='rgb')
    squares = [Square(10, 5, 60), Square(40, 20, 70)]
    path = device_path.DevicePath(device_path.MeshNetwork(Network(), hand, head), 120, 90,
                                  batch=2, threads=1)
    found = path.run(frame, squares)
    outputs = Network()(torch.from_numpy(network_input(frame, squares)))
    for row in range(2):
        wanted = capture(Outputs.row({name: value.numpy() for name, value in
                                      outputs._asdict().items()}, row), hand, head)
        np.testing.assert_allclose(found['hand'][row], wanted.hand.vertices_m, atol=1e-4)
        np.testing.assert_allclose(found['head'][row], wanted.deformed_head_m, atol=1e-4)
        np.testing.assert_allclose(found['hand_contact'][row], wanted.hand_contact, atol=1e-3)
        np.testing.assert_allclose(found['head_contact'][row], wanted.head_contact, atol=1e-3)
    assert not np.allclose(found['hand'][0], found['hand'][1], atol=1e-5)
    path.close()
