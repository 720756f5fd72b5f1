# SPDX-License-Identifier: Apache-2.0
"""Linear blend skinning, the one function that poses every body with joints."""
from __future__ import annotations

import numpy as np

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
