# SPDX-License-Identifier: Apache-2.0
"""Reads one frame's evidence for a touch off a fitted hand and a fitted head."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ros2_dice.contact.distance import HeadSurface
from ros2_dice.contact.sampling import HandTables
from ros2_dice.contact.touch import TouchEvidence
from ros2_dice.types import Camera

if TYPE_CHECKING:
    from ros2_dice.fitting import FittedHand, FittedHead

FloatArray = npt.NDArray[np.floating]

BESIDE_M = 0.03
"""Distances of hand and skin beyond this don't matter to the touch test."""
DECIDING = 5
"""So many vertices may lie nearer to the skin than the one that counts: one odd vertex must not
decide."""
NEAR_DEPTH = 0.05
"""Log depth to the skin from which on it isn't asked how far the hand is across the rays."""
ON_FACE = 0.06
"""A hand landmark so near to one of the face, in face widths, lies on it in the picture."""
_PALM = [0, 5, 17]


class Fits(NamedTuple):
    """How well the last measured frame was fitted; a predicted one has no fit of its own."""

    hand_cost: float = 50.0
    face_residual: float = 0.015
    """Mean distance of face landmarks and model in the picture, in face widths."""


class Reading(NamedTuple):
    """One frame's evidence, and what settling needs besides."""

    evidence: TouchEvidence
    least_factor: float
    """Log depth factor of the hand's very first vertex."""
    place: FloatArray
    """(2,) the middle of the hand's landmarks from that of the face's, in face widths."""


def read_fits(hand: FittedHand, head: FittedHead, last: Fits) -> Fits:
    """Return how well this frame was fitted; what was not measured is taken from the last one."""
    cost = last.hand_cost if hand.fit is None else hand.fit.cost
    residual = last.face_residual
    if head.fit is not None and head.observation is not None:
        residual = float(head.fit.residual_px.mean()) / _extent(head.observation.points_px)
    return Fits(cost, residual)


def read_evidence(hand: FittedHand, head: FittedHead, surface: HeadSurface, tables: HandTables,
                  camera: Camera, fits: Fits) -> Reading:
    """
    Return what this frame says about one hand and the face.

    Args:
        hand: fitted.
        head: of the same person.
        surface: of this head.
        tables: of the hand.
        camera: of the frame.
        fits: see `read_fits`.
    """
    factors, _ = surface.depth_factor(hand.vertices_m)
    order = np.argpartition(factors, DECIDING)[:DECIDING + 1]
    first, factor = order[factors[order].argmin()], float(factors[order].max())
    hand_px = hand.observation.points_px if hand.observation is not None else \
        camera.project(hand.body.landmarks(hand.state))
    face_px = head.observation.points_px if head.observation is not None else \
        camera.project(head.body.landmarks(head.state))
    width_px = max(_extent(face_px), 1e-6)
    gaps = _gaps_px(np.asarray(hand_px, np.float64), np.asarray(face_px, np.float64)) / width_px
    vertices = hand.vertices_m
    center = vertices.mean(0)
    dorsal = hand.state.rotation[:, 1]
    evidence = TouchEvidence(
        depth_factor=factor, size_sigma=hand.prior.sigma, fit_cost=fits.hand_cost,
        picture_gap=float(gaps.min()),
        beside_m=_beside_m(hand, surface, tables) if factor > NEAR_DEPTH else math.inf,
        face_residual=fits.face_residual, before_face=float((gaps < ON_FACE).mean()),
        edge_on=1.0 - abs(float(dorsal @ center)) / max(float(np.linalg.norm(center)), 1e-9),
        hand_px=_palm_px(hand_px), face_cut=_cut(face_px, camera), hand_cut=_cut(hand_px, camera))
    place = (np.mean(hand_px, axis=0) - np.mean(face_px, axis=0)) / width_px
    return Reading(evidence, float(factors[first]), place)


def _beside_m(hand: FittedHand, surface: HeadSurface, tables: HandTables) -> float:
    """Return the distance of hand and skin as fitted [m], inf beyond a few centimetres."""
    reach = surface.reach(hand.vertices_m[tables.samples], BESIDE_M)
    if np.isinf(reach).all():
        return math.inf
    near = np.flatnonzero((reach <= float(reach.min()) + tables.radius_m)[tables.cluster])
    return float(surface.distance(hand.vertices_m[near]).signed_m.min())


def _gaps_px(hand_px: FloatArray, face_px: FloatArray) -> FloatArray:
    """Return (21,) distance of each hand landmark to the nearest one of the face [px]."""
    squared = ((hand_px ** 2).sum(1)[:, None] + (face_px ** 2).sum(1)[None]
               - 2.0 * hand_px @ face_px.T)
    return np.sqrt(np.maximum(squared.min(1), 0.0))


def _extent(points_px: FloatArray) -> float:
    return float(np.ptp(points_px[:, 0]))


def _palm_px(points_px: FloatArray) -> float:
    """Return the longest side of the palm's triangle in the picture [px]."""
    palm = points_px[_PALM]
    return float(np.linalg.norm(palm - palm[[1, 2, 0]], axis=1).max())


def _cut(points_px: FloatArray, camera: Camera) -> float:
    """Return the share of points in the picture's outermost hundredth, or outside of it."""
    size = np.array((camera.width_px, camera.height_px))
    margin = 0.01 * size
    return float(((points_px < margin) | (points_px > size - margin)).any(1).mean())
