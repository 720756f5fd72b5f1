# SPDX-License-Identifier: Apache-2.0
"""
Touch or hover: what one frame shows, and what a model makes of it.

A single camera knows depth only through size, so the evidence is how far the hand would have to be
moved along its viewing rays until it meets the skin, and what tells how well its depth is known;
and how near hand and face come to each other in the picture. `learned` has the model that ships.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

BESIDE_SIGMA_M = 0.006
"""Spread of the hand across its viewing rays. A fingertip below the chin has only the neck behind
it: it is this, and not its depth, that keeps it from touching the chin."""
APART_LOG_ODDS = -5.0


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
    beside_m: float = math.inf
    """Smallest distance of hand and skin as they seem to lie [m]; need not be known beyond a few
    centimetres."""
    face_residual: float = 0.015
    """Mean distance of face landmarks and fitted face in the picture, in face widths."""
    before_face: float = 0.5
    """Share of the hand's landmarks that lie on the face in the picture."""
    edge_on: float = 0.5
    """0 = the palm faces the camera or turns its back to it, 1 = it is seen from its edge."""
    hand_px: float = 100.0
    """Longest side of the palm in the picture [px]."""
    face_cut: float = 0.0
    """Share of the face's landmarks at or beyond the picture's edge."""
    hand_cut: float = 0.0
    """Likewise of the hand's."""


class DepthNoise(NamedTuple):
    """Error of a frame's `depth_factor`, beside that of the hand's size."""

    mean: float
    sigma: float


def touch_factor(evidence: TouchEvidence, noise: DepthNoise) -> float:
    """
    Return the log factor by which the hand is scaled about the camera if it does touch.

    0 where a small shift across the rays makes it touch sooner than one along them.
    """
    spread = math.hypot(evidence.size_sigma, noise.sigma)
    across = max(evidence.beside_m, 0.0) / BESIDE_SIGMA_M
    return 0.0 if across < (evidence.depth_factor - noise.mean) / spread \
        else evidence.depth_factor


class TouchModel(Protocol):
    """Weighs the evidence of one frame; time is `TouchTrack`'s business."""

    def noise(self, evidence: TouchEvidence) -> DepthNoise:
        """Return how far the depth of this frame is to be trusted."""
        ...

    def log_odds(self, evidence: TouchEvidence) -> float:
        """Return the logarithm of p(touch) / p(no touch)."""
        ...


def probability(log_odds: float) -> float:
    """Return the probability of log odds."""
    return 1.0 / (1.0 + math.exp(-min(max(log_odds, -50.0), 50.0)))
