# SPDX-License-Identifier: Apache-2.0
"""
The parametric hand (MANO): 10 shapes, 45 angles, a rotation and a translation.

A right hand as it comes; the left one is its mirror image, parameters included: the same shape
coefficients, rotation vectors with x kept and y, z negated, translations with x negated.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies.hand_regions import REGION_NAMES, hand_regions
from ros2_dice.bodies.open_hand import OpenHand
from ros2_dice.bodies.openxr import FLAGS, joint_radii
from ros2_dice.bodies.parametric import (
    ParametricBody,
    PosedBody,
    RigArrays,
    corrected_left_shape,
    mirrored_arrays,
    outward_normals,
)
from ros2_dice.bodies.rotation import (
    matrix_to_quaternion,
    nearest_rotation,
    rotation_between,
)
from ros2_dice.bodies.topology import Part, Side, make_topology
from ros2_dice.types import FloatArray, HandJoints, Pose

VERTICES, JOINTS, SHAPES = 778, 16, 10
TIPS = np.array((744, 320, 443, 554, 671))
"""Vertices of the finger tips, thumb to little finger."""
NETWORK_TIPS = np.array((745, 317, 445, 556, 673))
"""Likewise, in the 21 joints that the network of DICE is given and gives; never mix the two."""
TIP_SHARE = 0.7
"""The 21 joints have their tips at this share of the way from the last joint to the vertex."""
THUMB_FIRST = np.array((0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20))
"""The 21 joints (wrist, index, middle, little, ring, thumb, tips) as wrist, thumb to little."""
LICENSE = 'LicenseRef-MANO'
_LABEL = 'the hand model'
_CHAINS = np.array(((13, 14, 15), (1, 2, 3), (4, 5, 6), (10, 11, 12), (7, 8, 9)))
"""Thumb, index, middle, ring, little; the model has the little finger before the ring finger."""
_DISTAL = _CHAINS[:, 2]
_OPEN_ORDER = np.concatenate(((0,), _CHAINS.ravel()))
"""The model's joints in the order of the open hand's."""


class ParametricHand(ParametricBody):
    """
    A left or right hand.

    Args:
        arrays: of mano.npz, a RIGHT hand.
        guide: the open hand of the same side; it lends its OpenXR axes.
        left: mirror the arrays.
        dtype: of the vertices.
        own_left: arrays of a left hand's own file, in place of the mirror image; the known error
            of its shape directions is mended.

    Raises:
        AssetError: the arrays are not those of a hand.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], guide: OpenHand, left: bool = False,
                 dtype: npt.DTypeLike = np.float64,
                 own_left: Mapping[str, np.ndarray] | None = None) -> None:
        rig = RigArrays(arrays, _LABEL, JOINTS, SHAPES)
        if left and own_left is not None:
            right, rig = rig, RigArrays(own_left, _LABEL, JOINTS, SHAPES)
            rig.shape_dirs = corrected_left_shape(rig.shape_dirs, right.shape_dirs)
        elif left:
            rig = RigArrays(mirrored_arrays(arrays), _LABEL, JOINTS, SHAPES)
        super().__init__(rig, rig.shape_dirs[:, :, :SHAPES], dtype)
        self.left = left
        self._set_openxr(guide)
        back, nails = self._xr_axes[1, :, 1], self._xr_axes[[4, 9, 14, 19, 24], :, 1]
        self.topology = make_topology(
            'mano', Part.HAND, Side.LEFT if left else Side.RIGHT, self.faces,
            self.rest_vertices_m,
            hand_regions(outward_normals(self.rest_vertices_m, self.faces), self.weights, _CHAINS,
                         back, nails),
            REGION_NAMES, LICENSE, may_be_shared=False,
            coarser_faces=self._coarser_faces)
        self.regions = self.topology.regions
        self.region_names = self.topology.region_names

    def posed(self, shape: FloatArray, rotation_rad: FloatArray, angles_rad: FloatArray,
              translation_m: FloatArray) -> PosedBody:
        """
        Return the hand in a pose.

        Args:
            shape: (10,) coefficients.
            rotation_rad: (3,) rotation vector of the wrist.
            angles_rad: (45,) rotation vectors of the other joints; zero is the flat hand.
            translation_m: (3,) added last [m].
        """
        vectors = np.concatenate((rotation_rad, angles_rad)).reshape(JOINTS, 3)
        return self.pose(shape, vectors, translation_m)

    def joints_21_m(self, posed: PosedBody, tip_share: float = TIP_SHARE) -> FloatArray:
        """
        Return the 16 joints and five tips (21, 3) [m], index finger first, thumb last.

        Args:
            posed: of this hand.
            tip_share: where each tip lies from the last joint (0) to the skin (1).
        """
        last = posed.joints_m[_DISTAL]
        tips = last + tip_share * (posed.vertices_m[TIPS] - last)
        return np.concatenate((posed.joints_m, tips))

    def openxr_joints(self, posed: PosedBody, shape: FloatArray, scale: float = 1.0
                      ) -> HandJoints:
        """
        Return the 26 OpenXR joints, in the frame of the posed body.

        Args:
            posed: of this hand.
            shape: (10,) that it was posed with.
            scale: by which it was magnified since.
        """
        owner = self._xr_joint
        arm = self._xr_rest_m + self._xr_dirs @ np.asarray(shape, float) \
            - self.joints_m(shape)[owner]
        rotations = posed.rotations[owner]
        return HandJoints(
            posed.joints_m[owner] + scale * (rotations @ arm[..., None])[..., 0],
            matrix_to_quaternion(rotations @ self._xr_axes), scale * self._xr_radii_m, FLAGS)

    def wrist_pose(self, posed: PosedBody) -> Pose:
        """Return the OpenXR wrist: -z to the middle knuckle, +y out of the back of the hand."""
        return Pose(posed.joints_m[0],
                    matrix_to_quaternion(posed.rotations[0] @ self._xr_axes[1]))

    def length_m(self, shape: FloatArray) -> float:
        """Return wrist to middle tip along the outstretched bones [m]."""
        tip = self.rest_vertices_m[TIPS[2]] + self.shape_dirs[TIPS[2]] @ np.asarray(shape, float)
        chain = np.concatenate((self.joints_m(shape)[[0, 4, 5, 6]], tip[None]))
        return float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())

    def _set_openxr(self, guide: OpenHand) -> None:
        """Place the 26 joints: a linear function of the shape, with axes bent from the guide's."""
        joints, dirs = self.rest_joints_m, self.joint_dirs
        tips, tip_dirs = self.rest_vertices_m[TIPS], self.shape_dirs[TIPS]
        values = np.concatenate((np.concatenate((joints, tips))[..., None],
                                 np.concatenate((dirs, tip_dirs))), -1)  # (21, 3, 1 + S)
        # Palm and metacarpals lie as far from wrist to knuckle as in the guide.
        rows = np.zeros((26, 21))
        wrist, knuckle = guide.xr_rest_m[1], guide.xr_rest_m[12]
        rows[0, [0, 4]] = _between(guide.xr_rest_m[0], wrist, knuckle)
        rows[1, 0] = 1.0
        row = 2
        for finger, chain in enumerate(_CHAINS):
            if finger:
                rows[row, [0, chain[0]]] = _between(
                    guide.xr_rest_m[row], wrist, guide.xr_rest_m[row + 1])
                row += 1
            rows[row:row + 3, chain] = np.eye(3)
            rows[row + 3, 16 + finger] = 1.0
            row += 4
        points = np.einsum('nj,jcs->ncs', rows, values)
        self._xr_rest_m, self._xr_dirs = points[..., 0], points[..., 1:]
        self._xr_joint = _OPEN_ORDER[guide.xr_joint]

        own = joints[_OPEN_ORDER] - joints[0]
        lent = guide.rest_joints_m - guide.rest_joints_m[0]
        turn = nearest_rotation(own.T @ lent)
        axes = turn @ guide.xr_axes
        start, end = np.arange(26), np.arange(26) + 1
        start[[0, 1]], end[[0, 1]] = 1, 12  # palm and wrist look at the middle knuckle
        last = np.array((5, 10, 15, 20, 25))
        start[last], end[last] = last - 1, last
        bones = self._xr_rest_m[end] - self._xr_rest_m[start]
        self._xr_axes = np.stack([rotation_between(-frame[:, 2], bone) @ frame
                                  for frame, bone in zip(axes, bones)])
        self._xr_radii_m = _finite_radii(
            joint_radii(self._xr_rest_m, self._xr_axes, self.rest_vertices_m))


def _between(point: FloatArray, start: FloatArray, end: FloatArray) -> tuple[float, float]:
    """Return the weights of start and end for the point's foot on the line between them."""
    along = end - start
    share = float((point - start) @ along / (along @ along))
    return 1.0 - share, share


def _finite_radii(radii_m: FloatArray) -> FloatArray:
    """Return radii, with the median in place of those that no skin lies beside."""
    finite = np.isfinite(radii_m) & (radii_m > 0.0)
    return np.where(finite, radii_m, np.median(radii_m[finite]) if finite.any() else 0.0)
