# SPDX-License-Identifier: Apache-2.0
"""What a frame says about touch: the estimate's answer, and a naive rule to compare with."""
from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

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
    pairs: int = 0
    """Hands that have a face to touch."""
    cannot_tell: bool = False
    """There are such hands, and the estimator has no probability for any."""
    regions: tuple[tuple[str, str, float], ...] = ()
    """Hand region, face region and probability of each contact that is listed; a name may be
    empty where only the other is known."""

    @classmethod
    def of(cls, estimates: Iterable[HandFaceEstimate]) -> Seen:
        """Read the answer off a frame's estimates."""
        estimates = tuple(estimates)
        chances = [e.contact_probability for e in estimates
                   if math.isfinite(e.contact_probability)]
        pairs = sum(e.hand is not None and e.face is not None for e in estimates)
        return cls(
            faces=len({e.person_id for e in estimates if e.face is not None}),
            hands=sum(e.hand is not None for e in estimates),
            probability=max(chances, default=0.0),
            tip_distance=min((_tip_distance(e) for e in estimates), default=math.inf),
            pairs=pairs, cannot_tell=pairs > 0 and not chances,
            regions=tuple((c.hand_region, c.face_region, c.probability)
                          for e in estimates for c in e.contacts))

    def says_touch(self, threshold: float = 0.5) -> bool:
        """Tell whether the estimate says touch; "cannot tell" is no."""
        return self.probability >= threshold

    def naive_touch(self) -> bool:
        """Tell whether the naive rule says touch."""
        return self.tip_distance <= NAIVE_SHARE

    def hand_regions(self, threshold: float = 0.5) -> set[str]:
        """Return the hand regions that are said to touch."""
        return {hand for hand, _, chance in self.regions if hand and chance >= threshold}

    def face_regions(self, threshold: float = 0.5) -> set[str]:
        """Return the face regions that are said to be touched."""
        return {face for _, face, chance in self.regions if face and chance >= threshold}


def _tip_distance(estimate: HandFaceEstimate) -> float:
    face, hand = estimate.face_landmarks_px, estimate.hand_landmarks_px
    if face is None or hand is None:
        return math.inf
    width_px = float(np.ptp(face[:, 0]))
    gaps = hand[list(FINGERTIPS), None, :2] - face[None, :, :2]
    return float(np.sqrt((gaps ** 2).sum(-1).min())) / max(width_px, 1.0)
