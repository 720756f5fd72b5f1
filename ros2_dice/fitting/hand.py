# SPDX-License-Identifier: Apache-2.0
"""
From 21 landmarks to a hand: Levenberg-Marquardt with analytic derivatives.

Unknowns (39): rotation 3, viewing ray of the wrist 2, log depth 1, log size 1, angles 22, shape
10.
Cost: picture points (robust), the network's metric points (their size is left free: size comes
from the prior, depth from size), priors on angles, shape and size, and the joint limits.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ros2_dice.bodies import HandState, Kinematics, OpenHand
from ros2_dice.bodies.rotation import nearest_rotation, rotation_matrix, skew
from ros2_dice.fitting.camera_rays import focal_px, ray_rotation
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.types import Camera, FloatArray

if TYPE_CHECKING:
    from ros2_dice.landmarks import HandObservation

PICTURE_SIGMA = 0.03
"""Spread of the network's picture points as a fraction of the hand's size in the picture."""
WORLD_SIGMA_M = 0.0143
"""Spread of the network's metric points [m]; measured on renders: 14.7 mm along z."""
ROBUST = 3.0
"""Residual, in sigmas, from which a picture point loses its say (Geman-McClure)."""
ANGLE_WEIGHT = 0.35
LIMIT_WEIGHT = 20.0
LIMIT_SLACK_RAD = 0.1
"""The limits are of an average hand and give way; so far beyond them stands a wall."""
SHAPE_SIGMA = 0.35
CLAMP_SIGMA = 0.01
"""Of `log_z`: how firmly the touch hypothesis holds the depth."""
_PALM = (0, 1, 5, 9, 13, 17)
_POSE, _ANGLES = 7, slice(7, 29)
_Z, _SIZE = 5, 6
_MIN_DEPTH_M, _MAX_DEPTH_M = 0.08, 20.0


@dataclass(frozen=True)
class HandFit:
    """The result for one frame, not filtered."""

    state: HandState
    cost: float
    """Sum of squares in sigmas, priors included; good below 60, doubtful above 100."""
    residual_px: FloatArray
    """(21,) distance in the picture."""


@dataclass(frozen=True)
class Held:
    """What the frame before tells of the joints."""

    angles_rad: FloatArray
    """(22,) of that frame."""
    sigma_rad: float
    """How far each may have moved since."""


class _Problem:
    """Residuals and normal equations for one observation."""

    def __init__(self, hand: OpenHand, observation: HandObservation, camera: Camera,
                 prior: SizePrior, log_z: float | None, fixed_shape: bool,
                 held: Held | None) -> None:
        self.hand, self.prior, self.log_z, self.fixed_shape = hand, prior, log_z, fixed_shape
        self.focal = focal_px(camera)
        self.center = np.array((camera.cx_px, camera.cy_px))
        self.points_px = np.asarray(observation.points_px, float)
        palm = self.points_px[[0, 5, 17]]
        size_px = float(np.linalg.norm(palm - palm[[1, 2, 0]], axis=1).max())
        self.sigma_px = max(PICTURE_SIGMA * size_px, 0.3)
        world = np.asarray(observation.world_m, float) @ ray_rotation(
            camera, self.points_px.mean(axis=0)).T
        self.world = world - world.mean(axis=0)
        self.columns = 29 if fixed_shape else 39
        self.held = held

    def evaluate(self, state: HandState) -> tuple[float, Kinematics, tuple[FloatArray, ...]]:
        """Return the cost and what `normal_equations` needs besides."""
        pose = self.hand.kinematics(state.angles_rad, state.shape)
        to_camera = math.exp(state.log_scale) * state.rotation
        arm = pose.points @ to_camera.T
        point = arm + state.translation_m
        depth = np.maximum(point[:, 2], 0.05)
        picture = (point[:, :2] / depth[:, None] * self.focal + self.center
                   - self.points_px) / self.sigma_px
        square = (picture * picture).sum(axis=1)
        robust = 1.0 / (1.0 + square / ROBUST ** 2)
        centred = arm - arm.mean(axis=0)
        # The best size of the metric points: its own derivative is then zero by construction.
        ratio = float(np.vdot(centred, self.world)) / max(float(np.vdot(centred, centred)), 1e-12)
        ratio = min(max(ratio, 0.3), 3.0)
        world = (ratio * centred - self.world) / WORLD_SIGMA_M
        angles = state.angles_rad
        over = np.minimum(angles - self.hand.angle_low, 0) + np.maximum(
            angles - self.hand.angle_high, 0)
        bent = angles - self.hand.angle_mean
        size = (state.log_scale - self.prior.log_scale) / self.prior.sigma
        cost = (float(square @ robust) + float(np.vdot(world, world))
                + ANGLE_WEIGHT ** 2 * float(bent @ bent) + LIMIT_WEIGHT ** 2 * float(over @ over)
                + float(state.shape @ state.shape) / SHAPE_SIGMA ** 2 + size * size)
        cost += self.conditions(state)
        return cost, pose, (to_camera, arm, point, depth, picture, robust, world,
                            np.array(ratio), over, bent)

    def conditions(self, state: HandState) -> float:
        """Return the part of the cost that no picture and no anatomy asks for."""
        cost = 0.0
        if self.log_z is not None:
            cost += ((math.log(state.translation_m[2]) - self.log_z) / CLAMP_SIGMA) ** 2
        if self.held is not None:
            change = (state.angles_rad - self.held.angles_rad) / self.held.sigma_rad
            cost += float(change @ change)
        return cost

    def normal_equations(self, state: HandState, pose: Kinematics,
                         parts: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
        """Return the Gauss-Newton matrix and the gradient, (N, N) and (N,)."""
        to_camera, arm, point, depth, picture, robust, world, ratio, over, bent = parts
        count, translation = self.columns, state.translation_m
        moved = np.empty((21, 3, count))
        moved[:, :, :3] = -skew(arm)
        moved[:, :, 3:6] = 0.0
        moved[:, :, _SIZE] = arm
        moved[:, :, _ANGLES] = (self.hand.by_angle(pose) @ to_camera.T).transpose(1, 2, 0)
        if not self.fixed_shape:
            moved[:, :, 29:] = to_camera @ self.hand.by_shape(pose)
        rows = np.empty((105, count))
        centred = moved - moved.mean(axis=0)
        centred[:, :, _SIZE] = 0.0  # taken up by the ratio
        np.multiply(centred.reshape(63, count), ratio / WORLD_SIGMA_M, out=rows[42:])
        moved[:, 0, 3] = moved[:, 1, 4] = translation[2]
        moved[:, :, _Z] = translation
        over_depth = robust / (depth * self.sigma_px)  # influence of Geman-McClure, square root
        picture_rows = moved[:, :2] - (point[:, :2] / depth[:, None])[..., None] * moved[:, 2:]
        picture_rows *= (over_depth[:, None] * self.focal)[..., None]
        rows[:42] = picture_rows.reshape(42, count)
        error = np.empty(105)
        error[:42] = (picture * robust[:, None]).ravel()
        error[42:] = world.ravel()
        matrix, gradient = rows.T @ rows, rows.T @ error

        diagonal = np.zeros(count)
        diagonal[_ANGLES] = ANGLE_WEIGHT ** 2 + LIMIT_WEIGHT ** 2 * (over != 0)
        gradient[_ANGLES] += ANGLE_WEIGHT ** 2 * bent + LIMIT_WEIGHT ** 2 * over
        precision = 1.0 / self.prior.sigma ** 2
        diagonal[_SIZE] = precision
        gradient[_SIZE] += precision * (state.log_scale - self.prior.log_scale)
        if not self.fixed_shape:
            diagonal[29:] = 1.0 / SHAPE_SIGMA ** 2
            gradient[29:] += state.shape / SHAPE_SIGMA ** 2
        if self.log_z is not None:
            diagonal[_Z] = 1.0 / CLAMP_SIGMA ** 2
            gradient[_Z] += (math.log(translation[2]) - self.log_z) / CLAMP_SIGMA ** 2
        if self.held is not None:
            diagonal[_ANGLES] += self.held.sigma_rad ** -2
            change = state.angles_rad - self.held.angles_rad
            gradient[_ANGLES] += change / self.held.sigma_rad ** 2
        matrix.flat[::count + 1] += diagonal
        return matrix, gradient

    def stepped(self, state: HandState, step: FloatArray) -> HandState:
        """Return the state after a step, shortened where the linear picture ends."""
        turn = step[:3] * min(1.0, 0.8 / max(float(np.linalg.norm(step[:3])), 1e-9))
        old = state.translation_m
        depth = min(max(old[2] * math.exp(min(max(float(step[_Z]), -0.3), 0.3)), _MIN_DEPTH_M),
                    _MAX_DEPTH_M)
        translation = np.array(((old[0] / old[2] + step[3]) * depth,
                                (old[1] / old[2] + step[4]) * depth, depth))
        return HandState(
            rotation_matrix(turn) @ state.rotation, translation,
            state.log_scale + min(max(float(step[_SIZE]), -0.2), 0.2),
            np.clip(state.angles_rad + np.clip(step[_ANGLES], -0.6, 0.6),
                    self.hand.angle_low - LIMIT_SLACK_RAD, self.hand.angle_high + LIMIT_SLACK_RAD),
            state.shape if self.fixed_shape else state.shape + step[29:])


def first_guess(hand: OpenHand, observation: HandObservation, camera: Camera,
                prior: SizePrior) -> HandState:
    """
    Return a state near the landmarks.

    Fingers are bent as the metric points are, the palm is turned onto them, and the depth follows
    from the palm's size in the picture.
    """
    shape = np.zeros(10)
    points_px = np.asarray(observation.points_px, float)
    world = np.asarray(observation.world_m, float) @ ray_rotation(
        camera, points_px.mean(axis=0)).T
    straight = _bends(hand.kinematics(np.zeros(22), shape).points)
    angles = hand.angle_mean.copy()
    flexion = np.flatnonzero(hand.dof_axis == 0)
    angles[flexion] = np.clip((_bends(world) - straight)[hand.dof_joint[flexion] - 1],
                              hand.angle_low[flexion], hand.angle_high[flexion])
    rest = hand.kinematics(angles, shape).points
    palm = [*_PALM]
    rotation = nearest_rotation(
        (world[palm] - world[palm].mean(axis=0)).T @ (rest[palm] - rest[palm].mean(axis=0)))
    arm = math.exp(prior.log_scale) * rest @ rotation.T
    focal = focal_px(camera)
    seen = (points_px[palm] - (camera.cx_px, camera.cy_px)) / focal
    flat = arm[palm, :2] - arm[palm, :2].mean(axis=0)
    seen_flat = seen - seen.mean(axis=0)
    inverse_depth = float((flat * seen_flat).sum() / max((flat * flat).sum(), 1e-12))
    least = 0.3 * float(np.linalg.norm(seen_flat) / max(np.linalg.norm(flat), 1e-9))
    depth = 1.0 / min(max(inverse_depth, least, 1.0 / _MAX_DEPTH_M), 1.0 / _MIN_DEPTH_M)
    translation = np.append(seen.mean(axis=0) * depth, depth) - arm[palm].mean(axis=0)
    translation[2] = max(translation[2], _MIN_DEPTH_M)
    return HandState(rotation, translation, prior.log_scale, angles, shape)


def _bends(points: FloatArray) -> FloatArray:
    """Return the angle (15,) [rad] between the bones before and after each finger joint."""
    fingers = points[1:].reshape(5, 4, 3)
    chain = np.concatenate((np.broadcast_to(points[0], (5, 1, 3)), fingers), axis=1)
    bones = np.diff(chain, axis=1)
    bones = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
    return np.arccos(np.clip((bones[:, :-1] * bones[:, 1:]).sum(axis=-1), -1.0, 1.0)).ravel()


def fit_hand(hand: OpenHand, observation: HandObservation, camera: Camera, prior: SizePrior, *,
             start: HandState | None = None, log_z: float | None = None, iterations: int = 20,
             fixed_shape: bool = False, patient: bool = False,
             held: Held | None = None) -> HandFit:
    """
    Return the most probable hand for one observation.

    Args:
        hand: the left or the right one, as it looks in the picture.
        observation: finite landmarks.
        camera: lens without distortion.
        prior: of the hand's log size.
        start: where to begin, e.g. the last frame's state; None = from the landmarks.
        log_z: natural logarithm of the wrist's depth [m], clamped; None = free.
        iterations: at most so many steps.
        fixed_shape: keep the shape of `start`.
        patient: go on while there is anything to gain: a valley of the cost may be long and flat,
            and a fit that stops early would creep along it for many frames.
        held: the joints of the frame before. They settle what a picture leaves open, above all
            bends along the line of sight; the cost that is returned is without them.
    """
    problem = _Problem(hand, observation, camera, prior, log_z, fixed_shape, held)
    state = start or first_guess(hand, observation, camera, prior)
    cost, pose, parts = problem.evaluate(state)
    damping, enough = (1e-2, 3e-4) if start is None else (1e-3, 2e-3)
    if patient:
        enough = 1e-6
    for _ in range(iterations):
        matrix, gradient = problem.normal_equations(state, pose, parts)
        diagonal = matrix.flat[::len(matrix) + 1].copy()
        for _ in range(4):
            matrix.flat[::len(matrix) + 1] = diagonal * (1.0 + damping) + 1e-9
            trial = problem.stepped(state, -np.linalg.solve(matrix, gradient))
            trial_cost, trial_pose, trial_parts = problem.evaluate(trial)
            if trial_cost < cost:
                break
            damping *= 8.0
        else:
            break
        gain = (cost - trial_cost) / max(cost, 1e-12)
        state, cost, pose, parts = trial, trial_cost, trial_pose, trial_parts
        damping = max(damping / 8.0, 1e-4)
        if gain < enough:
            break
    return HandFit(state, cost - problem.conditions(state),
                   np.linalg.norm(parts[4], axis=1) * problem.sigma_px)
