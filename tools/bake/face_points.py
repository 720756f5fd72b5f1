# SPDX-License-Identifier: Apache-2.0
"""
Where the face network puts its 468 points on the head: measured by showing it renders.

The network's points aren't those of any rig. Crude colours are enough for it; each point is put
back onto the mesh, over several views and identities, and both sides of the face are averaged.
"""
from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from ros2_dice.landmarks import Region
from ros2_dice.landmarks.face import FaceNetwork
from ros2_dice.render.raster import rasterize
from ros2_dice.types import Frame
from tools.bake.head import Paint
from tools.bake.mesh import closest_on_mesh, vertex_normals

LANDMARKS = 468
_SIZE_PX = 576
_VIEWS_DEG = ((0, 0), (0, 8), (0, -8), (12, 0), (-12, 0), (25, 0), (-25, 0), (12, 8), (-12, 8),
              (20, -8), (-20, -8), (0, 0)) * 2
"""Yaw and pitch."""
_LIGHT = np.array((0.25, 0.45, 0.86))
_FACE_BEFORE_CENTER_M = 0.055
_CAMERA_M = np.array((0.0, -0.025, 0.8))
_FOCAL_PX = _SIZE_PX / 0.27 * 0.73
_OUTLIER_M = 0.012
_SPREAD_M = 0.003
_CONTOUR = [162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389]
_BROWS_NOSE = [71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305]
_EYES = [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
_LIPS = [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87]
IBUG68 = np.array(_CONTOUR + _BROWS_NOSE + _EYES + _LIPS, 'i2')
"""The 68 points of the iBUG scheme among the 468."""


def paint_head(arrays: dict[str, np.ndarray], paint: Paint) -> np.ndarray:
    """Return crude colours (V, 3) 0 to 1: skin, lips, lids, brows, eyes, hair."""
    vertices = arrays['head_vertices'].astype(float)
    x, y, z = vertices.T
    eyes = arrays['head_joints'][4:6].astype(float)
    colours = np.tile((0.80, 0.62, 0.52), (len(vertices), 1))
    colours[paint.lips] = (0.66, 0.36, 0.34)
    colours[paint.lids] = (0.70, 0.52, 0.44)
    arc = eyes[0, 1] + 0.0215 + 0.004 - 4.0 * (np.abs(x) - 0.035) ** 2
    brow = (np.abs(y - arc) < 0.0042) & (np.abs(x) > 0.012) & (np.abs(x) < 0.055) & (z > 0.05)
    colours[brow & ~paint.eyeballs] = (0.25, 0.17, 0.12)
    for eye in eyes:
        offset = vertices - eye
        ball = paint.eyeballs & (np.linalg.norm(offset, axis=1) < 0.03)
        radius, front = np.hypot(offset[:, 0], offset[:, 1]), ball & (offset[:, 2] > 0)
        colours[ball] = (0.93, 0.92, 0.90)
        colours[front & (radius < 0.0062)] = (0.25, 0.16, 0.10)
        colours[front & (radius < 0.0025)] = (0.03, 0.03, 0.03)
    neck = arrays['head_regions'] == len(arrays['head_region_names']) - 1
    hair = y > 0.082 - 0.5 * np.maximum(0, 0.06 - z)
    colours[hair & ~paint.ears & ~paint.eyeballs & ~neck] = (0.2, 0.14, 0.1)
    return colours


def embed_face_points(arrays: dict[str, np.ndarray], paint: Paint,
                      network: FaceNetwork) -> dict[str, np.ndarray]:
    """
    Return face, weights and trust of each of the 468 points on the head.

    They lie on the skin; `tools/measure_face_offsets.py` measures how far off it they really are.
    """
    faces = arrays['head_faces'].astype(int)
    rest = arrays['head_vertices'].astype(float)
    identity = arrays['head_shape_pca'].astype(float)
    colours, rng = paint_head(arrays, paint), np.random.default_rng(1)
    found: list[list[np.ndarray]] = [[] for _ in range(LANDMARKS)]
    scores = []
    for view, (yaw, pitch) in enumerate(_VIEWS_DEG):
        person = rng.normal(0, 0.5, identity.shape[-1]) * (view > 0)
        turned = (rest + identity @ person) @ _turn(yaw, pitch).T
        picture, hit, weights = _render(turned, faces, colours, _turn(yaw, pitch))
        seen = network.observe(Frame(picture), Region(_SIZE_PX / 2, _SIZE_PX / 2, _SIZE_PX, 0.0))
        scores.append(seen.score)
        normals = vertex_normals(turned, faces)
        column, row = np.clip(np.floor(seen.points_px), 0, _SIZE_PX - 1).astype(int).T
        for index, pixel in enumerate(row * _SIZE_PX + column):
            if hit[pixel] < 0:
                continue
            corners = faces[hit[pixel]]
            facing = float((weights[pixel] @ normals[corners])[2])
            if facing > 0.25:
                found[index].append(np.append(weights[pixel] @ rest[corners], facing ** 2))
    points, spread, known = _agreed(found)
    points = _symmetric(points, known)
    face, bary = closest_on_mesh(points, rest, faces)
    print(f'face points: score {min(scores):.2f} to {max(scores):.2f}, {known.sum()} of '
          f'{LANDMARKS} found, mean spread {1e3 * spread[known].mean():.1f} mm')
    trust = np.where(known, 1 / (1 + (spread / _SPREAD_M) ** 2), 0.0)
    return {'head_mp468_face': face.astype('u2'), 'head_mp468_bary': bary.astype('f4'),
            'head_mp468_offset': np.zeros((LANDMARKS, 3), 'f4'),
            'head_mp468_weight': trust.astype('f4'), 'head_ibug68_in_mp468': IBUG68}


def _turn(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    (cy, cp), (sy, sp) = np.cos(np.deg2rad((yaw_deg, pitch_deg))), np.sin(
        np.deg2rad((yaw_deg, pitch_deg)))
    return (np.array(((1, 0, 0), (0, cp, -sp), (0, sp, cp)))
            @ np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy))))


def _render(turned: np.ndarray, faces: np.ndarray, colours: np.ndarray, turn: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the picture (S, S, 3) uint8, and per pixel the face (-1 none) and weights."""
    aim = _FACE_BEFORE_CENTER_M * turn[:2, 2]
    depth = _CAMERA_M[2] - turned[:, 2]
    seen = np.stack((
        _SIZE_PX / 2 + _FOCAL_PX * (turned[:, 0] - aim[0]) / depth,
        _SIZE_PX / 2 - _FOCAL_PX * (turned[:, 1] - _CAMERA_M[1] - aim[1]) / depth), axis=1)
    fragments = rasterize(seen, depth, faces, _SIZE_PX, _SIZE_PX, cull=False)
    hit, weights = np.full(_SIZE_PX ** 2, -1), np.zeros((_SIZE_PX ** 2, 3))
    hit[fragments.pixel], weights[fragments.pixel] = fragments.face, fragments.weights
    light = np.clip(vertex_normals(turned, faces) @ _LIGHT, 0, 1)
    shaded = colours * (0.45 + 0.6 * light)[:, None]
    picture = np.full((_SIZE_PX ** 2, 3), 0.75)
    picture[fragments.pixel] = np.einsum(
        'nk,nkc->nc', fragments.weights, shaded[faces[fragments.face]])
    picture = np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
    return picture.reshape(_SIZE_PX, _SIZE_PX, 3), hit, weights


def _agreed(found: list[list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return place (N, 3), spread (N,) [m] and whether enough views agree (N,)."""
    points, spread = np.zeros((len(found), 3)), np.zeros(len(found))
    known = np.zeros(len(found), bool)
    for index, rows in enumerate(found):
        if len(rows) < 3:
            continue
        table = np.array(rows)
        distance = np.linalg.norm(table[:, :3] - np.median(table[:, :3], axis=0), axis=1)
        near = distance < _OUTLIER_M
        if near.sum() < 3:
            continue
        weight = table[near, 3] / table[near, 3].sum()
        points[index] = weight @ table[near, :3]
        spread[index] = np.sqrt(weight @ distance[near] ** 2)
        known[index] = True
    return points, spread, known


def _symmetric(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the points, each averaged with the mirror image of its twin."""
    index = np.flatnonzero(known)
    mirror = np.array((-1.0, 1.0, 1.0))
    _, nearest = KDTree(points[index]).query(points[index] * mirror)
    nearest = np.asarray(nearest)
    mutual = nearest[nearest] == np.arange(len(index))
    out = points.copy()
    out[index[mutual]] = 0.5 * (points[index[mutual]] + points[index[nearest[mutual]]] * mirror)
    return out
