# SPDX-License-Identifier: Apache-2.0
"""The hand landmark network: 21 points of one hand, in the picture and in metres."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ros2_dice.landmarks.crop import Region, fill, sample
from ros2_dice.runtime import Engine, OpenVinoEngine, require_shapes
from ros2_dice.types import Frame

ASSET = 'hand_landmark_full'
BONES = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (0, 9), (9, 10),
                  (10, 11), (11, 12), (0, 13), (13, 14), (14, 15), (15, 16), (0, 17), (17, 18),
                  (18, 19), (19, 20)])
"""(20, 2) landmarks at the ends of each bone: five chains from the wrist."""
_SIZE = 224
_INPUT, _POINTS, _PRESENCE, _RIGHT, _WORLD = (
    'input_1', 'Identity', 'Identity_1', 'Identity_2', 'Identity_3')
_OUTPUTS = {_POINTS: (1, 63), _PRESENCE: (1, 1), _RIGHT: (1, 1), _WORLD: (1, 63)}


@dataclass(frozen=True, eq=False)
class HandObservation:
    """One hand as the network sees it in one frame; not smoothed."""

    points_px: npt.NDArray[np.float32] = field(repr=False)
    """(21, 2) image points [px]; the centre of the first pixel lies at 0.5."""
    depth_px: npt.NDArray[np.float32] = field(repr=False)
    """(21,) depth relative to the wrist in image pixels, away from the camera."""
    world_m: npt.NDArray[np.float32] = field(repr=False)
    """(21, 3) [m], x right, y down, z away from the camera, about the hand's centre."""
    score: float
    """Probability that this is a hand."""
    right_probability: float
    """Probability that it looks like a right hand IN THE PICTURE; a mirror image flips it."""
    roi: Region
    """The square that the network was shown."""


class HandNetwork:
    """
    The network with its input square.

    Raises:
        EngineError: the engine's tensors are not those of this network.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        require_shapes(engine, ASSET, {_INPUT: (1, _SIZE, _SIZE, 3)},
                       _OUTPUTS)

    def observe(self, frame: Frame, region: Region) -> HandObservation:
        """
        Return the landmarks in a region, whatever their score.

        A mirrored region shows a left hand to the network as a right one; all that is returned
        is in the picture as it is.
        """
        return _observation(self._engine.infer(_filled(self._engine, frame, region)), region)

    def close(self) -> None:
        """Release the network."""
        self._engine.close()


class HandNetworkBeside:
    """
    The same in two parts, the first of which runs while other work is done.

    Args:
        first: the first part, of its own; nobody else may use it.
        second: what takes the first part's output.

    Raises:
        EngineError: the engines' tensors are not those of this network.
    """

    def __init__(self, first: OpenVinoEngine, second: Engine) -> None:
        require_shapes(first, ASSET, {_INPUT: (1, _SIZE, _SIZE, 3)}, {})
        require_shapes(second, ASSET, {}, _OUTPUTS)
        self._first, self._second = first, second
        self._region: Region | None = None

    def start(self, frame: Frame, region: Region) -> None:
        """Begin to look at a region; what was begun before and not asked for is dropped."""
        self.drop()
        self._first.start(_filled(self._first, frame, region))
        self._region = region

    def seen(self, region: Region) -> HandObservation | None:
        """Return what the look that was begun shows; None = it was at another region, or none."""
        if self._region != region:
            return None
        self._region = None
        return _observation(self._second.infer(self._first.finish()), region)

    def drop(self) -> None:
        """Wait for the end of what was begun and forget it."""
        if self._region is not None:
            self._region = None
            self._first.finish()

    def close(self) -> None:
        """Release the network."""
        self.drop()
        self._first.close()
        self._second.close()


def _filled(engine: Engine, frame: Frame, region: Region) -> dict[str, npt.NDArray[np.float32]]:
    buffer = engine.buffer(_INPUT)
    fill(buffer, sample(frame, region, _SIZE), signed=False)
    return {_INPUT: buffer}


def _observation(result: Mapping[str, npt.NDArray[np.float32]], region: Region,
                 ) -> HandObservation:
    raw = result[_POINTS].reshape(21, 3).astype(np.float64)
    world = result[_WORLD].reshape(21, 3).astype(np.float64)
    right = float(result[_RIGHT][0, 0])
    return HandObservation(
        region.to_image(raw[:, :2], _SIZE).astype(np.float32),
        (raw[:, 2] * (region.size_px / _SIZE)).astype(np.float32),
        np.column_stack((region.turn(world[:, :2]), world[:, 2])).astype(np.float32),
        float(result[_PRESENCE][0, 0]), 1.0 - right if region.mirrored else right, region)
