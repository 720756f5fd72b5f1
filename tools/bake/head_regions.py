# SPDX-License-Identifier: Apache-2.0
"""Which part of the face a vertex belongs to."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tools.bake.head import Paint

REGION_NAMES = ('scalp', 'forehead', 'brow', 'eye_left', 'eye_right', 'nose', 'cheek_left',
                'cheek_right', 'lips', 'mouth_area', 'chin', 'jaw_left', 'jaw_right', 'ear_left',
                'ear_right', 'neck')
FEATURES = {'forehead': 'forehead', 'eyebrows': 'brow', 'eyes': 'eye_left', 'nose': 'nose',
            'cheek': 'cheek_left', 'mouth': 'mouth_area', 'chin': 'chin'}
"""Folders of targets, and the region of the vertices that they move most."""
_SIDED = ('eye_left', 'cheek_left', 'jaw_left', 'ear_left')
"""Regions whose right twin comes next in the list."""


def region_labels(vertices: np.ndarray, joints: np.ndarray, neck_weight: np.ndarray,
                  face: np.ndarray, paint: Paint, strength: dict[str, np.ndarray]) -> np.ndarray:
    """
    Return a label (V,) for each vertex.

    Args:
        vertices: (V, 3) head frame [m].
        joints: (6, 3) head frame [m].
        neck_weight: (V,) skinning weight of the neck.
        face: (V,) painted as face.
        paint: lips, lids, ears.
        strength: how far each folder's targets move a vertex, (V,), 1 = as far as most.
    """
    x, y, z = vertices.T
    number = {name: index for index, name in enumerate(REGION_NAMES)}
    labels = np.zeros(len(vertices), int)
    front = face | ((z > 0.012) & (y < 0.02))
    table = np.stack([strength[feature] for feature in FEATURES], axis=1)
    clear = (table.max(axis=1) > 0.15) & front
    for index, name in enumerate(FEATURES.values()):
        labels[(table.argmax(axis=1) == index) & clear] = number[name]

    rest, cheek_from = (labels == 0) & front, joints[3, 1] + 0.03
    labels[rest & (y < cheek_from)] = number['jaw_left']
    labels[rest & (y >= cheek_from) & (y < 0.02)] = number['cheek_left']
    labels[rest & (y >= 0.02)] = number['forehead']
    labels[(labels == 0) & (y < -0.005) & (z > -0.025) & (np.abs(x) > 0.03)] = number['jaw_left']
    labels[(neck_weight > 0.5) | (y < -0.055 - 0.75 * np.maximum(z, -0.03))] = number['neck']
    labels[paint.lips] = number['lips']
    labels[paint.lids | paint.eyeballs] = number['eye_left']
    labels[paint.ears] = number['ear_left']
    for name in _SIDED:
        labels[(labels == number[name]) & ~(x > 0)] = number[name] + 1
    return labels
