# SPDX-License-Identifier: Apache-2.0
"""True contact of two known meshes, from exact distances; the contact room has no part in it."""
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from ros2_dice.bodies import OpenHead
from ros2_dice.types import FloatArray

TOUCH_M = 0.004
"""A hand vertex nearer to the skin than this touches it, as in the prototype's table."""
DEEPEST_M = -0.03
AROUND_M = 0.009
"""A head vertex this near to a touching hand vertex is touched."""


def true_contact(signed_m: FloatArray, hand_vertices_m: FloatArray, head_vertices_m: FloatArray,
                 head: OpenHead) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """
    Return which vertices touch: (Vh,) of the hand and (V,) of the head.

    Args:
        signed_m: (Vh,) exact distance of each hand vertex to the skin, negative inside [m].
        hand_vertices_m: (Vh, 3) [m].
        head_vertices_m: (V, 3) [m].
        head: whose vertices these are.
    """
    touching = (signed_m > DEEPEST_M) & (signed_m < TOUCH_M)
    touched = np.zeros(len(head_vertices_m), bool)
    if touching.any():
        distance_m, _ = KDTree(hand_vertices_m[touching]).query(head_vertices_m)
        touched = head.is_skin & (distance_m < AROUND_M)
    return touching, touched
