# SPDX-License-Identifier: Apache-2.0
"""
What MANO and FLAME have in common: template, blend shapes of shape and pose, joints, weights.

Sources: Romero, Tzionas, Black, Embodied hands (MANO), SIGGRAPH Asia 2017; Li, Bolkart, Black, Li,
Romero, Learning a model of facial shape and expression (FLAME), SIGGRAPH Asia 2017. The arrays
come from files that the user brings; nothing of them ships.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies.levels import decimate
from ros2_dice.bodies.rotation import rotation_matrices
from ros2_dice.bodies.skinning import BlendSkin, pose_chain, pose_features
from ros2_dice.errors import AssetError
from ros2_dice.types import FloatArray

MIRROR = np.array((-1.0, 1.0, 1.0))
"""Left and right change places; x is the axis across in MANO and FLAME."""
_MEDIUM_SHARE, _COARSE_FACES = 0.4, 780
"""Faces of level 1 against level 0, and of level 2."""


@dataclass(frozen=True, eq=False)
class PosedBody:
    """One body in one pose, in the frame that its parameters are given in."""

    vertices_m: FloatArray
    """(V, 3) [m]."""
    joints_m: FloatArray
    """(J, 3) [m]."""
    rotations: FloatArray
    """(J, 3, 3) of each joint against the rest pose."""


class RigArrays:
    """
    The arrays of mano.npz or flame.npz, checked.

    Args:
        arrays: `v_template` (V, 3) [m], `shapedirs` (V, 3, S), `posedirs` (V, 3, 9 (J - 1)),
            `J_regressor` (J, V), `weights` (V, J), `faces` (T, 3), `parents` (J,), and, or else
            they are made here, `medium_faces` and `coarse_faces`; others are passed over.
        label: of the file, for errors.
        joints: how many there must be.
        shapes: how many shape directions there must be at least.

    Raises:
        AssetError: an array is missing, or has another shape, or holds what is not finite.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], label: str, joints: int,
                 shapes: int) -> None:
        self._arrays, self._label = arrays, label
        self.template = self.numbers('v_template', (None, 3))
        count = len(self.template)
        self.shape_dirs: FloatArray = self.numbers('shapedirs', (count, 3, None))
        self.pose_dirs = self.numbers('posedirs', (count, 3, 9 * (joints - 1)))
        self.regressor = self.numbers('J_regressor', (joints, count))
        self.weights = self.numbers('weights', (count, joints))
        if not {'medium_faces', 'coarse_faces'} <= arrays.keys():
            self.indices('faces', (None, 3), count)
            self._arrays = with_levels(arrays)
        self.faces, *self.coarser_faces = (
            self.indices(name, (None, 3), count).astype(np.int32)
            for name in ('faces', 'medium_faces', 'coarse_faces'))
        parents = self._array('parents', (joints,)).astype(np.int64)
        parents[0] = -1  # the files say 2^32 - 1, or nothing in particular
        if self.shape_dirs.shape[2] < shapes:
            raise self._error('shapedirs', self.shape_dirs.shape, f'{shapes} directions or more')
        if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, joints)).any():
            raise self._error('parents', parents.tolist(), 'parents before their children')
        self.parents = tuple(parents.tolist())

    def indices(self, name: str, shape: tuple[int | None, ...],
                count: int) -> npt.NDArray[np.int64]:
        """Return an array of indices below `count`."""
        values = self._array(name, shape).astype(np.int64)
        if values.size and (values.min() < 0 or values.max() >= count):
            raise self._error(name, (int(values.min()), int(values.max())),
                              f'indices from 0 to {count - 1}')
        return values

    def numbers(self, name: str, shape: tuple[int | None, ...]) -> npt.NDArray[np.float64]:
        """Return an array of finite numbers."""
        values = self._array(name, shape).astype(np.float64)
        if not np.isfinite(values).all():
            raise self._error(name, 'not finite everywhere', 'finite numbers')
        return values

    def _array(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        values = np.asarray(self._arrays.get(name, np.zeros(0)))
        if None not in shape and values.size == np.prod([n or 0 for n in shape]):
            return values.reshape([n or 0 for n in shape])  # axes of one do not matter
        if len(values.shape) != len(shape) or any(
                wanted not in (None, found) for wanted, found in zip(shape, values.shape)):
            got = values.shape if name in self._arrays else 'missing'
            raise self._error(name, got, f'shape {shape}'.replace('None', 'any'))
        return values

    def _error(self, name: str, got: object, expected: str) -> AssetError:
        return AssetError(f'array {name} of {self._label}', got=got, expected=expected,
                          next_step='import the files again: ros2-dice import --help')


def mirrored_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """
    Return the arrays of the other hand: the same body in a mirror (x changes its sign).

    A turn R of a joint becomes M R M there, so that each element of the pose features changes its
    sign with the axes of its row and column, and its effect with the axis of its direction. The
    shape coefficients stay what they are; axis-angle vectors keep x and change the sign of y, z.
    """
    signs = np.outer(MIRROR, MIRROR).ravel()
    joints = np.shape(arrays['J_regressor'])[0]
    return {
        **arrays,
        'v_template': arrays['v_template'] * MIRROR,
        'shapedirs': arrays['shapedirs'] * MIRROR[:, None],
        'posedirs': arrays['posedirs'] * MIRROR[:, None] * np.tile(signs, joints - 1),
        **{name: np.ascontiguousarray(arrays[name][:, ::-1])
           for name in ('faces', 'medium_faces', 'coarse_faces') if name in arrays},
    }


def corrected_left_shape(left: FloatArray, right: FloatArray) -> FloatArray:
    """
    Return the shape directions (V, 3, S) of a left hand's own file, with their known error mended.

    The published left hand has its template mirrored, but not the x of its first shape directions:
    a positive coefficient makes the right hand wider and the left one narrower. A right hand of
    the same release tells which it is.

    Args:
        left: (V, 3, S) of the left hand's file [m].
        right: (V, 3, S) of the right hand's file [m].
    """
    same = np.abs(left[:, 0] - right[:, 0]).sum(0)
    opposite = np.abs(left[:, 0] + right[:, 0]).sum(0)
    result = left.copy()
    result[:, 0] *= np.where(same < opposite, -1.0, 1.0)
    return result


class ParametricBody:
    """
    A rig that vertices follow.

    Args:
        rig: its arrays.
        shape_dirs: (V, 3, S) the shape directions in use [m].
        dtype: of the vertices; joints are always float64.
    """

    def __init__(self, rig: RigArrays, shape_dirs: FloatArray, dtype: npt.DTypeLike) -> None:
        self.rest_vertices_m = rig.template
        self.faces = rig.faces
        self._coarser_faces = tuple(rig.coarser_faces)
        self.weights = rig.weights
        self.parents = rig.parents
        self.shape_dirs = shape_dirs
        self.pose_dirs = rig.pose_dirs
        self.regressor = rig.regressor
        """(J, V) joints from the vertices of a body at rest."""
        self.rest_joints_m = rig.regressor @ rig.template
        """(J, 3) of the template [m]."""
        self.joint_dirs = np.einsum('jv,vcs->jcs', rig.regressor, shape_dirs, optimize=True)
        """(J, 3, S) derivative of the joints by the shape [m]."""
        self._skin = BlendSkin(rig.template, np.concatenate((shape_dirs, rig.pose_dirs), 2),
                               rig.weights, dtype)

    def joints_m(self, shape: FloatArray) -> FloatArray:
        """Return the joints (J, 3) of a shape (S,) at rest [m]."""
        return self.rest_joints_m + self.joint_dirs @ np.asarray(shape, float)

    def pose(self, shape: FloatArray, vectors_rad: FloatArray,
             translation_m: FloatArray | None = None) -> PosedBody:
        """
        Return the body in a pose.

        Args:
            shape: (S,) coefficients.
            vectors_rad: (J, 3) rotation vector of each joint against its parent.
            translation_m: (3,) added last [m].
        """
        local = rotation_matrices(vectors_rad)
        rest = self.joints_m(shape)
        rotations, positions = pose_chain(local, rest, self.parents)
        coefficients = np.concatenate((np.asarray(shape, float), pose_features(local)))
        vertices = self._skin.posed(coefficients, rotations, positions, rest,
                                    translation_m=translation_m)
        if translation_m is not None:
            positions = positions + translation_m
        return PosedBody(vertices, positions, rotations)


def with_levels(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """
    Return the arrays with `medium_faces` and `coarse_faces`, levels 1 and 2 of the mesh.

    Making them takes a second or two: who stores a body stores them with it.
    """
    faces = np.asarray(arrays['faces'], np.int64)
    medium = decimate(arrays['v_template'], faces, int(len(faces) * _MEDIUM_SHARE))
    coarse = decimate(arrays['v_template'], medium, _COARSE_FACES)
    return {**arrays, 'medium_faces': medium.astype(np.int32),
            'coarse_faces': coarse.astype(np.int32)}


def outward_normals(vertices_m: FloatArray, faces: npt.NDArray[np.integer]) -> FloatArray:
    """Return unit normals (V, 3), weighted by area."""
    corners = vertices_m[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices_m)
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-15)
