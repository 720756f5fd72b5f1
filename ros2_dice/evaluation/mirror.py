# SPDX-License-Identifier: Apache-2.0
"""A picture and its mirror image: the left hand's result must be the mirrored right hand's."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.estimator import Estimator
from ros2_dice.evaluation.metrics import vertex_error_m
from ros2_dice.types import FloatArray, Frame, Handedness, HandFaceEstimate

_OTHER = {Handedness.LEFT: Handedness.RIGHT, Handedness.RIGHT: Handedness.LEFT,
          Handedness.UNKNOWN: Handedness.UNKNOWN}
_FLIP = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class MirrorPair:
    """One hand and the hand at its mirrored place."""

    handedness: Handedness
    """In the picture as it is."""
    sides_agree: bool
    """The mirror image has the other side there."""
    distance_mm: float
    """Mean distance of matching vertices, one of them mirrored; NaN if the sides differ."""
    across_mm: float
    """The same without depth."""
    aligned_mm: float
    """The same after a similarity alignment: shape and pose of the fingers alone."""
    probability: float
    mirrored_probability: float


def flipped(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the picture (H, W, 3) mirrored left to right."""
    return np.ascontiguousarray(pixels[:, ::-1])


def compare(estimator: Estimator, frame: Frame) -> list[MirrorPair]:
    """
    Estimate a picture and its mirror image, each from a cold start, and pair their hands.

    The camera has its principal point in the middle, so the mirror image's geometry is the
    picture's with x negated. Left and right bodies are mirror images vertex by vertex.
    """
    estimator.reset()
    there = [e for e in estimator.estimate(frame) if e.hand is not None]
    estimator.reset()
    back = Frame(flipped(frame.pixels), frame.stamp_ns, channel_order=frame.channel_order)
    mirrored = [e for e in estimator.estimate(back) if e.hand is not None]
    pairs = []
    for estimate in there:
        other = _nearest(estimate, mirrored)
        if other is not None:
            pairs.append(_pair(estimate, other))
    return pairs


def _nearest(estimate: HandFaceEstimate,
             mirrored: Sequence[HandFaceEstimate]) -> HandFaceEstimate | None:
    """Return the hand whose mirror image lies nearest on the screen, if it overlaps."""
    if not mirrored:
        return None
    place = _direction(_vertices(estimate))
    gaps = [float(np.linalg.norm(_direction(_vertices(other) * _FLIP) - place))
            for other in mirrored]
    best = int(np.argmin(gaps))
    spread = np.ptp(_vertices(estimate)[:, :2] / _vertices(estimate)[:, 2:], axis=0).max()
    return mirrored[best] if gaps[best] < 0.5 * spread else None


def _vertices(estimate: HandFaceEstimate) -> FloatArray:
    assert estimate.hand is not None
    return np.asarray(estimate.hand.vertices_m, np.float64)


def _direction(vertices_m: FloatArray) -> FloatArray:
    return (vertices_m[:, :2] / vertices_m[:, 2:]).mean(0)


def _pair(estimate: HandFaceEstimate, other: HandFaceEstimate) -> MirrorPair:
    agree = other.handedness == _OTHER[estimate.handedness]
    mine, theirs = _vertices(estimate), _vertices(other) * _FLIP
    distance = across = aligned = float('nan')
    if agree:
        distance = vertex_error_m(mine, theirs, aligned=False)
        across = float(np.linalg.norm((mine - theirs)[:, :2], axis=1).mean())
        aligned = vertex_error_m(mine, theirs, aligned=True)
    return MirrorPair(estimate.handedness, agree, 1e3 * distance, 1e3 * across, 1e3 * aligned,
                      estimate.contact_probability, other.contact_probability)
