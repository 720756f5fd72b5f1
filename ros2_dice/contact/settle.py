# SPDX-License-Identifier: Apache-2.0
"""
Bring a hand to where the verdict says it is: onto the skin, or clear of it.

The hand is first scaled about the camera, which leaves the picture as it is; then a few
millimetres of translation and, where fingers still sink in, small turns of the joints do the rest.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ros2_dice.contact.distance import Distance, HeadSurface
from ros2_dice.contact.sampling import HandTables

if TYPE_CHECKING:
    from ros2_dice.bodies import HandState, OpenHand

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]

NEAR_M = 0.012
"""Hand vertices within this of the skin are looked at closely."""
LATERAL_SIGMA_M = 0.004
RAY_SIGMA_M = 0.015
"""How far the hand may be shifted across and along its viewing ray."""
KEPT_M, KEPT_UNSEEN_M = 0.0015, 0.006
"""What was added in the last frame is kept while it is wrong by no more, as is and as seen."""
MOST_SIGMAS = 1.5
"""Of all shifts together, from one frame to the next."""
ANGLE_SIGMA = 0.15
"""Of the joints' turns [rad]."""
TOLERANCE_M = 0.002
"""Penetration that costs nothing: skin gives way."""
PENETRATION_SIGMA_M = 0.003
TOUCH_DEPTH_M = 0.0005
"""The nearest skin of a touching hand lies so deep."""
TOUCH_SIGMA_M = 0.0015
TOUCHING_M = 0.001
"""A hand whose nearest vertex is within this of the skin, or a little inside, stays there."""
CLEARANCE_M = 0.005
"""A hovering hand keeps this distance."""
_PASSES = 2
_ATTEMPTS = 4
SLACK_M = 0.0005
"""The hand may sink in by the skin's limit and this, never more."""


@dataclass(frozen=True)
class Correction:
    """What settling adds to a hand; kept over time, it keeps the hand from trembling."""

    offset_m: npt.NDArray[np.float64]
    """(3,) shift, camera frame [m]."""
    turn_rad: npt.NDArray[np.float64]
    """(22,) of the joints."""


NO_CORRECTION = Correction(np.zeros(3), np.zeros(22))


@dataclass(frozen=True)
class Settled:
    """A hand in its final place."""

    state: HandState
    vertices_m: npt.NDArray[np.float64]
    """(V, 3) [m]."""
    near: IndexArray
    """(N,) vertices that lie near the skin."""
    distance: Distance
    """Of these N vertices, after settling, whatever the camera sees."""
    correction: Correction = NO_CORRECTION


def scaled_about_camera(state: HandState, log_factor: float) -> HandState:
    """Return the state farther away by a factor and larger by the same: it looks the same."""
    return replace(state, translation_m=state.translation_m * np.exp(log_factor),
                   log_scale=state.log_scale + log_factor)


def near_vertices(vertices_m: FloatArray, surface: HeadSurface, tables: HandTables,
                  margin_m: float = NEAR_M) -> IndexArray:
    """Return hand vertices that may lie within a margin of the skin, or else the nearest few."""
    samples = vertices_m[tables.samples]
    reach = surface.reach(samples, margin_m + float(tables.radius_m.max()))
    if np.isinf(reach).all():
        reach = surface.reach(samples)
    near = reach <= max(margin_m, float(reach.min())) + tables.radius_m
    return np.flatnonzero(near[tables.cluster])


def settle_touching(hand: OpenHand, state: HandState, vertices_m: FloatArray,
                    surface: HeadSurface, tables: HandTables, limits_m: FloatArray,
                    start: Correction = NO_CORRECTION) -> Settled:
    """
    Return the hand touching the skin, nowhere deeper than the skin gives way.

    Args:
        hand: the body.
        state: of the hand, already at about the right depth.
        vertices_m: (V, 3) of this state [m].
        surface: the head.
        tables: of the hand.
        limits_m: (V_head,) how far the skin may give way [m].
        start: of the last frame; it is kept as long as it will do.
    """
    low, high = np.minimum(hand.angle_low, state.angles_rad), np.maximum(
        hand.angle_high, state.angles_rad)
    fitted, vertices = state, np.asarray(vertices_m, np.float64)
    if start.turn_rad.any():
        state = replace(state, angles_rad=np.clip(state.angles_rad + start.turn_rad, low, high),
                        translation_m=state.translation_m + start.offset_m)
        vertices = np.asarray(hand.vertices(state), np.float64)
    elif start.offset_m.any():
        state, vertices = state.moved(start.offset_m), vertices + start.offset_m
    near = near_vertices(vertices, surface, tables)
    found, plain = surface.both_distances(vertices[near])
    # What the camera sees jumps where a vertex slips behind an edge: that alone moves no hand.
    kept = start.offset_m.any() and _off_m(plain) <= KEPT_M and _off_m(found) <= KEPT_UNSEEN_M
    best = _off_m(found), state, vertices, near, plain
    for attempt in range(_ATTEMPTS):
        if kept or best[0] == 0.0:
            break
        total = _added(state, fitted)
        # A shift alone has not done it: a finger is in the way.
        if attempt and float(found.signed_m.min()) < 0.0:
            shift, turn = _joint_steps(hand, state, total, vertices[near], found,
                                       tables.landmark[near])
            state = replace(state, angles_rad=np.clip(state.angles_rad + turn, low, high),
                            translation_m=state.translation_m + shift)
            vertices = np.asarray(hand.vertices(state), np.float64)
            near = near_vertices(vertices, surface, tables)
        else:
            offset = _translation(total.offset_m, vertices[near], found)
            state, vertices = state.moved(offset), vertices + offset
        found, plain = surface.both_distances(vertices[near])
        best = min(best, (_off_m(found), state, vertices, near, plain), key=lambda one: one[0])
    _, state, vertices, near, plain = best
    nearest = int(plain.signed_m.argmin())
    gap_m = float(plain.signed_m[nearest])
    if gap_m >= TOUCHING_M + KEPT_M:  # a step as long takes nothing deeper than the skin
        offset = -(gap_m + TOUCH_DEPTH_M) * plain.normal[nearest]
        state, vertices = state.moved(offset), vertices + offset
        _, plain = surface.both_distances(vertices[near])
    allowed = limits_m[plain.vertex] + SLACK_M
    excess = np.maximum(-plain.signed_m - allowed, 0.0)
    if excess.any():  # what a translation and the joints could not resolve: flesh gives way too
        vertices = vertices.copy()
        vertices[near] += excess[:, None] * plain.normal
        plain = replace(plain, signed_m=plain.signed_m + excess)
    return Settled(state, vertices, near, plain, _added(state, fitted))


def _off_m(found: Distance) -> float:
    """Return how much deeper or farther than a touch the nearest vertex is [m]; 0 = it touches."""
    least_m = float(found.signed_m.min())
    return max(-2.0 * TOLERANCE_M - least_m, least_m - TOUCHING_M, 0.0)


def _added(state: HandState, fitted: HandState) -> Correction:
    return Correction(state.translation_m - fitted.translation_m,
                      state.angles_rad - fitted.angles_rad)


def settle_clear(state: HandState, vertices_m: FloatArray, surface: HeadSurface,
                 tables: HandTables, least_factor: float) -> Settled:
    """
    Return the hand clear of the skin, moved towards the camera if need be.

    Args:
        state: of the hand.
        vertices_m: (V, 3) of this state [m].
        surface: the head.
        tables: of the hand.
        least_factor: smallest log depth factor of its samples (`HeadSurface.depth_factor`).
    """
    vertices = np.asarray(vertices_m, np.float64)
    depth_m = max(float(vertices[:, 2].mean()), 1e-3)
    shift = min(0.0, least_factor - CLEARANCE_M / depth_m)
    state, vertices = scaled_about_camera(state, shift), vertices * np.exp(shift)
    near = near_vertices(vertices, surface, tables, margin_m=0.0)
    found, plain = surface.both_distances(vertices[near])
    for _ in range(_PASSES):
        lacking_m = CLEARANCE_M - float(found.signed_m.min())
        if lacking_m <= 0.25 * CLEARANCE_M:
            break
        shift = -lacking_m / depth_m
        state, vertices = scaled_about_camera(state, shift), vertices * np.exp(shift)
        near = near_vertices(vertices, surface, tables, margin_m=0.0)
        found, plain = surface.both_distances(vertices[near])
    return Settled(state, vertices, near, plain)


def _too_much(total: FloatArray, prior: FloatArray) -> FloatArray:
    """
    Return the part of what was added so far (N,) that the prior (N, N) takes back.

    Within the bound the least step will do: a hand that is pulled back each time jumps to and fro.
    Without a bound it would creep away from its picture, frame by frame.
    """
    sigmas = float(np.sqrt(total @ prior @ total))
    return total * max(0.0, 1.0 - MOST_SIGMAS / sigmas) if sigmas > 0.0 else total


def _translation(total_m: FloatArray, points_m: FloatArray, found: Distance) -> FloatArray:
    """
    Return the shift (3,) [m] that makes the nearest skin touch and the rest not sink in.

    Args:
        total_m: (3,) shift so far, off the fitted place.
        points_m: (N, 3) of the hand, shifted so far [m].
        found: their distances to the skin.
    """
    signed, normal = found.signed_m, found.normal
    center = points_m.mean(0)
    ray = center / np.linalg.norm(center)
    along = np.outer(ray, ray)
    prior = (np.eye(3) - along) / LATERAL_SIGMA_M ** 2 + along / RAY_SIGMA_M ** 2
    pull, shift = _too_much(total_m, prior), np.zeros(3)
    nearest = max(3, len(signed) // 50)
    for _ in range(4):  # linear in the shift: distances are not asked for again
        now = signed + normal @ shift
        matrix, gradient = prior.copy(), prior @ (pull + shift)
        sunk = now < -TOLERANCE_M
        if sunk.any():
            weight = 6.0 / (PENETRATION_SIGMA_M ** 2 * max(8, int(sunk.sum())))
            matrix += weight * normal[sunk].T @ normal[sunk]
            gradient += weight * normal[sunk].T @ (now[sunk] + TOLERANCE_M)
        first = np.argpartition(now, nearest - 1)[:nearest] if nearest < len(now) else slice(None)
        direction, error = normal[first].mean(0), float(now[first].mean()) + TOUCH_DEPTH_M
        matrix += np.outer(direction, direction) / TOUCH_SIGMA_M ** 2
        gradient += direction * error / TOUCH_SIGMA_M ** 2
        step = np.linalg.solve(matrix, gradient)
        shift = shift - np.clip(step, -0.02, 0.02)
        if np.abs(step).max() < 1e-4:
            break
    return shift


def _joint_steps(hand: OpenHand, state: HandState, so_far: Correction, points_m: FloatArray,
                 found: Distance, landmark: IndexArray) -> tuple[FloatArray, FloatArray]:
    """Return a shift (3,) [m] and turns (22,) of the joints with which fingers sink in less."""
    pose = hand.kinematics(state.angles_rad, state.shape)
    # A vertex moves like the landmark of its bone: good to a few per cent for small turns.
    by_angle = float(np.exp(state.log_scale)) * hand.by_angle(pose) @ state.rotation.T
    rows = np.concatenate(
        [found.normal, np.einsum('anx,nx->na', by_angle[:, landmark], found.normal)], 1)
    prior = np.concatenate([np.full(3, LATERAL_SIGMA_M ** -2), np.full(22, ANGLE_SIGMA ** -2)])
    pull = _too_much(np.concatenate([so_far.offset_m, so_far.turn_rad]), np.diag(prior))
    change = np.zeros(25)
    nearest = max(3, len(points_m) // 50)
    for _ in range(4):
        now = found.signed_m + rows @ change
        matrix, gradient = np.diag(prior), prior * (pull + change)
        sunk = now < -TOLERANCE_M
        if sunk.any():
            weight = 6.0 / (PENETRATION_SIGMA_M ** 2 * max(8, int(sunk.sum())))
            matrix += weight * rows[sunk].T @ rows[sunk]
            gradient += weight * rows[sunk].T @ (now[sunk] + TOLERANCE_M)
        first = np.argsort(now)[:nearest]
        direction, error = rows[first].mean(0), float(now[first].mean()) + TOUCH_DEPTH_M
        matrix += np.outer(direction, direction) / TOUCH_SIGMA_M ** 2
        gradient += direction * error / TOUCH_SIGMA_M ** 2
        change = change - np.linalg.solve(matrix, gradient)
    return np.clip(change[:3], -0.02, 0.02), np.clip(change[3:], -0.4, 0.4)
