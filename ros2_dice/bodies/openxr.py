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
                slab_m: float = 0.005) -> FloatArray:
    """
    Return the distances (26,) [m] from the joints to the skin around them.

    The extension defines the radius as the distance to the surface. Of the vertices in a slab
    across the bone the nearest twentieth counts: the palm is wide, and its radius is half its
    thickness.

    Args:
        positions: (26, 3) joints of the rest shape [m].
        axes: (26, 3, 3) their axes as columns; the third lies along the bone.
        surface: (V, 3) rest vertices [m].
    """
    radii = np.empty(len(positions))
    for index, (position, axis) in enumerate(zip(positions, axes, strict=True)):
        offset = surface - position
        along = offset @ axis[:, 2]
        across = np.linalg.norm(offset - along[:, None] * axis[:, 2], axis=1)
        near = across[(np.abs(along) < slab_m) & (across < 0.05)]
        radii[index] = np.percentile(near, 5) if len(near) else np.linalg.norm(
            offset, axis=1).min()
    return radii
