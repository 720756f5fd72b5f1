# SPDX-License-Identifier: Apache-2.0
"""An estimator that reads brightness, and clips made of it."""
from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ros2_dice.types import (
    BodyEstimate,
    Frame,
    Handedness,
    HandFaceEstimate,
    RegionContact,
)

TOUCH, HOVER, EMPTY = 200, 120, 10
"""Brightness of a picture: what the painted estimator takes it for."""


class BrightnessEstimator:
    """Says touch in bright pictures; in grey ones it sees a hand far from the face."""

    model_id, topologies = 'brightness/test', ()

    def __init__(self) -> None:
        self.stage_times_s: Mapping[str, float] = {}
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def apply(self, settings: object) -> None: ...

    def close(self) -> None: ...

    def estimate(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        brightness = float(frame.pixels.mean())
        if brightness < 60:
            return ()
        touch = brightness > 160
        body = BodyEstimate('none', np.zeros((1, 3), np.float32), 1.0)
        face = np.stack([np.linspace(10, 50, 468), np.full(468, 20.0)], 1)
        hand = np.full((21, 2), 21.0 if touch else 60.0)
        contact = RegionContact('index_pad', 'cheek_left', 0.9, np.zeros(3), np.ones(3), 1e-4,
                                0.0, 0.0, 0.01)
        return (HandFaceEstimate(
            'a0000', 'h0000', Handedness.RIGHT, hand=body, face=body,
            contact_probability=0.9 if touch else 0.2, contacts=(contact,) if touch else (),
            hand_landmarks_px=hand, face_landmarks_px=face),)


def write_clip(path: Path, levels: list[int], rate: int = 10) -> None:
    """Write a clip with one brightness for each frame."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=Fraction(rate))
        stream.width = stream.height = 64
        stream.pix_fmt = 'yuv420p'
        for level in levels:
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), 'rgb24')
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
