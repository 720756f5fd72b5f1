# SPDX-License-Identifier: Apache-2.0
"""Which squares the network is shown."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin_scene import face, tracked

from ros2_dice.dice.crops import HEADS, square_around, united
from ros2_dice.dice.preprocess import Square
from ros2_dice.types import Handedness

SIZE = (640, 480)
HAND = tracked('h0001', Handedness.RIGHT, 300.0).observation


@given(cx=st.floats(0, 640), cy=st.floats(0, 480), size=st.floats(10, 460),
       margin=st.floats(0, 1))
def test_it_holds_what_is_in_the_picture_and_stays_in_it(cx, cy, size, margin):
    seen = face(cx, cy, size)
    square = square_around(seen, HAND, margin, SIZE, False)
    points = np.concatenate((seen.points_px, HAND.points_px))
    low = np.clip(points.min(0), 0, SIZE) + 1.5
    high = np.clip(points.max(0), 0, SIZE) - 1.5
    left, top, side, _ = square
    assert (low >= (left, top)).all()
    assert (high <= (left + side, top + side)).all()
    if side <= min(SIZE):
        assert left >= -1
        assert top >= -1
        assert left + side <= SIZE[0] + 1
        assert top + side <= SIZE[1] + 1


def test_a_small_head_gets_generous_room():
    seen = face(320.0, 240.0, 60.0)
    square = square_around(seen, None, 0.2, SIZE, False)
    assert square.size_px > HEADS * 60.0
    assert abs(square.left_px + 0.5 * square.size_px - 320.0) < 2.0
    assert square_around(None, HAND, 0.2, SIZE, False).size_px > 200


@pytest.mark.parametrize('mirrored', [False, True])
def test_it_rests_for_small_changes_only(mirrored):
    last = square_around(face(320.0, 240.0, 100.0), None, 0.2, SIZE, mirrored)
    assert square_around(face(322.0, 239.0, 101.0), None, 0.2, SIZE, mirrored, last) is last
    assert square_around(face(350.0, 240.0, 100.0), None, 0.2, SIZE, mirrored, last) != last
    assert square_around(face(320.0, 240.0, 100.0), None, 0.2, SIZE, not mirrored, last) != last


def test_the_box_around_squares_is_cut_to_the_picture():
    assert united([Square(-20, 30, 100), Square(60, 60, 700)], SIZE) == (0, 30, 640, 450)
    assert united([Square(-200, -200, 100)], SIZE) == (0, 0, 0, 0)
