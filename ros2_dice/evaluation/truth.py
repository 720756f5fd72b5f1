# SPDX-License-Identifier: Apache-2.0
"""True contact of two known meshes, found apart from the contact room that it judges."""
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
_SPACING_M = 0.003


def true_contact(hand_vertices_m: FloatArray, head_vertices_m: FloatArray,
                 head: OpenHead) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """
    Return which vertices touch: (Vh,) of the hand and (V,) of the head.

    Distances are to points spread over the skin's triangles, signed by the skin's normal there.
    """
    skin = head.faces[head.is_skin[head.faces].all(1)]
    points, normals = _spread(np.asarray(head_vertices_m, np.float64), skin)
    hand = np.asarray(hand_vertices_m, np.float64)
    _, nearest = KDTree(points).query(hand)
    signed_m = ((hand - points[nearest]) * normals[nearest]).sum(1)
    gap_m = np.linalg.norm(hand - points[nearest], axis=1)
    touching = np.where(signed_m < 0, -gap_m > DEEPEST_M, gap_m < TOUCH_M)
    touched = np.zeros(len(head_vertices_m), bool)
    if touching.any():
        distance_m, _ = KDTree(hand[touching]).query(head_vertices_m)
        touched = head.is_skin & (distance_m < AROUND_M)
    return touching, touched


def _spread(vertices_m: FloatArray, faces: npt.NDArray[np.integer]
            ) -> tuple[FloatArray, FloatArray]:
    """Return points no more than `_SPACING_M` apart on the triangles, with smooth normals."""
    corners = vertices_m[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices_m)
    for column in faces.T:
        np.add.at(normals, column, cross)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)
    longest_m = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    steps = np.maximum(1, np.ceil(longest_m / _SPACING_M).astype(int))
    points, directions = [vertices_m[np.unique(faces)]], [normals[np.unique(faces)]]
    for count in np.unique(steps):
        if count < 2:
            continue
        i, j = np.mgrid[0:count + 1, 0:count + 1]
        inside = i + j <= count
        weights = np.stack([i[inside], j[inside], count - i[inside] - j[inside]], 1) / count
        chosen = faces[steps == count]
        points.append((weights @ vertices_m[chosen]).reshape(-1, 3))
        directions.append((weights @ normals[chosen]).reshape(-1, 3))
    direction = np.concatenate(directions)
    return (np.concatenate(points),
            direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-15))
