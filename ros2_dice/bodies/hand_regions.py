# SPDX-License-Identifier: Apache-2.0
"""
The fixed list of hand regions on any rigged hand: from its weights, joints and normals.

The rule is the one by which the open hand was labelled, so that contacts have the same names
whatever the body model.
"""
from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ros2_dice.types import FloatArray

FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')
REGION_NAMES = ('palm', 'back') + tuple(
    f'{finger}_{part}' for finger in FINGERS for part in ('base', 'middle', 'pad', 'nail_side'))


def hand_regions(normals: FloatArray, weights: FloatArray, chains: npt.NDArray[np.integer],
                 back: FloatArray, nails: FloatArray) -> npt.NDArray[np.uint8]:
    """
    Return indices into `REGION_NAMES` (V,).

    Args:
        normals: (V, 3) out of the hand.
        weights: (V, J) skinning weights; a vertex belongs to the joint that moves it most.
        chains: (5, 3) joints of thumb, index, middle, ring, little, from the palm outwards.
        back: (3,) out of the back of the hand.
        nails: (5, 3) out of each nail.
    """
    bone = weights.argmax(axis=1)
    labels = np.where(normals @ back < 0, 0, 1)
    for finger, joints in enumerate(chains):
        for part, joint in enumerate(joints):
            own = bone == joint
            labels[own] = 2 + 4 * finger + part
            if part == 2:
                labels[own] += normals[own] @ nails[finger] >= 0.0
    return labels.astype(np.uint8)
