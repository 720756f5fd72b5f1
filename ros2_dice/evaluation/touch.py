# SPDX-License-Identifier: Apache-2.0
"""What a frame says about touch: the estimate's answer, and a naive rule to compare with."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ros2_dice.evaluation.material import LabelledClip, LabelledPicture
from ros2_dice.evaluation.metrics import Score
from ros2_dice.types import HandFaceEstimate

FINGERTIPS = (4, 8, 12, 16, 20)
"""Among the 21 hand landmarks."""
NAIVE_SHARE = 0.05
"""The naive rule says touch within this share of the face's width, in the picture."""


@dataclass(frozen=True)
class Seen:
    """One frame's answer."""

    faces: int
    hands: int
    probability: float
    """Largest over the hands; 0 where nothing could touch."""
    tip_distance: float
    """Nearest fingertip to a face landmark, in face widths, in the picture; inf without either."""

    @classmethod
    def of(cls, estimates: Iterable[HandFaceEstimate]) -> Seen:
        """Read the answer off a frame's estimates."""
        estimates = tuple(estimates)
        chances = [e.contact_probability for e in estimates
                   if math.isfinite(e.contact_probability)]
        return cls(
            faces=len({e.person_id for e in estimates if e.face is not None}),
            hands=sum(e.hand is not None for e in estimates),
            probability=max(chances, default=0.0),
            tip_distance=min((_tip_distance(e) for e in estimates), default=math.inf))

    def says_touch(self, threshold: float = 0.5) -> bool:
        """Tell whether the estimate says touch."""
        return self.probability >= threshold

    def naive_touch(self) -> bool:
        """Tell whether the naive rule says touch."""
        return self.tip_distance <= NAIVE_SHARE


def _tip_distance(estimate: HandFaceEstimate) -> float:
    face, hand = estimate.face_landmarks_px, estimate.hand_landmarks_px
    if face is None or hand is None:
        return math.inf
    width_px = float(np.ptp(face[:, 0]))
    gaps = hand[list(FINGERTIPS), None, :2] - face[None, :, :2]
    return float(np.sqrt((gaps ** 2).sum(-1).min())) / max(width_px, 1.0)


def score_pictures(pictures: Sequence[LabelledPicture], seen: Sequence[Seen],
                   threshold: float = 0.5) -> dict[str, Score]:
    """Score certain labels: `estimate` and `naive`."""
    pairs = [(p.is_touch, s) for p, s in zip(pictures, seen) if p.is_touch is not None]
    truth = [bool(touch) for touch, _ in pairs]
    return {'estimate': Score.of([s.says_touch(threshold) for _, s in pairs], truth),
            'naive': Score.of([s.naive_touch() for _, s in pairs], truth)}


def score_clip(clip: LabelledClip, seen: Sequence[Seen],
               threshold: float = 0.5) -> dict[str, Score]:
    """Score the frames that the labels settle: `estimate` and `naive`."""
    touch, unsure = clip.touch_frames(), clip.open_frames()
    numbers = [n for n in range(len(seen)) if n not in unsure]
    truth = [n in touch for n in numbers]
    return {'estimate': Score.of([seen[n].says_touch(threshold) for n in numbers], truth),
            'naive': Score.of([seen[n].naive_touch() for n in numbers], truth)}
