# SPDX-License-Identifier: Apache-2.0
"""
The open hand: 16 joints, 22 angles, 10 shape axes, a size, and a rigid pose.

Hand frame (right hand): origin at the wrist, -z to the middle knuckle, +y out of the back of the
hand, +x to the little finger. The left hand is its mirror image in x.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ros2_dice.bodies.openxr import FLAGS, joint_radii
from ros2_dice.bodies.rotation import matrix_to_quaternion, skew
from ros2_dice.bodies.skinning import BlendSkin
from ros2_dice.bodies.topology import Part, Side, make_topology
from ros2_dice.types import FloatArray, HandJoints, Pose

_SAME, _ORIGIN = np.eye(3), np.zeros(3)
SHAPES = 10
_DOF_AXES = (((0, 1, 2), (0, 1), (0,)),) + (((0, 1), (0,), (0,)),) * 4
"""Axes (0 flexion, 1 abduction, 2 twist) of each joint of thumb, index, middle, ring, little."""


@dataclass(frozen=True)
class HandState:
    """All unknowns of one hand; camera point = exp(log_scale) rotation x + translation."""

    rotation: FloatArray
    """(3, 3) hand frame to camera frame."""
    translation_m: FloatArray
    """(3,) wrist [m], optical frame."""
    log_scale: float
    """Natural logarithm of the size against the mean hand."""
    angles_rad: FloatArray
    """(22,) flexion positive."""
    shape: FloatArray
    """(10,) about one extreme each."""

    def moved(self, offset_m: FloatArray) -> HandState:
        """Return the state shifted in the camera frame."""
        return replace(self, translation_m=self.translation_m + offset_m)


@dataclass(frozen=True)
class Kinematics:
    """Posed joints and landmarks in the hand frame at scale 1."""

    rotations: FloatArray
    """(16, 3, 3)."""
    positions: FloatArray
    """(16, 3) [m]."""
    rest_joints: FloatArray
    """(16, 3) [m] of this shape."""
    points: FloatArray
    """(21, 3) [m] landmarks of the hand network."""
    cosine: FloatArray
    """(5, 3, 3) of the turns about x, y, z of each finger joint."""
    sine: FloatArray
    """(5, 3, 3)."""


class _Shaped(NamedTuple):
    """What a shape alone decides, at scale 1."""

    shape: FloatArray
    """(10,)."""
    rest_joints: FloatArray
    """(16, 3) [m]."""
    steps: FloatArray
    """(5, 3, 3, 1) from each finger joint's parent to it, at rest [m]."""
    arms: FloatArray
    """(21, 3, 1) from each landmark's joint to it, at rest [m]."""


class OpenHand:
    """
    A left or right hand made from the arrays of open_bodies.npz.

    Args:
        arrays: the loaded file.
        left: mirror the (right) hand of the file.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], left: bool) -> None:
        self.left = left
        mirror = np.array((-1.0, 1.0, 1.0)) if left else np.ones(3)

        def load(name: str) -> np.ndarray:
            return np.asarray(arrays['hand_' + name])

        def mirrored(name: str) -> FloatArray:
            """Return positions or directions (N, 3[, K])."""
            values = load(name).astype(float)
            return values * (mirror if values.ndim == 2 else mirror[:, None])

        def frames(name: str) -> FloatArray:
            return mirror[:, None] * load(name).astype(float) * mirror

        def faces(name: str) -> np.ndarray:
            triangles = load(name).astype(np.int32)
            return np.ascontiguousarray(triangles[:, ::-1]) if left else triangles

        self.rest_vertices_m = mirrored('vertices')
        self.weights = load('weights').astype(np.float32)
        self.joint_names = tuple(map(str, load('joint_names')))
        self.parents = load('parents').astype(int)
        self.faces = faces('faces')
        self.cap_faces = faces('cap_faces')
        self.topology = make_topology(
            'open', Part.HAND, Side.LEFT if left else Side.RIGHT,
            np.concatenate((self.faces, self.cap_faces)), self.rest_vertices_m, load('regions'),
            tuple(map(str, load('region_names'))), 'CC0-1.0',
            coarser_faces=(faces('medium_faces'), faces('lowpoly_faces')))
        self.regions = self.topology.regions
        self.region_names = self.topology.region_names

        self._skin = BlendSkin(self.rest_vertices_m, mirrored('shape_dirs'), self.weights)
        self.rest_joints_m, self._joint_dirs = mirrored('joints'), mirrored('joint_shape_dirs')
        self._frames = frames('joint_frames')[1:].reshape(5, 3, 3, 3)
        self._frames_t = np.ascontiguousarray(self._frames.swapaxes(-1, -2))
        self._point_joint = load('mp21_parent').astype(int)
        self._points, self._point_dirs = mirrored('mp21_rest'), mirrored('mp21_shape_dirs')
        self.xr_joint = load('openxr_parent').astype(int)
        """(26,) joint that each OpenXR joint moves with."""
        self.xr_rest_m, self._xr_dirs = mirrored('openxr_rest'), mirrored('openxr_shape_dirs')
        self.xr_axes = frames('openxr_rot')
        self._xr_radii = joint_radii(self.xr_rest_m, self.xr_axes, self.rest_vertices_m)

        limits = load('pose_limits').astype(float)
        dof = [(1 + 3 * finger + level, axis) for finger, levels in enumerate(_DOF_AXES)
               for level, axes in enumerate(levels) for axis in axes]
        joint, axis = np.array(dof).T
        self.dof_joint, self.dof_axis = joint, axis
        self.angle_low, self.angle_high = limits[joint, axis].T
        self.angle_mean = np.where(axis == 0, np.where(joint > 3, 0.25, 0.1), 0.0)
        self._slot = 3 * (joint - 1) + axis
        # Flexion is a negative turn about x on both hands, the other two change with the side.
        self._sign = np.where(axis == 0, -1.0, -1.0 if left else 1.0)
        ancestor = np.eye(16, dtype=bool)
        for index in range(1, 16):
            ancestor[index] |= ancestor[self.parents[index]]
        self._moves = ancestor[self._point_joint][:, joint].T[:, :, None].astype(float)
        self._shaped = self._of_shape(np.zeros(SHAPES))
        self._posed: tuple[FloatArray, FloatArray, Kinematics] | None = None

    def _of_shape(self, shape: FloatArray) -> _Shaped:
        rest = self.rest_joints_m + self._joint_dirs @ shape
        steps = rest[1:].reshape(5, 3, 3).copy()
        steps[:, 1:] -= rest[1:].reshape(5, 3, 3)[:, :-1]
        arms = self._points + self._point_dirs @ shape - rest[self._point_joint]
        return _Shaped(shape.copy(), rest, steps[..., None], arms[..., None])

    def kinematics(self, angles_rad: FloatArray, shape: FloatArray) -> Kinematics:
        """Pose the joints and landmarks; all fingers at once, one chain level at a time."""
        shaped = self._shaped
        if not (shape == shaped.shape).all():
            self._shaped = shaped = self._of_shape(shape)
        local = np.zeros(45)
        local[self._slot] = self._sign * angles_rad
        cosine, sine = np.cos(local).reshape(5, 3, 3), np.sin(local).reshape(5, 3, 3)
        cx, cy, cz = cosine[..., 0], cosine[..., 1], cosine[..., 2]
        sx, sy, sz = sine[..., 0], sine[..., 1], sine[..., 2]
        turn = np.empty((5, 3, 3, 3))  # Rx Ry Rz
        turn[..., 0, 0], turn[..., 0, 1], turn[..., 0, 2] = cy * cz, -cy * sz, sy
        sxsy, cxsy = sx * sy, cx * sy
        turn[..., 1, 0], turn[..., 1, 1] = sxsy * cz + cx * sz, cx * cz - sxsy * sz
        turn[..., 2, 0], turn[..., 2, 1] = sx * sz - cxsy * cz, cxsy * sz + sx * cz
        turn[..., 1, 2], turn[..., 2, 2] = -sx * cy, cx * cy
        local_rotation = self._frames @ turn @ self._frames_t

        rotations, positions = np.empty((16, 3, 3)), np.empty((16, 3))
        rotations[0], positions[0] = _SAME, shaped.rest_joints[0]
        chain_r, chain_p = rotations[1:].reshape(5, 3, 3, 3), positions[1:].reshape(5, 3, 3)
        chain_r[:, 0], chain_p[:, 0] = local_rotation[:, 0], shaped.steps[:, 0, :, 0]
        for level in (1, 2):
            parent = chain_r[:, level - 1]
            step = (parent @ shaped.steps[:, level])[..., 0]
            np.add(chain_p[:, level - 1], step, out=chain_p[:, level])
            np.matmul(parent, local_rotation[:, level], out=chain_r[:, level])

        owner = self._point_joint
        points = (rotations[owner] @ shaped.arms)[..., 0] + positions[owner]
        return Kinematics(rotations, positions, shaped.rest_joints, points, cosine, sine)

    def by_angle(self, pose: Kinematics) -> FloatArray:
        """Return (22, 21, 3) the derivative of a pose's `points` by the angles."""
        before = np.empty((5, 3, 3, 3))  # joint frame before its own turn
        before[:, 0] = self._frames[:, 0]
        chain = pose.rotations[1:].reshape(5, 3, 3, 3)
        np.matmul(chain[:, :2], self._frames[:, 1:], out=before[:, 1:])
        axes = np.zeros((5, 3, 3, 3))  # columns: the axes that the three angles turn about
        cx, cy = pose.cosine[..., 0], pose.cosine[..., 1]
        sx, sy = pose.sine[..., 0], pose.sine[..., 1]
        axes[..., 0, 0] = 1.0
        axes[..., 1, 1], axes[..., 2, 1] = cx, sx
        axes[..., 0, 2], axes[..., 1, 2], axes[..., 2, 2] = sy, -sx * cy, cx * cy
        world = (before @ axes).reshape(15, 3, 3).swapaxes(1, 2).reshape(45, 3)[self._slot]
        world = world * self._sign[:, None]
        lever = pose.points[None] - pose.positions[self.dof_joint][:, None]
        return (lever @ skew(world).swapaxes(1, 2)) * self._moves

    def by_shape(self, pose: Kinematics) -> FloatArray:
        """Return (21, 3, 10) the derivative of a pose's `points` by the shape."""
        d_rest, owner = self._joint_dirs, self._point_joint
        d_bones = d_rest[1:].reshape(5, 3, 3, SHAPES)
        d_positions = np.empty((16, 3, SHAPES))
        d_positions[0] = d_rest[0]
        d_chain = d_positions[1:].reshape(5, 3, 3, SHAPES)
        d_chain[:, 0] = d_bones[:, 0]
        chain = pose.rotations[1:].reshape(5, 3, 3, 3)
        for level in (1, 2):
            d_chain[:, level] = d_chain[:, level - 1] + chain[:, level - 1] @ (
                d_bones[:, level] - d_bones[:, level - 1])
        return (pose.rotations[owner] @ (self._point_dirs - d_rest[owner])
                + d_positions[owner])

    def _pose(self, state: HandState) -> Kinematics:
        """Return the posed joints; those of the last state are kept, several things need them."""
        last = self._posed
        if last is not None and (last[0] == state.angles_rad).all() \
                and (last[1] == state.shape).all():
            return last[2]
        pose = self.kinematics(state.angles_rad, state.shape)
        self._posed = state.angles_rad.copy(), state.shape.copy(), pose
        return pose

    def landmarks(self, state: HandState) -> FloatArray:
        """Return the 21 points of the hand network (21, 3) [m], optical frame."""
        points = self._pose(state).points
        return np.exp(state.log_scale) * points @ state.rotation.T + state.translation_m

    def vertices(self, state: HandState) -> FloatArray:
        """Return the skin (V, 3) float32 [m], optical frame."""
        pose = self._pose(state)
        return self.posed(pose, state.shape, np.exp(state.log_scale) * state.rotation,
                          state.translation_m)

    def posed(self, pose: Kinematics, shape: FloatArray, to_camera: FloatArray = _SAME,
              translation_m: FloatArray = _ORIGIN) -> FloatArray:
        """Return the skin (V, 3) float32 [m] of posed joints; in the hand frame by default."""
        return self._skin.posed(shape, pose.rotations, pose.positions, pose.rest_joints,
                                to_camera, translation_m)

    def joints(self, state: HandState) -> HandJoints:
        """Return the 26 OpenXR joints, optical frame."""
        pose = self._pose(state)
        owner, scale = self.xr_joint, float(np.exp(state.log_scale))
        rotations = pose.rotations[owner]
        arm = self.xr_rest_m + self._xr_dirs @ state.shape - pose.rest_joints[owner]
        points = (rotations @ arm[..., None])[..., 0] + pose.positions[owner]
        return HandJoints(
            scale * points @ state.rotation.T + state.translation_m,
            matrix_to_quaternion(state.rotation @ rotations @ self.xr_axes),
            scale * self._xr_radii, FLAGS)

    def wrist_pose(self, state: HandState) -> Pose:
        """Return the OpenXR wrist: -z to the middle knuckle, +y out of the back of the hand."""
        joint = self._pose(state).rest_joints[0]
        return Pose(np.exp(state.log_scale) * state.rotation @ joint + state.translation_m,
                    matrix_to_quaternion(state.rotation))

    def length_m(self, shape: FloatArray) -> float:
        """Return wrist to middle tip along the outstretched bones at scale 1 [m]."""
        chain = self.rest_joints_m[[0, 7, 8, 9]] + self._joint_dirs[[0, 7, 8, 9]] @ shape
        tip = self.xr_rest_m[15] + self._xr_dirs[15] @ shape
        return float(np.linalg.norm(np.diff(np.vstack((chain, tip)), axis=0), axis=1).sum())
