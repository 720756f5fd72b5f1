# SPDX-License-Identifier: Apache-2.0
"""An estimator on the Decaf data set's videos, held against its truth, frame after frame."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ros2_dice.estimator import Estimator
from ros2_dice.evaluation.calibration import calibration
from ros2_dice.evaluation.clips import clip_frames, clip_rate_hz
from ros2_dice.evaluation.decaf import DecafFrame, DecafSequence
from ros2_dice.evaluation.decaf_truth import DecafTruth
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.evaluation.mesh_sums import FrameMeshes, MeshSums
from ros2_dice.evaluation.metrics import Score
from ros2_dice.evaluation.timing import Spread
from ros2_dice.evaluation.touch import Seen
from ros2_dice.render import Overlay
from ros2_dice.types import Camera, FloatArray, Frame, HandFaceEstimate, HandJoints

TIP_SHARE = 0.7
"""The data set's tips lie at this share of the way from the last joint to the skin."""
_MASKED = 127
_OPENXR_OF_JOINT = np.array((1, 7, 8, 9, 12, 13, 14, 22, 23, 24, 17, 18, 19, 2, 3, 4))
"""OpenXR joint of the 16 of the data set: wrist, index, middle, little, ring, thumb."""
_OPENXR_TIPS, _OPENXR_LAST = (np.array((5, 10, 15, 20, 25)), np.array((4, 9, 14, 19, 24)))
"""Thumb to little finger."""

Pixels = npt.NDArray[np.uint8]


def run_decaf(estimator: Estimator, sequences: list[DecafSequence], truth: DecafTruth | None, *,
              threshold: float, every: int, limit: int, masked: bool, gallery: Gallery,
              overlay: Overlay | None, advance: Callable[[str], None]) -> dict[str, Any]:
    """
    Return one system's figures over sequences, in the form of `score_against_truth`.

    Args:
        estimator: is reset before each sequence; it finds hand and face by itself.
        sequences: to run.
        truth: poses the true meshes; None = only touch and plausibility, by the contact labels.
        threshold: probability from which an answer says touch.
        every: so many frames apart.
        limit: frames of each sequence at most; 0 = all.
        masked: black out what the data set's segmentation does, as the published protocol has it.
        gallery: takes pictures of the mistakes.
        overlay: draws them; None = no pictures.
        advance: called with the sequence's name after each frame.
    """
    faces = {level.topology_id: level.faces for level in estimator.topologies}
    sums, chances, labels, times_s, missing = MeshSums(), [], [], [], 0
    for sequence in sequences:
        estimator.reset()
        rate_hz, lens = clip_rate_hz(sequence.video), sequence.lens
        for frame, pixels in _seen_frames(sequence, every, limit, masked):
            camera = Camera(pixels.shape[1], pixels.shape[0], lens.matrix[0, 0],
                            lens.matrix[1, 1], lens.matrix[0, 2], lens.matrix[1, 2])
            start_s = time.perf_counter()
            estimates = estimator.estimate(
                Frame(pixels, round(frame.number * 1e9 / rate_hz), camera=camera))
            times_s.append(time.perf_counter() - start_s)
            seen = Seen.of(estimates)
            chances.append(math.nan if seen.cannot_tell else seen.probability)
            labels.append(frame.touches)
            if overlay is not None and seen.says_touch(threshold) != frame.touches:
                gallery.offer('missed touch' if frame.touches else 'false touch',
                              f'{sequence.name}, frame {frame.number}: p {seen.probability:.2f}',
                              abs(seen.probability - frame.touches),
                              partial(overlay.draw, pixels[..., ::-1], estimates, camera))
            best = _best(estimates)
            if best is None:
                missing += 1
            else:
                true = FrameMeshes() if truth is None else truth.meshes(frame, lens)
                sums.add(_meshes(best, faces), true, frame.touches)
            advance(sequence.name)
    said = [chance >= threshold for chance in chances]
    return {
        'system': estimator.model_id, 'frames': len(labels), 'frames_missing': missing,
        'sequences': [sequence.name for sequence in sequences],
        'touch': {**Score.of(said, labels).as_json(),
                  'calibration': calibration(chances, labels).as_json()} if labels else None,
        'errors': sums.errors(), 'plausibility': sums.plausibility(),
        'time': Spread.of(times_s).as_json() if times_s else None}


def _seen_frames(sequence: DecafSequence, every: int, limit: int, masked: bool
                 ) -> Iterator[tuple[DecafFrame, Pixels]]:
    """Yield truth and picture of every so many frames."""
    masks = clip_frames(sequence.mask_video) if masked else None
    frames = sequence.frames(every)
    count = 0
    for number, pixels in enumerate(clip_frames(sequence.video)):
        mask = next(masks, None) if masks is not None else None
        if number % every:
            continue
        frame = next(frames, None)
        if frame is None or (limit and count >= limit):
            return
        count += 1
        if mask is not None:
            pixels = np.where(mask[..., :1] > _MASKED, pixels, np.uint8(0))
        yield frame, pixels


def _best(estimates: tuple[HandFaceEstimate, ...]) -> HandFaceEstimate | None:
    """Return the hand with a face that touches most probably."""
    pairs = [e for e in estimates if e.hand is not None and e.face is not None]
    return max(pairs, key=lambda e: e.contact_probability if math.isfinite(
        e.contact_probability) else -1.0, default=None)


def _meshes(estimate: HandFaceEstimate, faces: Mapping[str, npt.NDArray[np.integer]]
            ) -> FrameMeshes:
    hand, face, joints = estimate.hand, estimate.face, estimate.joints
    assert hand is not None
    assert face is not None
    return FrameMeshes(np.asarray(face.vertices_m, np.float64),
                       np.asarray(hand.vertices_m, np.float64), faces.get(face.topology_id),
                       None if joints is None else joints_21_m(joints))


def joints_21_m(joints: HandJoints) -> FloatArray:
    """Return the data set's 21 joints of OpenXR's 26; its tips are only near to those."""
    points = np.asarray(joints.positions_m, np.float64)
    last = points[_OPENXR_LAST]
    return np.concatenate([points[_OPENXR_OF_JOINT],
                           last + TIP_SHARE * (points[_OPENXR_TIPS] - last)])
