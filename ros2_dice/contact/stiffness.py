# SPDX-License-Identifier: Apache-2.0
"""How far the skin of the head gives way under a hand: bone is near at the brow, not in cheeks."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ros2_dice.bodies import OpenHead

LIMIT_MM = {
    'scalp': 2.0, 'forehead': 1.5, 'brow': 1.5, 'eye_left': 2.5, 'eye_right': 2.5, 'nose': 3.5,
    'cheek_left': 6.0, 'cheek_right': 6.0, 'lips': 5.0, 'mouth_area': 5.5, 'chin': 3.0,
    'jaw_left': 3.5, 'jaw_right': 3.5, 'ear_left': 4.0, 'ear_right': 4.0, 'neck': 5.0}
"""Largest indentation per region [mm]; rough soft-tissue depths of an adult under a fingertip."""
NOSE_BRIDGE_MM = 1.5
BRIDGE_BELOW_EYES_M = 0.015
"""The bony part of the nose ends about so far below the eyes."""
_SMOOTHING_STEPS = 12


def indentation_limits_m(head: OpenHead) -> npt.NDArray[np.float64]:
    """
    Return how far each vertex may give way (V,) [m], smooth over the skin, 0 on the eyeballs.

    Raises:
        KeyError: the head has a region that the table doesn't know.
    """
    by_region = np.array([LIMIT_MM[name] for name in head.region_names]) * 1e-3
    limit = by_region[head.regions].astype(np.float64)
    # The head's frame has its origin at the height of the eyes.
    bridge = (head.regions == head.region_names.index('nose')) & (
        head.rest_vertices_m[:, 1] > -BRIDGE_BELOW_EYES_M)
    limit[bridge] = NOSE_BRIDGE_MM * 1e-3
    faces = np.asarray(head.faces, np.int64)
    start = faces[:, [0, 1, 2, 1, 2, 0]].ravel()
    end = faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    count = np.maximum(np.bincount(start, minlength=len(limit)), 1)
    for _ in range(_SMOOTHING_STEPS):
        around = np.bincount(start, limit[end], len(limit)) / count
        limit = 0.5 * (limit + around)
    return np.where(head.is_skin, limit, 0.0)
