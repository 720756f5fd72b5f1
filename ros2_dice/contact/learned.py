# SPDX-License-Identifier: Apache-2.0
"""
A touch model with learned weights: how far to trust a depth, and what speaks for a touch.

Two small linear models, read from touch_model.json, which tools/train_touch.py makes from
generated scenes:

- the depth of a hand against the skin errs with a mean and a spread that depend on how hand and
  face were fitted and how they are seen. The errors have heavy tails: Student's t with NU degrees
  of freedom;
- the odds of a touch come from the ratio of two likelihoods of the depth (a touching hand lies at
  one depth, a free one anywhere before the skin) and from what the picture shows. Where the fitted
  hand's rays miss the skin, the gap in the picture is all there is: fits err across the rays, too.

The odds fall with the distance from the skin whatever the weights are, as the weight of the
likelihood ratio is not negative; far behind the skin they fall as well.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from ros2_dice.contact.touch import (
    APART_LOG_ODDS,
    BESIDE_SIGMA_M,
    DepthNoise,
    TouchEvidence,
)
from ros2_dice.errors import AssetError

FloatArray = npt.NDArray[np.floating]

NU = 4.0
_LOG_T = math.lgamma(0.5 * (NU + 1.0)) - math.lgamma(0.5 * NU) - 0.5 * math.log(NU * math.pi)
FREE_RANGE = 0.5
"""Log depths before the skin over which a free hand is spread."""
DEPTH_FEATURES = ('one', 'hand_cost', 'face_residual', 'face_misfit', 'edge_on', 'hand_px',
                  'face_cut', 'hand_cut', 'before_face')
ODDS_FEATURES = ('one', 'likelihood', 'gap', 'spread')
_LIKELIHOOD = ODDS_FEATURES.index('likelihood')
MISS_FEATURES = ('one', 'gap')
DOUBTFUL_COST = 50.0
"""Cost of a hand's fit up to which it says nothing: on renders, better fits are not truer."""
MISFIT_FROM = 0.4
"""Log of the face's residual over a good one's from which the fit is hardly one of this face: the
network squeezes a whole face into what it sees of one that is cut off."""
BEHIND, BEHIND_WEIGHT, DOUBT = 3.5, 2.0, -0.2
"""Spreads behind the skin from which it may be no touching hand that was seen, but a patch of the
face or somebody behind; the log odds against a touch for each further one; and those at which it
can't be told. Touches on photographs lie up to 1.9 spreads behind."""
GAP_FREE, GAP_FULL = 0.03, 0.5
"""Gaps in the picture, in face widths, from which they count and up to which they grow."""


def depth_features(evidence: TouchEvidence) -> FloatArray:
    """Return (9,) `DEPTH_FEATURES`."""
    residual = math.log(max(evidence.face_residual, 1e-4) / 0.012)
    doubt = math.log(max(evidence.fit_cost, DOUBTFUL_COST) / DOUBTFUL_COST)
    return np.array((
        1.0, doubt, residual, max(residual - MISFIT_FROM, 0.0), evidence.edge_on,
        math.log(max(evidence.hand_px, 1.0) / 80.0), evidence.face_cut, evidence.hand_cut,
        evidence.before_face))


def likelihood_ratio(evidence: TouchEvidence, noise: DepthNoise) -> float:
    """
    Return the log likelihood ratio of the depth: touching against free.

    Along the rays log(t(z) / s) - log(T(z) / FREE_RANGE), with t and T Student's density and
    distribution, z the distance in spreads s. A hand that lies beside the skin and needs only a
    small shift across the rays counts by that shift.
    """
    spread = math.hypot(evidence.size_sigma, noise.sigma)
    z = (evidence.depth_factor - noise.mean) / spread
    across = max(evidence.beside_m, 0.0) / BESIDE_SIGMA_M
    if across < z:
        z = across
    if not math.isfinite(z):
        return -math.inf
    density = _LOG_T - 0.5 * (NU + 1.0) * math.log1p(z * z / NU)
    before = float(stdtr(NU, z))
    return density - math.log(spread) - math.log(max(before, 1e-12)) + math.log(FREE_RANGE)


def odds_features(evidence: TouchEvidence, noise: DepthNoise) -> FloatArray:
    """Return (4,) `ODDS_FEATURES`; the likelihood ratio is -inf where the rays miss the skin."""
    spread = math.hypot(evidence.size_sigma, noise.sigma)
    gap = min(max(evidence.picture_gap - GAP_FREE, 0.0), GAP_FULL)
    return np.array((1.0, likelihood_ratio(evidence, noise), gap / 0.05, math.log(spread / 0.1)))


def miss_features(evidence: TouchEvidence) -> FloatArray:
    """Return (2,) `MISS_FEATURES`."""
    return np.array((1.0, min(max(evidence.picture_gap, 0.0), 1.0)))


def behind(evidence: TouchEvidence, noise: DepthNoise) -> float:
    """Return the log odds against a touch of what lies too far behind the skin, at least 0."""
    spread = math.hypot(evidence.size_sigma, noise.sigma)
    return BEHIND_WEIGHT * max(0.0, (noise.mean - evidence.depth_factor) / spread - BEHIND)


@dataclass(frozen=True, eq=False)
class LearnedTouchModel:
    """The weights; see `load_touch_model`."""

    mean: FloatArray
    """(9,) of `DEPTH_FEATURES`: mean error of the log depth factor."""
    log_sigma: FloatArray
    """(9,) likewise: log of its spread."""
    odds: FloatArray
    """(4,) of `ODDS_FEATURES`."""
    miss: FloatArray
    """(2,) of `MISS_FEATURES`: the log odds where no ray of the hand meets the skin."""

    def noise(self, evidence: TouchEvidence) -> DepthNoise:
        """Return mean and spread of the error of this depth, without that of the sizes."""
        features = depth_features(evidence)
        spread = math.exp(min(max(float(self.log_sigma @ features), -4.5), 0.0))
        return DepthNoise(min(max(float(self.mean @ features), -0.2), 0.2), spread)

    def log_odds(self, evidence: TouchEvidence) -> float:
        """Return the logarithm of p(touch) / p(no touch)."""
        noise = self.noise(evidence)
        features = odds_features(evidence, noise)
        if features[_LIKELIHOOD] == -math.inf:
            return max(min(float(self.miss @ miss_features(evidence)), DOUBT), APART_LOG_ODDS)
        odds = float(self.odds @ features)
        odds = max(odds - behind(evidence, noise), min(odds, DOUBT))
        return max(odds, APART_LOG_ODDS)


def load_touch_model(path: str | Path) -> LearnedTouchModel:
    """
    Read touch_model.json.

    Raises:
        AssetError: it is not what tools/train_touch.py writes.
    """
    try:
        data: Mapping[str, Any] = json.loads(Path(path).read_text(encoding='utf-8'))
        return LearnedTouchModel(_weights(data['mean'], DEPTH_FEATURES),
                                 _weights(data['log_sigma'], DEPTH_FEATURES),
                                 _weights(data['odds'], ODDS_FEATURES),
                                 _weights(data['miss'], MISS_FEATURES))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AssetError(f'touch model {Path(path).name}',
                         state=f'damaged ({type(error).__name__}: {error})',
                         expected='the file that tools/train_touch.py writes',
                         next_step='reinstall ros2_dice, or train it again') from error


def _weights(rows: Mapping[str, float], names: tuple[str, ...]) -> FloatArray:
    return np.array([float(rows[name]) for name in names])
