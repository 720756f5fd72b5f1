# SPDX-License-Identifier: Apache-2.0
"""Where the hands of a body must be, when no palm shows: the whole body's wrists and fingers."""
from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ros2_dice.landmarks.crop import Region, fill, sample
from ros2_dice.landmarks.detect import Detector
from ros2_dice.landmarks.ssd import Detection, sigmoid
from ros2_dice.runtime import Engine, require_shapes
from ros2_dice.types import Frame

Points = npt.NDArray[np.float64]

ASSET = 'pose_landmark_full'
_SIZE = 256
_INPUT, _POINTS, _SCORE = 'input_1', 'Identity', 'Identity_1'
_DETECTED = 0.3
_HANDS = ((15, 17, 19), (16, 18, 20))
"""Wrist, little and index knuckle of the left and of the right hand."""
_VISIBLE = 0.5
_SCALES = (2.7, 2.1)
"""Sizes of the hand squares over twice the distance from wrist to knuckles."""


class BodyFinder:
    """
    Body detector and body landmark network.

    Raises:
        EngineError: the engine's tensors are not those of the network.
    """

    def __init__(self, detector: Detector, engine: Engine) -> None:
        self._detector = detector
        self._engine = engine
        require_shapes(engine, ASSET, {_INPUT: (1, _SIZE, _SIZE, 3)},
                       {_POINTS: (1, 195), _SCORE: (1, 1)})

    def hand_squares(self, frame: Frame, region: Region, most: int) -> list[Region]:
        """Return squares in which hands may be, of at most so many bodies in a region."""
        squares: list[Region] = []
        for body in self._detector.detect(frame, region, _DETECTED)[:most]:
            landmarks = self._landmarks(frame, body)
            if landmarks is None:
                continue
            points, visible = landmarks
            for wrist, little, index in _HANDS:
                if visible[wrist] >= _VISIBLE:
                    squares += _squares(points[wrist], points[little], points[index])
        return [square for square in squares if square.is_sane()]

    def _landmarks(self, frame: Frame, body: Detection) -> tuple[Points, Points] | None:
        """
        Return body points (35, 2) [px] and visibilities (35,), or None where nobody is.

        The last two points are the middle of a circle around the body and one on its rim.
        """
        points, visible = body.keypoints[:2], np.zeros(35)
        for _ in range(2):  # the second look is centred by the first one's landmarks
            square = _body_square(points[-2], points[-1])
            if not square.is_sane():
                return None
            buffer = self._engine.buffer(_INPUT)
            fill(buffer, sample(frame, square, _SIZE, border=0), signed=False)
            result = self._engine.infer({_INPUT: buffer})
            if float(result[_SCORE][0, 0]) < 0.5:
                return None
            raw = result[_POINTS].reshape(39, 5)[:35].astype(np.float64)
            points, visible = square.to_image(raw[:, :2], _SIZE), sigmoid(raw[:, 3])
        return points, visible

    def close(self) -> None:
        """Release both networks."""
        self._detector.close()
        self._engine.close()


def _body_square(middle: Points, rim: Points) -> Region:
    """Return the square of the circle around a body, hips in the middle, head up."""
    radius = rim - middle
    angle = 0.5 * math.pi - math.atan2(-radius[1], radius[0])
    return Region(float(middle[0]), float(middle[1]), 2.5 * float(np.hypot(*radius)), angle)


def _squares(wrist: Points, little: Points,
             index: Points) -> list[Region]:
    knuckles = (2.0 * index + little) / 3.0
    direction = knuckles - wrist
    angle = 0.5 * math.pi - math.atan2(-direction[1], direction[0])
    return [Region(float(knuckles[0]), float(knuckles[1]),
                   2.0 * scale * float(np.hypot(*direction)), angle) for scale in _SCALES]
