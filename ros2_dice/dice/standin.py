# SPDX-License-Identifier: Apache-2.0
"""
Stand-ins for MANO, FLAME and the data files of DICE: same layout, made by formula.

A hand and a head that are lumpy ellipsoids, with blend shapes of noise. Nothing of a licensed file
is in them; they serve to test loading, skinning, sampling and projection, and to run the whole
way without the real ones. The arrays of `standin_hand` and `standin_head` are those of an imported
folder's mano.npz and flame.npz, those of `standin_references` its reference.npz.
"""
from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies.parametric_hand import NETWORK_TIPS, THUMB_FIRST
from ros2_dice.dice.formula import integers, unit

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

HAND_VERTICES, HEAD_VERTICES = 778, 5023
HAND_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Wrist, then index, middle, little, ring, thumb, three joints each."""
HEAD_PARENTS = (-1, 0, 1, 1, 1)
"""Root, neck, jaw, left and right eye."""
_HAND_RADII_M, _HEAD_RADII_M = (0.045, 0.095, 0.02), (0.075, 0.12, 0.095)
_NECK_COUNT, _LANDMARKS = 200, 68


def standin_hand(seed: int = 0) -> dict[str, np.ndarray]:
    """Return the arrays of a right hand (mano.npz): 778 vertices, 16 joints, 10 shapes."""
    arrays = _body('hand', seed, HAND_VERTICES, (32, 24), _HAND_RADII_M, HAND_PARENTS,
                   shapes=10, shape_m=2e-3, anchor=0.6, joint_width_m2=4e-4, skin_width_m2=4e-4)
    # Real files have a mean pose, which DICE ignores: not zero, so that using it is seen.
    return {**arrays, 'hands_mean': 0.3 * unit('hand.mean', seed, (45,))}


def standin_head(seed: int = 0) -> dict[str, np.ndarray]:
    """Return the arrays of a head (flame.npz): 5023 vertices, 5 joints, 400 shapes."""
    arrays = _body('head', seed, HEAD_VERTICES, (71, 70), _HEAD_RADII_M, HEAD_PARENTS,
                   shapes=400, shape_m=1e-3, anchor=0.5, joint_width_m2=1e-3, skin_width_m2=2e-3)
    corners = np.abs(unit('lmk.bary', seed, (1, _LANDMARKS, 3))) + 0.05
    order = np.argsort(unit('neck', seed, (HEAD_VERTICES,)), kind='stable')
    return {
        **arrays,
        'lmk_faces_idx': integers('lmk.face', seed, _LANDMARKS, len(arrays['faces'])),
        'lmk_bary_coords': (corners / corners.sum(-1, keepdims=True))[0],
        'neck_idx': np.sort(order[:_NECK_COUNT]),
    }


def standin_decimation(seed: int = 0) -> dict[str, tuple[IndexArray, IndexArray, FloatArray]]:
    """
    Return sparse matrices as (row, column, value): each row has three entries that sum to one.

    `hand_D0` is 195x778, `head_D0` 1675x5023, `head_D1` 559x1675.
    """
    return {name: _sampling(name, seed, *shape) for name, shape in (
        ('hand_D0', (195, HAND_VERTICES)), ('head_D0', (1675, HEAD_VERTICES)),
        ('head_D1', (559, 1675)))}


def standin_templates(seed: int = 0) -> dict[str, FloatArray]:
    """Return the template meshes `rh_ref_vs` (778, 3) and `head_ref_vs` (5023, 3) [m]."""
    # Off the centre on purpose: the network is to centre them itself.
    hand, _ = _surface('hand', seed, HAND_VERTICES, (32, 24), _HAND_RADII_M)
    head, _ = _surface('head', seed, HEAD_VERTICES, (71, 70), _HEAD_RADII_M)
    return {
        'rh_ref_vs': hand + (0.03, -0.02, 0.01) + 1e-3 * unit('ref.hand', seed, hand.shape),
        'head_ref_vs': head + (-0.01, 0.02, 0.04) + 1e-3 * unit('ref.head', seed, head.shape)}


def standin_references(seed: int = 0) -> dict[str, FloatArray]:
    """
    Return the four arrays that the network takes, not centred [m].

    `ref_rh_ref_kps` (21, 3), `ref_head_ref_kps` (68, 3), `ref_rh_ref_vs_sub` (195, 3) and
    `ref_head_ref_vs_sub2` (559, 3); see section 3 of the specification.
    """
    templates, sampling = standin_templates(seed), standin_decimation(seed)
    hand, head = templates['rh_ref_vs'], templates['head_ref_vs']
    rig, face = standin_hand(seed), standin_head(seed)
    joints = np.concatenate((rig['J_regressor'] @ hand, hand[NETWORK_TIPS]))
    corners = face['faces'][face['lmk_faces_idx']]
    return {
        'ref_rh_ref_kps': joints[THUMB_FIRST],
        'ref_head_ref_kps': (face['lmk_bary_coords'][..., None] * head[corners]).sum(-2),
        'ref_rh_ref_vs_sub': sample(sampling['hand_D0'], hand),
        'ref_head_ref_vs_sub2': sample(sampling['head_D1'], sample(sampling['head_D0'], head))}


def _body(name: str, seed: int, count: int, grid: tuple[int, int],
          radii_m: tuple[float, float, float], parents: tuple[int, ...], *, shapes: int,
          shape_m: float, anchor: float, joint_width_m2: float,
          skin_width_m2: float) -> dict[str, np.ndarray]:
    vertices, faces = _surface(name, seed, count, grid, radii_m)
    anchors = anchor * np.array(radii_m) * unit(f'{name}.anchor', seed, (len(parents), 3))
    regressor = _soft_rows(_squared(anchors, vertices), joint_width_m2)
    return {
        'v_template': vertices,
        'shapedirs': shape_m * unit(f'{name}.shapedirs', seed, (count, 3, shapes)),
        'posedirs': 3e-4 * unit(f'{name}.posedirs', seed, (count, 3, 9 * (len(parents) - 1))),
        'J_regressor': regressor,
        'weights': _soft_rows(_squared(vertices, regressor @ vertices), skin_width_m2),
        'faces': faces.astype(np.int32),
        'parents': np.array(parents, np.int32),
    }


def _surface(name: str, seed: int, count: int, grid: tuple[int, int],
             radii_m: tuple[float, float, float]) -> tuple[FloatArray, IndexArray]:
    """Return vertices (count, 3) [m] and faces of a closed lumpy ellipsoid about the y axis."""
    rings, segments = grid
    polar = (np.pi * np.arange(1, rings + 1) / (rings + 1))[:, None]
    around = (2.0 * np.pi * np.arange(segments) / segments)[None]
    lump = 1.0 + 0.08 * np.cos(3.0 * around) * np.sin(polar) ** 2
    middle = np.stack((radii_m[0] * lump * np.sin(polar) * np.cos(around),
                       np.broadcast_to(radii_m[1] * np.cos(polar), lump.shape),
                       radii_m[2] * lump * np.sin(polar) * np.sin(around)), -1).reshape(-1, 3)
    pole = np.array([[0.0, radii_m[1], 0.0]])
    vertices = np.concatenate((pole, middle, -pole))

    here = np.arange(segments)
    after = (here + 1) % segments
    top = np.stack((np.zeros_like(here), 1 + after, 1 + here), -1)
    start = 1 + segments * np.arange(rings - 1)[:, None]
    a, b, c, d = start + here, start + after, start + segments + here, start + segments + after
    quads = np.stack((np.stack((a, b, c), -1), np.stack((b, d, c), -1)), 2).reshape(-1, 3)
    last = 1 + segments * (rings - 1)
    bottom = np.stack((last + here, last + after, np.full_like(here, last + segments)), -1)
    faces = np.concatenate((top, quads, bottom))

    # Vertices that are lacking split triangles at their centres, evenly over the surface.
    lacking = count - len(vertices)
    chosen = max(1, len(faces) // max(1, lacking)) * np.arange(lacking)
    p, q, r = faces[chosen].T
    new = len(vertices) + np.arange(lacking)
    vertices = np.concatenate((vertices, (vertices[p] + vertices[q] + vertices[r]) / 3.0))
    faces[chosen] = np.stack((p, q, new), -1)
    sides = np.stack((np.stack((q, r, new), -1), np.stack((r, p, new), -1)), 1).reshape(-1, 3)
    vertices = vertices + 5e-4 * unit(f'{name}.v', seed, vertices.shape)
    return vertices, np.concatenate((faces, sides))


def _squared(left_m: FloatArray, right_m: FloatArray) -> FloatArray:
    return ((left_m[:, None] - right_m[None]) ** 2).sum(-1)


def _soft_rows(squared_m2: FloatArray, width_m2: float) -> FloatArray:
    """Return rows that sum to one and fall off with the squared distance."""
    values = np.exp(-(squared_m2 - squared_m2.min(axis=1, keepdims=True)) / width_m2)
    return values / values.sum(axis=1, keepdims=True)


def _sampling(name: str, seed: int, rows: int,
              columns: int) -> tuple[IndexArray, IndexArray, FloatArray]:
    first = np.arange(rows) * columns // rows
    picked = np.stack((first, (first + 1 + integers(f'{name}.a', seed, rows, columns - 2))
                       % columns, (first + columns // 2 + 1) % columns), 1)
    values = np.abs(unit(f'{name}.w', seed, (rows, 3))) + (2.0, 0.1, 0.1)
    values = values / values.sum(axis=1, keepdims=True)
    return np.repeat(np.arange(rows), 3), picked.ravel(), values.ravel()


def sample(matrix: tuple[IndexArray, IndexArray, FloatArray],
           vertices_m: npt.NDArray[np.floating]) -> FloatArray:
    """Return a sparse matrix of `standin_decimation` times vertices (V, 3) [m]."""
    row, column, value = matrix
    result = np.zeros((int(row.max()) + 1, 3))
    np.add.at(result, row, value[:, None] * vertices_m[column])
    return result
