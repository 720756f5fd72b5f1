# SPDX-License-Identifier: Apache-2.0
"""The 26 hand joints of XR_EXT_hand_tracking."""
from __future__ import annotations

import numpy as np

from ros2_dice.types import FloatArray

JOINT_NAMES = ('palm', 'wrist') + tuple(
    f'{finger}_{part}'
    for finger in ('thumb', 'index', 'middle', 'ring', 'little')
    for part in (('metacarpal', 'proximal', 'distal', 'tip') if finger == 'thumb' else
                 ('metacarpal', 'proximal', 'intermediate', 'distal', 'tip')))
"""Order of the extension; 26 names."""

POSITION_VALID, ORIENTATION_VALID, DERIVED = 1, 2, 4

FLAGS = np.array([POSITION_VALID | ORIENTATION_VALID | (
    DERIVED if name == 'palm' or (name.endswith('metacarpal') and not name.startswith('thumb'))
    else 0) for name in JOINT_NAMES], np.uint8)
"""Palm and the four finger metacarpals do not move on their own in a 16-joint hand."""
FLAGS.flags.writeable = False


def joint_radii(positions: FloatArray, axes: FloatArray, surface: FloatArray,
                column_m: float = 0.006) -> FloatArray:
    """
    Return half the thickness (26,) [m] of the hand through each joint.

    The extension asks for the distance to the skin. The rig's joints lie off the middle of the
    flesh, so the thickness from the back to the palm side is halved instead.

    Args:
        positions: (26, 3) joints of the rest shape [m].
        axes: (26, 3, 3) their axes as columns: flexion, dorsal, along the bone.
        surface: (V, 3) rest vertices [m].
        column_m: half the width of the column of vertices that is looked at.
    """
    local = (surface - positions[:, None]) @ axes  # (26, V, 3)
    inside = (np.abs(local[..., (0, 2)]) < column_m).all(axis=-1)
    height = local[..., 1]
    return 0.5 * (np.where(inside, height, -np.inf).max(axis=1)
                  - np.where(inside, height, np.inf).min(axis=1))
