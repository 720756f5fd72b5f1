# SPDX-License-Identifier: Apache-2.0
"""
From 468 landmarks to a head: Gauss-Newton with bounds on the expressions.

Unknowns: rotation 3, viewing ray 2, log depth 1, log size 1, identity 24, expression 43 of 52
(gaze and tongue can't be seen in the points). Cost: picture points (robust), the network's
relative depth, priors on identity, expression and size.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ros2_dice.bodies import HeadState, OpenHead
from ros2_dice.bodies.rotation import nearest_rotation, rotation_matrix, skew
from ros2_dice.fitting.camera_rays import focal_px, ray_rotation
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.types import Camera, FloatArray

if TYPE_CHECKING:
    from ros2_dice.landmarks import FaceObservation

PICTURE_SIGMA = 0.012
"""Spread of the network's points as a fraction of the face's size in the picture."""
DEPTH_WEIGHT = 0.25
"""Weight of the network's depth against its picture points."""
ROBUST = 4.0
PRIOR_WEIGHT = 3.0
"""Of identity and expression, against all 468 points: neighbours err alike."""
EXPRESSION_SIGMA = 0.35
POINTS = 156
"""Points used once the identity is known."""
ADULTS = SizePrior(0.0, 0.04)
"""Head sizes where nothing else is known."""
_POSE, _Z, _SIZE = 7, 5, 6
_MIN_DEPTH_M, _MAX_DEPTH_M = 0.08, 20.0
_UNSEEN = ('eyeLook', 'tongue')


@dataclass(frozen=True)
class HeadFit:
    """The result for one frame, not filtered."""

    state: HeadState
    cost: float
    residual_px: FloatArray
    """(P,) distance in the picture, of the points used."""


class _Points:
    """A choice of landmarks with their derivatives as (3, K, P) float32."""

    def __init__(self, head: OpenHead, index: np.ndarray, expressions: np.ndarray) -> None:
        self.index = index
        self.rest = head.landmark_rest_m[index].T.copy()
        # Points that are left out lend their weight to the nearest one that is not, so that a
        # choice of points has its minimum where all of them have it.
        away = np.linalg.norm(head.landmark_rest_m[:, None] - head.landmark_rest_m[index], axis=-1)
        self.weight = np.bincount(away.argmin(axis=1), head.landmark_weight, len(index))
        dirs = head.landmark_dirs[index].transpose(1, 2, 0).astype(np.float32)
        identities = head.identity_count
        self.identity = np.ascontiguousarray(dirs[:, :identities])
        self.expression = np.ascontiguousarray(dirs[:, identities + expressions])
        self.both = np.concatenate((self.identity, self.expression), axis=1)


class _Problem:
    """Residuals and normal equations for one observation."""

    def __init__(self, points: _Points, expressions: np.ndarray, observation: FaceObservation,
                 camera: Camera, size_prior: SizePrior, trust: FloatArray | None,
                 identity: FloatArray | None) -> None:
        index = points.index
        seen = np.asarray(observation.points_px, float)
        self.expressions = expressions
        self.focal, self.size_prior = focal_px(camera), size_prior
        self.mean_focal = math.sqrt(camera.fx_px * camera.fy_px)
        self.sigma_px = max(PICTURE_SIGMA * float(np.ptp(seen, axis=0).max()), 0.1)
        self.ray = ray_rotation(camera, seen.mean(axis=0))[:, 2]
        self.seen = seen[index].T - [[camera.cx_px], [camera.cy_px]]
        relief = np.asarray(observation.depth_px, float)[index]
        self.relief = relief - relief.mean()
        self.weight = points.weight if trust is None else points.weight * trust[index]
        self.root_weight = np.sqrt(self.weight)
        self.fixed = identity
        self.identities = 0 if identity is not None else points.identity.shape[1]
        self.dirs = points.expression if identity is not None else points.both
        self.rest = points.rest
        if identity is not None:
            self.rest = self.rest + identity.astype(np.float32) @ points.identity
        self.first = _POSE + self.identities
        self.count = self.first + len(expressions)
        self.prior = np.full(self.count, PRIOR_WEIGHT)
        self.prior[:_POSE] = 0.0
        self.prior[self.first:] /= EXPRESSION_SIGMA ** 2
        self.prior[_SIZE] = 1.0 / size_prior.sigma ** 2

    def values(self, state: HeadState) -> FloatArray:
        """Return identity (where free) and the visible expressions."""
        expression = state.expression[self.expressions]
        return expression if self.fixed is not None else np.concatenate(
            (state.identity, expression))

    def evaluate(self, state: HeadState) -> tuple[float, tuple[FloatArray, ...]]:
        """Return the cost and what `step` needs besides."""
        values = self.values(state)
        to_camera = math.exp(state.log_scale) * state.rotation
        arm = to_camera @ (self.rest + values.astype(np.float32) @ self.dirs)
        point = arm + state.translation_m[:, None]
        depth = np.maximum(point[2], 0.05)
        picture = (point[:2] / depth * self.focal[:, None] - self.seen) / self.sigma_px
        square = picture[0] * picture[0] + picture[1] * picture[1]
        robust = 1.0 / (1.0 + square / ROBUST ** 2)
        root = self.root_weight * robust
        along = self.ray @ arm
        along -= along.mean()
        # The network's depth has its own size: taken as given it would pull the head's distance.
        to_px = self.mean_focal / state.translation_m[2]
        weighed = root * along
        fitted = float(weighed @ (root * self.relief)) / max(float(weighed @ weighed), 1e-12)
        to_px = min(max(fitted, 0.75 * to_px), 1.33 * to_px)
        relief = (to_px * along - self.relief) * (DEPTH_WEIGHT / self.sigma_px)
        pull = np.zeros(self.count)
        pull[_SIZE] = state.log_scale - self.size_prior.log_scale
        pull[_POSE:] = values
        cost = (float(self.weight @ (square * robust)) + float(root ** 2 @ relief ** 2)
                + float(self.prior @ (pull * pull)))
        return cost, (to_camera, arm, point, depth, picture, relief, root, pull,
                      np.array(to_px))

    def step(self, state: HeadState, parts: tuple[FloatArray, ...]) -> FloatArray:
        """Return the Gauss-Newton step of the unknowns that are not held at a bound."""
        to_camera, arm, point, depth, picture, relief, root, pull, to_px = parts
        count, translation = self.count, state.translation_m
        (x, y, z), (tx, ty, tz) = arm, translation
        # Each residual is one direction in the camera frame along which a point matters.
        scale = root / (depth * self.sigma_px)
        beams = np.zeros((3, 3, len(depth)))  # (residual, direction, point)
        beams[0, 0], beams[1, 1] = fx, fy = self.focal[0] * scale, self.focal[1] * scale
        beams[0, 2], beams[1, 2] = gx, gy = -point[:2] * (beams[(0, 1), (0, 1)] / depth)
        deep = self.ray * (float(to_px) * DEPTH_WEIGHT / self.sigma_px)
        beams[2] = deep[:, None]
        rows = np.zeros((count, 3, len(depth)), np.float32)
        rows[0, 0], rows[0, 1] = y * gx, y * gy - z * fy
        rows[1, 0], rows[1, 1] = z * fx - x * gx, -x * gy
        rows[2, 0], rows[2, 1] = -y * fx, x * fy
        rows[:3, 2] = -skew(deep) @ arm
        rows[3, 0], rows[4, 1] = fx * tz, fy * tz
        rows[_Z, 0], rows[_Z, 1] = fx * tx + gx * tz, fy * ty + gy * tz
        rows[_SIZE, 0], rows[_SIZE, 1] = fx * x + gx * z, fy * y + gy * z
        local = (to_camera.T @ beams).astype(np.float32)
        shapes = rows[_POSE:]
        np.multiply(self.dirs[0][:, None], local[:, 0], out=shapes)
        shapes += self.dirs[1][:, None] * local[:, 1]
        shapes += self.dirs[2][:, None] * local[:, 2]
        rows[:, 2] -= rows[:, 2].mean(axis=1)[:, None]
        rows[:, 2] *= root.astype(np.float32)
        flat = rows.reshape(count, -1)
        error = np.concatenate((picture * root, (relief * root)[None])).astype(np.float32)
        matrix = (flat @ flat.T).astype(float)
        gradient = (flat @ error.ravel()).astype(float) + self.prior * pull
        matrix.flat[::count + 1] += self.prior + 1e-6

        free = np.ones(count, bool)
        free[_SIZE] = self.fixed is None
        expression, slope = pull[self.first:], gradient[self.first:]
        free[self.first:] = ~(((expression <= 0) & (slope > 0))
                              | ((expression >= 1) & (slope < 0)))
        chosen = np.flatnonzero(free)
        step = np.zeros(count)
        step[chosen] = -np.linalg.solve(matrix[np.ix_(chosen, chosen)], gradient[chosen])
        step[:3] *= min(1.0, 0.5 / max(float(np.linalg.norm(step[:3])), 1e-9))
        step[_Z:_POSE] = np.clip(step[_Z:_POSE], -0.3, 0.3)
        return step

    def stepped(self, state: HeadState, step: FloatArray) -> HeadState:
        """Return the state after a step, within its bounds."""
        old = state.translation_m
        depth = min(max(old[2] * math.exp(step[_Z]), _MIN_DEPTH_M), _MAX_DEPTH_M)
        expression = np.zeros_like(state.expression)
        expression[self.expressions] = np.clip(
            state.expression[self.expressions] + step[self.first:], 0.0, 1.0)
        identity = state.identity if self.fixed is not None else np.clip(
            state.identity + step[_POSE:self.first], -3.0, 3.0)
        return HeadState(
            rotation_matrix(step[:3]) @ state.rotation,
            np.append((old[:2] / old[2] + step[3:5]) * depth, depth),
            state.log_scale + float(step[_SIZE]), identity, expression)


class HeadFitter:
    """
    The fit, with all that can be laid out beforehand.

    Args:
        head: the body.
    """

    def __init__(self, head: OpenHead) -> None:
        self.head = head
        self._expressions = np.flatnonzero(
            [not name.startswith(_UNSEEN) for name in head.expression_names])
        usable = np.flatnonzero(head.landmark_weight > 0.02)
        few = usable[spread_points(head.landmark_rest_m[usable], POINTS)]
        self._all = _Points(head, usable, self._expressions)
        self._few = _Points(head, few, self._expressions)

    def fit(self, observation: FaceObservation, camera: Camera, *,
            start: HeadState | None = None, fixed_identity: bool = False,
            size_prior: SizePrior = ADULTS, trust: FloatArray | None = None,
            iterations: int = 6) -> HeadFit:
        """
        Return the most probable head for one observation.

        Args:
            observation: finite landmarks.
            camera: lens without distortion.
            start: where to begin, e.g. the last frame's state; None = from the landmarks.
            fixed_identity: keep identity and size of `start`, and use fewer points.
            size_prior: of the head's log size.
            trust: (468,) 0 to 1, less for covered points; None = 1.
            iterations: at most so many steps.
        """
        state = start or self.rigid_start(observation, camera, size_prior)
        problem = _Problem(self._few if fixed_identity else self._all, self._expressions,
                           observation, camera, size_prior, trust,
                           state.identity if fixed_identity else None)
        cost, parts = problem.evaluate(state)
        for _ in range(iterations):
            step = problem.step(state, parts)
            state = problem.stepped(state, step)
            cost, parts = problem.evaluate(state)
            if np.abs(step[:3]).max() < 2e-3 and abs(step[_Z]) < 1e-3:
                break
        return HeadFit(state, cost, np.hypot(*parts[4]) * problem.sigma_px)

    def rigid_start(self, observation: FaceObservation, camera: Camera,
                    size_prior: SizePrior) -> HeadState:
        """Return a first guess: the mean head turned onto the points, depth from its size."""
        index, weight = self._all.index, self._all.weight[:, None]
        ray = ray_rotation(camera, np.asarray(observation.points_px, float).mean(axis=0))
        seen = np.column_stack((observation.points_px, observation.depth_px)).astype(float)[index]
        rest = self._all.rest.T * math.exp(size_prior.log_scale)
        # Heads face the camera: y and z of head and camera frame are opposite.
        flipped = (rest - rest.mean(axis=0)) * (1.0, -1.0, -1.0)
        offset = seen - seen.mean(axis=0)
        turn = nearest_rotation((offset * weight).T @ flipped)
        rotation = ray @ turn @ np.diag((1.0, -1.0, -1.0))
        px_per_m = float((offset * (flipped @ turn.T)).sum() / (flipped * flipped).sum())
        focal = focal_px(camera)
        depth = math.sqrt(camera.fx_px * camera.fy_px) / max(px_per_m, 1e-6)
        depth = min(max(depth, _MIN_DEPTH_M), _MAX_DEPTH_M)
        center = (seen[:, :2].mean(axis=0) - (camera.cx_px, camera.cy_px)) / focal
        translation = np.append(center * depth, depth) - rotation @ rest.mean(axis=0)
        translation[2] = max(translation[2], _MIN_DEPTH_M)
        return HeadState(rotation, translation, size_prior.log_scale,
                         np.zeros(self.head.identity_count), np.zeros(self.head.expression_count))


def spread_points(points: FloatArray, count: int) -> np.ndarray:
    """Return indices of points (N, 3) far from each other, picked one after the other."""
    chosen = [int(np.argmax(points[:, 2]))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
