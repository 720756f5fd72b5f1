# SPDX-License-Identifier: Apache-2.0
"""The crops that are made on a device are those that are made on the host."""
from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from ros2_dice.dice.preprocess import STD, Square, network_input
from ros2_dice.types import Frame

torch = pytest.importorskip('torch')
device_input = pytest.importorskip('ros2_dice.dice.device_input')

SQUARES = [Square(100, 40, 500), Square(-60, -30, 300), Square(600, 300, 200, True),
           Square(10, 20, 224), Square(200, 100, 90)]


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_agrees_with_the_host_within_a_grey_level(order: Literal['rgb', 'bgr']) -> None:
    rng = np.random.default_rng(2)
    rough = rng.integers(0, 256, (60, 80, 3)).astype(np.float32)
    pixels = np.kron(rough, np.ones((8, 9, 1))).astype(np.uint8)
    pixels = np.clip(pixels + rng.integers(-9, 10, pixels.shape), 0, 255).astype(np.uint8)
    wanted = network_input(Frame(pixels, 0, channel_order=order), SQUARES)
    found = device_input.device_input(torch.from_numpy(pixels), SQUARES, rgb=order == 'rgb')
    levels = np.abs(found.numpy() - wanted) * 255.0 * STD[:, None, None]
    assert found.shape == wanted.shape
    assert levels.max() < 1.01
    assert (levels > 0.01).mean() < 0.01


def test_the_filter_keeps_a_flat_picture_flat() -> None:
    for length in (50, 224, 1000):
        weights = device_input.resize_weights(length, torch.device('cpu'))
        assert weights.shape == (224, length)
        torch.testing.assert_close(weights.sum(1), torch.ones(224))
