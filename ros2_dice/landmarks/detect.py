# SPDX-License-Identifier: Apache-2.0
"""The detector networks: faces, palms and bodies in any rotated square of a picture."""
from __future__ import annotations

from dataclasses import dataclass

from ros2_dice.landmarks.crop import Region, fill, sample
from ros2_dice.landmarks.ssd import Detection, anchors, decode
from ros2_dice.runtime import Engine, require_shapes
from ros2_dice.types import Frame


@dataclass(frozen=True)
class DetectorSpec:
    """What is known of a detector's file beforehand."""

    asset: str
    input_name: str
    input_size: int
    regressors: str
    logits: str
    layers: tuple[tuple[int, int], ...]
    """(stride, anchors per cell) of each feature map."""
    keypoints: int
    signed: bool
    """True = input -1..1, else 0..1."""
    skin: bool = False
    """Looks for the colour of skin: a picture without colours is shown in it."""


FACE_SHORT_RANGE = DetectorSpec('face_detection_short_range', 'input', 128, 'regressors',
                                'classificators', ((8, 2), (16, 6)), 6, True)
FACE_FULL_RANGE = DetectorSpec('face_detection_full_range', 'input_1', 192, 'Identity',
                               'Identity_1', ((4, 1),), 6, True)
PALM = DetectorSpec('palm_detection_full', 'input_1', 192, 'Identity', 'Identity_1',
                    ((8, 2), (16, 6)), 7, False, skin=True)
BODY = DetectorSpec('pose_detection', 'input_1', 224, 'Identity', 'Identity_1',
                    ((8, 2), (16, 2), (32, 6)), 4, True)


class Detector:
    """
    One detector network with its anchors.

    Raises:
        EngineError: the engine's tensors are not those of the spec.
    """

    def __init__(self, spec: DetectorSpec, engine: Engine) -> None:
        size = spec.input_size
        self._spec = spec
        self._engine = engine
        self._anchors = anchors(size, spec.layers)
        count = len(self._anchors)
        require_shapes(engine, spec.asset, {spec.input_name: (1, size, size, 3)},
                       {spec.regressors: (1, count, 4 + 2 * spec.keypoints),
                        spec.logits: (1, count, 1)})

    def detect(self, frame: Frame, region: Region, threshold: float) -> list[Detection]:
        """
        Return what is in a region, best first, in image pixels.

        Boxes stay aligned with the region: a box is given as the upright square or rectangle
        of the same extent around its centre, key points are exact.
        """
        spec = self._spec
        buffer = self._engine.buffer(spec.input_name)
        crop = sample(frame, region, spec.input_size, border=0, skin=spec.skin)
        fill(buffer, crop, signed=spec.signed)
        result = self._engine.infer({spec.input_name: buffer})
        found = decode(result[spec.regressors][0], result[spec.logits][0, :, 0], self._anchors,
                       spec.input_size, threshold)
        return [_to_image(one, region) for one in found]

    def close(self) -> None:
        """Release the network."""
        self._engine.close()


def _to_image(found: Detection, region: Region) -> Detection:
    center = region.to_image((0.5 * (found.box[:2] + found.box[2:]))[None], 1)[0]
    half = 0.5 * region.size_px * (found.box[2:] - found.box[:2])
    box = found.box.copy()
    box[:2], box[2:] = center - half, center + half
    points = region.to_image(found.keypoints, 1)
    return Detection(found.score, box, points)
