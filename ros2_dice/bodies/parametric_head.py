# SPDX-License-Identifier: Apache-2.0
"""
The parametric head (FLAME): 100 shapes, 50 expressions, jaw, and its rotation given twice.

Body frame: +x to the subject's left, +y up, +z out of the face. What DICE adds to the model is a
rigid step at the end, a turn about the centroid and a shift (section 6 of the specification).
"""
from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ros2_dice.bodies.head_regions import head_regions
from ros2_dice.bodies.mirror import MirrorMap
from ros2_dice.bodies.open_head import OpenHead
from ros2_dice.bodies.parametric import ParametricBody, PosedBody, RigArrays
from ros2_dice.bodies.rotation import matrix_to_quaternion, rotation_matrix
from ros2_dice.bodies.topology import Part, Side, make_topology
from ros2_dice.types import FloatArray, Pose

VERTICES, JOINTS, LANDMARKS = 5023, 5, 68
SHAPES, EXPRESSIONS = 100, 50
_FIRST_EXPRESSION = 300
_LEFT_EYE, _RIGHT_EYE = 3, 4
SELLION = 27
"""Landmark between the eyes, the root of the nose (origin of REP-155's face frame)."""
LICENSE = 'LicenseRef-FLAME'


class ParametricHead(ParametricBody):
    """
    A head.

    Args:
        arrays: of flame.npz: those of the rig, `lmk_faces_idx` (68,), `lmk_bary_coords` (68, 3),
            `neck_idx` (M,).
        guide: the open head; it lends its regions.
        dtype: of the vertices.

    Raises:
        AssetError: the arrays are not those of a head.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], guide: OpenHead,
                 dtype: npt.DTypeLike = np.float64) -> None:
        rig = RigArrays(arrays, 'the head model', JOINTS, _FIRST_EXPRESSION + EXPRESSIONS)
        used = np.concatenate((np.arange(SHAPES), _FIRST_EXPRESSION + np.arange(EXPRESSIONS)))
        super().__init__(rig, rig.shape_dirs[:, :, used], dtype)
        faces = rig.indices('lmk_faces_idx', (LANDMARKS,), len(self.faces))
        self._landmark_corners = self.faces[faces]
        self._landmark_weights = rig.numbers('lmk_bary_coords', (LANDMARKS, 3))[..., None]
        self.neck = rig.indices('neck_idx', (None,), len(self.rest_vertices_m))
        """(M,) vertices that never deform."""
        self.is_skin = _largest_part(self.faces, len(self.rest_vertices_m))
        """(V,) False on the eyeballs."""
        self.topology = make_topology(
            'flame', Part.FACE, Side.NONE, self.faces, self.rest_vertices_m,
            head_regions(self.rest_vertices_m, self.landmarks_m(self.rest_vertices_m), guide),
            guide.region_names, LICENSE, may_be_shared=False,
            coarser_faces=self._coarser_faces)
        self.regions = self.topology.regions
        self.region_names = self.topology.region_names

    @functools.cached_property
    def mirror(self) -> MirrorMap:
        """Return where each vertex lies in a mirror; made when first asked for."""
        return MirrorMap(self.rest_vertices_m, self.faces)

    def posed(self, shape: FloatArray, expression: FloatArray, pose_rad: FloatArray,
              rotation_rad: FloatArray, translation_m: FloatArray) -> PosedBody:
        """
        Return the head in a pose.

        Args:
            shape: (100,) coefficients.
            expression: (50,) coefficients.
            pose_rad: (6,) rotation vectors of the root and of the jaw.
            rotation_rad: (3,) rotation vector about the centroid, applied last.
            translation_m: (3,) [m].
        """
        vectors = np.zeros((JOINTS, 3))
        vectors[0], vectors[2] = pose_rad[:3], pose_rad[3:]
        body = self.pose(np.concatenate((shape, expression)), vectors)
        turn = rotation_matrix(rotation_rad)
        centre = body.vertices_m.mean(0, dtype=np.float64)
        shift = centre + translation_m - turn @ centre
        vertices = body.vertices_m @ turn.T.astype(body.vertices_m.dtype)
        vertices += shift.astype(vertices.dtype)
        return PosedBody(vertices, body.joints_m @ turn.T + shift, turn @ body.rotations)

    def landmarks_m(self, vertices_m: FloatArray) -> FloatArray:
        """Return the 68 landmarks (68, 3) on posed vertices (V, 3) [m]."""
        return (self._landmark_weights * vertices_m[self._landmark_corners]).sum(1)

    def face_pose(self, posed: PosedBody) -> Pose:
        """Return REP-155's face frame: origin sellion, x out of the face, z to the scalp."""
        corners, weights = self._landmark_corners[SELLION], self._landmark_weights[SELLION]
        axes = posed.rotations[0][:, [2, 0, 1]]  # body frame's z, x, y
        return Pose((weights * posed.vertices_m[corners]).sum(0, dtype=np.float64),
                    matrix_to_quaternion(axes))

    def interpupillary_distance_m(self, shape: FloatArray) -> float:
        """Return the distance between the eyes' centres [m] of a shape (100,)."""
        dirs = self.joint_dirs[[_LEFT_EYE, _RIGHT_EYE], :, :SHAPES]
        left, right = self.rest_joints_m[[_LEFT_EYE, _RIGHT_EYE]] + dirs @ np.asarray(shape, float)
        return float(np.linalg.norm(left - right))


def _largest_part(faces: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.bool_]:
    """Return (V,) True on the largest connected part of the surface."""
    links = coo_matrix((np.ones(3 * len(faces)), (faces.ravel(), faces[:, [1, 2, 0]].ravel())),
                       (count, count))
    _, part = connected_components(links, directed=False)
    return part == np.bincount(part).argmax()
