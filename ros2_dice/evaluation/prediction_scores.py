# SPDX-License-Identifier: Apache-2.0
"""Figures of one system's predictions, against truth in the same format or against labels."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ros2_dice.evaluation.calibration import calibration
from ros2_dice.evaluation.labelled import Answers, ClipAnswer, PictureAnswer
from ros2_dice.evaluation.labelled_scores import labelled_scores
from ros2_dice.evaluation.material import LabelledClip, Material
from ros2_dice.evaluation.mesh_sums import FrameMeshes, MeshSums
from ros2_dice.evaluation.metrics import Score
from ros2_dice.evaluation.predictions import Predictions, touch_labels
from ros2_dice.evaluation.timing import Spread
from ros2_dice.evaluation.touch import Seen

_RATE_HZ = 30.0
"""Of clips whose labels don't say."""


def score_against_truth(found: Predictions, truth: Predictions, threshold: float,
                        advance: Callable[[str], None]) -> dict[str, Any]:
    """
    Return the figures over the truth's frames.

    Frames that were not predicted say "no touch" and are missing in the others, see `MeshSums`.

    Args:
        found: of the system.
        truth: in the same format.
        threshold: probability from which an answer says touch.
        advance: called with the system's name after each frame with meshes.
    """
    rows = found.rows(truth.frames)
    labels, sums = touch_labels(truth), MeshSums()
    for frame, row in enumerate(rows):
        if row >= 0:
            sums.add(_meshes(found, int(row)), _meshes(truth, frame),
                     bool(labels[frame] >= 0.5) if math.isfinite(labels[frame]) else None)
            advance(found.system)
    document: dict[str, Any] = {
        'system': found.system, 'frames': len(rows), 'frames_missing': int((rows < 0).sum()),
        'touch': _touch(found, truth, rows, threshold),
        'errors': sums.errors(), 'plausibility': sums.plausibility(), 'time': None}
    seconds = found.get('seconds')
    if seconds is not None:
        document['time'] = Spread.of(seconds[rows[rows >= 0]].tolist()).as_json()
    return document


def score_against_labels(found: Predictions, material: Material, threshold: float
                         ) -> dict[str, Any]:
    """
    Return the figures of `labelled_scores`, without the naive rule: that needs landmarks.

    Pictures and clip frames that were not predicted say "no touch" and are counted.
    """
    rows = {name: number for number, name in enumerate(found.frames)}
    missing: list[str] = []

    def seen(name: str) -> Seen:
        if name not in rows:
            missing.append(name)
            return Seen(0, 0, 0.0, math.inf)
        return _seen(found, rows[name], threshold)

    pictures = tuple(PictureAnswer(p, seen(p.name)) for p in material.pictures)
    clips = tuple(ClipAnswer(c, tuple(seen(f'{c.name}#{n}') for n in range(_length(c, rows))),
                             c.rate_hz or _RATE_HZ, ()) for c in material.clips)
    document = labelled_scores(Answers(pictures, clips), threshold)
    del document['naive'], document['pictures']['found']
    for row in document['clips']['by_clip'].values():
        del row['time'], row['frames_without_hand'], row['touch_frames_with_hand']
        del row['frames_with_face'], row['frames_with_hand']
        row.pop('naive', None)
    return {'system': found.system, **document, 'frames_missing': missing}


def _seen(found: Predictions, row: int, threshold: float) -> Seen:
    """Return a frame's answer as the estimators' are kept."""
    chances = found.get('touch_probability')
    chance = math.nan if chances is None else float(chances[row])
    faces, hands = ([] if (names := found.get(key)) is None else str(names[row]).split()
                    for key in ('face_regions', 'hand_regions'))
    sure = 1.0 if math.isfinite(chance) and chance >= threshold else 0.0
    regions = [('', face, sure) for face in faces] + [(hand, '', sure) for hand in hands]
    return Seen(1, 1, 0.0 if math.isnan(chance) else chance, math.inf, 1, math.isnan(chance),
                tuple(regions))


def _length(clip: LabelledClip, rows: dict[str, int]) -> int:
    """Return how many frames a clip has: as labelled, else as predicted."""
    if clip.frames:
        return clip.frames
    numbers = [int(tail) for name in rows for head, _, tail in [name.rpartition('#')]
               if head == clip.name and tail.isdecimal()]
    return max(numbers, default=-1) + 1


def _touch(found: Predictions, truth: Predictions, rows: npt.NDArray[np.int64],
           threshold: float) -> dict[str, Any] | None:
    chances = found.get('touch_probability')
    labels = touch_labels(truth)
    known = np.isfinite(labels)
    if chances is None or not known.any():
        return None
    said = np.where(rows >= 0, chances[rows], 0.0)[known]
    true = (labels[known] >= 0.5).tolist()
    return {**Score.of((said >= threshold).tolist(), true).as_json(),
            'calibration': calibration(said, true).as_json()}


def _meshes(found: Predictions, row: int) -> FrameMeshes:
    head, hand, joints = (None if (values := found.get(name)) is None else values[row]
                          for name in ('head_vertices_m', 'hand_vertices_m', 'joints_m'))
    return FrameMeshes(head, hand, found.get('head_faces'), joints)
