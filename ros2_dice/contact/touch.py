# SPDX-License-Identifier: Apache-2.0
"""
Touch or hover: from what one frame shows to a probability.

A single camera knows depth only through size, so the evidence is how far the hand would have to be
moved along its viewing rays until it meets the skin, against how well its depth is known; and how
near hand and face come to each other in the picture. A learned model may take the place of
`GeometricTouchModel`: it only has to turn the same `TouchEvidence` into log odds.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

SIZE_NOISE = 0.03
"""Spread of log depth that comes with the landmarks, beside that of the hand's size."""
BESIDE_SIGMA_M = 0.006
"""Spread of the hand across its viewing rays. A fingertip below the chin has only the neck behind
it: it is this, and not its depth, that keeps it from touching the chin."""
GOOD_COST = 25.0
"""Cost of a hand fit up to which its depth is as good as the landmarks allow."""
MAX_COST_RATIO = 4.0
TOUCH_LOG_ODDS = 1.3
"""Prior of touching against hovering, with the range of depths that a free hand may take."""
OUTLIER_Z = 3.0
"""A hand that seems so many sigmas behind the skin is no longer better evidence for touching, and
farther behind it is not this person's hand, or not where it seems to be."""
GAP_FREE = 0.04
"""Gap in the picture, in face widths, that says nothing: landmarks lie inside the outlines."""
GAP_SIGMA = 0.05
OFF_FACE_LOG_ODDS = -0.7
"""Scalp, ears and neck: hair, collars and phones keep hands off more often than not."""
BLUNT_LOG_ODDS = -0.6
"""Faces are touched with fingers more often than with the palm or the back of the hand."""
APART_LOG_ODDS = -5.0
_OFF_FACE = ('scalp', 'neck', 'ear_left', 'ear_right')
_BLUNT = ('palm', 'back', 'thumb_base')


@dataclass(frozen=True)
class TouchEvidence:
    """What one frame says about one hand and one face."""

    depth_factor: float
    """Log factor by which the hand, scaled about the camera, reaches the skin; > 0 = it seems to
    hover, < 0 = it seems to lie behind, inf = its rays never meet the skin."""
    size_sigma: float
    """One sigma of the logarithm of the hand's size against the face's."""
    fit_cost: float
    """Cost of the hand's fit."""
    picture_gap: float
    """Smallest distance in the picture between a hand and a face landmark, in face widths."""
    hand_region: str = ''
    """Of the hand's vertex that would touch first."""
    face_region: str = ''
    """Of the skin that it would touch."""
    beside_m: float = math.inf
    """Smallest distance of hand and skin as they seem to lie [m]; need not be known beyond a few
    centimetres."""

    @property
    def doubt(self) -> float:
        """By how much a bad fit widens the depth: the root of the reduced chi-square, 1 to 2."""
        return math.sqrt(min(max(self.fit_cost / GOOD_COST, 1.0), MAX_COST_RATIO))

    @property
    def depth_sigma(self) -> float:
        """One sigma of `depth_factor`."""
        return math.hypot(self.size_sigma, SIZE_NOISE) * self.doubt

    @property
    def is_beside(self) -> bool:
        """Tell whether a small shift across the rays makes it touch sooner than one along them."""
        return self.beside_m / BESIDE_SIGMA_M < self.depth_factor / self.depth_sigma

    @property
    def z(self) -> float:
        """What has to be explained away for a touch, in sigmas; negative = behind the skin."""
        if self.is_beside:
            return max(self.beside_m, 0.0) / BESIDE_SIGMA_M
        return self.depth_factor / self.depth_sigma

    @property
    def touch_factor(self) -> float:
        """Log factor by which the hand is scaled about the camera if it does touch."""
        return 0.0 if self.is_beside else self.depth_factor


class TouchModel(Protocol):
    """Weighs the evidence of one frame; time is `TouchTrack`'s business."""

    def log_odds(self, evidence: TouchEvidence) -> float:
        """Return the logarithm of p(touch) / p(no touch)."""
        ...


class GeometricTouchModel:
    """
    Profile likelihood of the depth, with a prior from where hand and face are in the picture.

    Let z be the distance from a touch in sigmas, along the rays or across. A touching hand lies at
    one depth, with likelihood N(z) / sigma; a free one lies anywhere before the skin, with
    likelihood Phi(z) times a constant density. So log odds = prior - log(doubt) - z^2 / 2
    - log Phi(z): they fall all the way from behind the skin, where a hand that is seen can't be,
    to the far front. The constants of this module were chosen on generated scenes and with the
    labelled pictures and clips of the project in sight: on these they are no held-out test.
    """

    def log_odds(self, evidence: TouchEvidence) -> float:
        """Return the logarithm of p(touch) / p(no touch)."""
        z = evidence.z
        if not math.isfinite(z):
            return APART_LOG_ODDS
        outlier = max(-OUTLIER_Z - z, 0.0)
        z = max(z, -OUTLIER_Z)
        before_skin = 0.5 * math.erfc(-z / math.sqrt(2.0))
        gap = max(evidence.picture_gap - GAP_FREE, 0.0) / GAP_SIGMA
        value = TOUCH_LOG_ODDS - math.log(evidence.doubt) - 0.5 * z * z - math.log(before_skin)
        value -= outlier * outlier
        if evidence.face_region in _OFF_FACE:
            value += OFF_FACE_LOG_ODDS - 0.5 * gap * gap
        value += BLUNT_LOG_ODDS * (evidence.hand_region in _BLUNT)
        return max(value, APART_LOG_ODDS)


def probability(log_odds: float) -> float:
    """Return the probability of log odds."""
    return 1.0 / (1.0 + math.exp(-min(max(log_odds, -50.0), 50.0)))
