# SPDX-License-Identifier: Apache-2.0
"""
Linear blend skinning, the one place that poses every body with joints.

`BlendSkin` holds a mesh with its blend shapes and weights, `pose_chain` follows the joints from
the root to the tips. The open hand has a faster way of its own for its joints.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ros2_dice.types import FloatArray


def skin(rest: FloatArray, weights: FloatArray, rotations: FloatArray,
         translations: FloatArray) -> FloatArray:
    """
    Return posed vertices v' = sum_j w_j (A_j v + b_j).

    Coordinates are rows, not columns: each of the 12 numbers of the blended transforms is then one
    contiguous row, which makes this several times faster than a matrix for each vertex.

    Args:
        rest: (3, V) vertices of the rest shape.
        weights: (J, V), columns that sum to one.
        rotations: (J, 3, 3), A_j; may contain a common camera rotation and scale.
        translations: (J, 3), b_j.

    Returns:
        (V, 3) contiguous, in the dtype of `rest`.
    """
    joints, count = weights.shape
    transforms = np.empty((12, joints), rest.dtype)
    transforms[:9] = rotations.reshape(joints, 9).T
    transforms[9:] = translations.T
    blended = transforms @ weights
    posed = np.empty((count, 3), rest.dtype)
    for axis in range(3):
        row = blended[3 * axis] * rest[0]
        row += blended[3 * axis + 1] * rest[1]
        row += blended[3 * axis + 2] * rest[2]
        row += blended[9 + axis]
        posed[:, axis] = row
    return posed


def pose_chain(local_rotations: FloatArray, rest_joints: FloatArray,
               parents: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """
    Return rotations (J, 3, 3) and positions (J, 3) of the posed joints.

    Args:
        local_rotations: (J, 3, 3) of each joint against its parent.
        rest_joints: (J, 3) [m].
        parents: of each joint, before it in the order; the first is the root.
    """
    rotations, positions = np.array(local_rotations), np.array(rest_joints)
    for joint, parent in enumerate(parents):
        if joint:
            rotations[joint] = rotations[parent] @ local_rotations[joint]
            positions[joint] = positions[parent] + rotations[parent] @ (
                rest_joints[joint] - rest_joints[parent])
    return rotations, positions


def pose_features(local_rotations: FloatArray) -> FloatArray:
    """Return (9 (J - 1),): what the joints below the root turn, as R - I row by row."""
    return (local_rotations[1:] - np.eye(3)).ravel()


class BlendSkin:
    """
    A mesh that follows joints: template, blend shapes, skinning weights.

    Args:
        template_m: (V, 3) [m].
        directions_m: (V, 3, K) blend shapes, of shape and then of pose [m].
        weights: (V, J), rows that sum to one.
        dtype: of the arithmetic and of the result.
    """

    def __init__(self, template_m: FloatArray, directions_m: FloatArray, weights: FloatArray,
                 dtype: npt.DTypeLike = np.float32) -> None:
        # Coordinates as rows, as `skin` wants them.
        self.template = np.ascontiguousarray(template_m.T, dtype)
        self.directions = np.ascontiguousarray(
            directions_m.transpose(1, 0, 2).reshape(-1, directions_m.shape[-1]), dtype)
        self.weights = np.ascontiguousarray(weights.T, dtype)

    def posed(self, coefficients: FloatArray, rotations: FloatArray, positions: FloatArray,
              rest_joints: FloatArray, to_camera: FloatArray | None = None,
              translation_m: FloatArray | None = None) -> FloatArray:
        """
        Return the vertices (V, 3) [m].

        Args:
            coefficients: (K,) of the blend shapes.
            rotations: (J, 3, 3) of the posed joints.
            positions: (J, 3) of the posed joints [m].
            rest_joints: (J, 3) of this shape [m].
            to_camera: (3, 3) further rotation, with a scale or not; None = none.
            translation_m: (3,) added last; None = none.
        """
        rest = self.template + (self.directions @ coefficients.astype(self.template.dtype)
                                ).reshape(self.template.shape)
        if to_camera is not None:
            rotations = to_camera @ rotations
            positions = positions @ to_camera.T
        translations = positions - (rotations @ rest_joints[..., None])[..., 0]
        if translation_m is not None:
            translations = translations + translation_m
        return skin(rest, self.weights, rotations, translations)
