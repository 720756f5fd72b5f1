# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping

import numpy as np
import pytest

from ros2_dice.evaluation.metrics import Score
from ros2_dice.evaluation.mirror import compare, flipped
from ros2_dice.evaluation.touch import Seen
from ros2_dice.types import BodyEstimate, Frame, Handedness, HandFaceEstimate


class PaintedHands:
    """Stands for an estimator: reports a hand where the picture is red."""

    model_id, topologies = 'painted', ()

    def __init__(self, sides):
        self.sides = list(sides)
        self.stage_times_s: Mapping[str, float] = {}

    def reset(self):
        self.side = self.sides.pop(0)

    def apply(self, settings): ...

    def close(self): ...

    def estimate(self, frame):
        column = np.flatnonzero(frame.pixels[0, :, 0])[0] + 0.5 - frame.width_px / 2
        vertices = np.array([[column / 100, 0.0, 1.0], [column / 100, 0.1, 1.2],
                             [column / 100 + 0.1, 0.1, 1.1]])
        if column > 0:
            vertices[2, 0] -= 0.2
        return (HandFaceEstimate(person_id='a', hand_id='b', handedness=self.side,
                                 hand=BodyEstimate('t', vertices.astype(np.float32), 1.0)),)


def picture():
    pixels = np.zeros((4, 64, 3), np.uint8)
    pixels[:, 9, 0] = 255
    return Frame(pixels)


def test_flip_of_a_flip_is_the_picture():
    frame = picture()
    assert np.array_equal(flipped(flipped(frame.pixels)), frame.pixels)
    assert flipped(frame.pixels)[0, 54, 0] == 255


def test_mirrored_hand_of_the_other_side_agrees():
    pair, = compare(PaintedHands([Handedness.LEFT, Handedness.RIGHT]), picture())
    assert pair.sides_agree
    assert pair.distance_mm == pytest.approx(0.0, abs=1e-3)


def test_same_side_twice_does_not_agree():
    pair, = compare(PaintedHands([Handedness.LEFT, Handedness.LEFT]), picture())
    assert not pair.sides_agree
    assert np.isnan(pair.distance_mm)


def test_answer_of_a_frame():
    face = BodyEstimate('f', np.zeros((1, 3), np.float32), 1.0)
    hand = BodyEstimate('h', np.zeros((1, 3), np.float32), 1.0)
    landmarks = np.array([[0.0, 0.0], [100.0, 0.0]], np.float32)
    fingers = np.full((21, 2), 50.0, np.float32)
    fingers[8] = (103.0, 0.0)
    seen = Seen.of([
        HandFaceEstimate(person_id='a', hand_id='b', face=face, hand=hand,
                         contact_probability=0.7, face_landmarks_px=landmarks,
                         hand_landmarks_px=fingers),
        HandFaceEstimate(person_id='a', hand_id='c', face=face, hand=hand,
                         contact_probability=float('nan'))])
    assert (seen.faces, seen.hands, seen.probability) == (1, 2, 0.7)
    assert seen.tip_distance == pytest.approx(0.03)
    assert seen.naive_touch()
    assert seen.says_touch()
    assert not Seen.of([]).naive_touch()
    assert Score.of([seen.says_touch()], [True]).true_positive == 1
