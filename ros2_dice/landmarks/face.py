# SPDX-License-Identifier: Apache-2.0
"""The face landmark network: 468 points of one face."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ros2_dice.landmarks.crop import Region, fill, sample
from ros2_dice.landmarks.ssd import sigmoid
from ros2_dice.runtime import Engine, require_shapes
from ros2_dice.types import Frame

ASSET = 'face_landmark'
_SIZE = 192
_INPUT, _POINTS, _SCORE = 'input_1', 'conv2d_21', 'conv2d_31'
_BORDER = 128
"""Grey level outside of the picture, for known faces. A continued edge looks like hair: a face
cut off at the forehead is then taken for a smaller one."""


@dataclass(frozen=True, eq=False)
class FaceObservation:
    """One face as the network sees it in one frame; not smoothed."""

    points_px: npt.NDArray[np.float32] = field(repr=False)
    """(468, 2) image points [px]; the centre of the first pixel lies at 0.5."""
    depth_px: npt.NDArray[np.float32] = field(repr=False)
    """(468,) relative depth in image pixels, away from the camera, about the head's centre."""
    score: float
    """Probability that this is a face."""
    roi: Region
    """The square that the network was shown."""


class FaceNetwork:
    """
    The network with its input square.

    Raises:
        EngineError: the engine's tensors are not those of this network.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        require_shapes(engine, ASSET, {_INPUT: (1, _SIZE, _SIZE, 3)},
                       {_POINTS: (1, 1, 1, 1404), _SCORE: (1, 1, 1, 1)})

    def observe(self, frame: Frame, region: Region, *, doubt: bool = False) -> FaceObservation:
        """
        Return the landmarks in a region, whatever their score.

        In a mirrored region the network sees the mirror image: the points lie right, but left and
        right have changed names. Only its score and outline are of use.

        Args:
            doubt: ask whether there is a face at all. The picture's edge is continued then: with
                grey beyond it, other things pass for faces.
        """
        buffer = self._engine.buffer(_INPUT)
        fill(buffer, sample(frame, region, _SIZE, border=None if doubt else _BORDER),
             signed=False)
        result = self._engine.infer({_INPUT: buffer})
        raw = result[_POINTS].reshape(468, 3).astype(np.float64)
        return FaceObservation(
            region.to_image(raw[:, :2], _SIZE).astype(np.float32),
            (raw[:, 2] * (region.size_px / _SIZE)).astype(np.float32),
            float(sigmoid(result[_SCORE].reshape(1))[0]), region)

    def close(self) -> None:
        """Release the network."""
        self._engine.close()
