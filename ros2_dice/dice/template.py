# SPDX-License-Identifier: Apache-2.0
"""
The four template arrays that the network takes, from the user's files (specification, section 3).

The template hand and head come from the two files of the official setup, or else from the body
models at zero parameters, which is what the official data loaders build them from.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice.assets.closed_arrays import NUMPY
from ros2_dice.assets.torch_file import SPARSE_TENSORS, TORCH, TorchFile
from ros2_dice.bodies.parametric_hand import NETWORK_TIPS, THUMB_FIRST
from ros2_dice.errors import AssetError
from ros2_dice.types import FloatArray

HAND_COARSE, HEAD_COARSE = 195, 559
"""Vertices of the hand and the head that are tokens."""
_ALLOWED = {**TORCH, **SPARSE_TENSORS, **NUMPY}


def read_template(path: Path, vertices: int) -> FloatArray:
    """
    Return a template mesh (V, 3) [m] from rh_ref_vs.pt or head_ref_vs.pt.

    Raises:
        AssetError: the file is damaged or holds something else.
    """
    with TorchFile(path) as file:
        values = file.numbers(file.load(_ALLOWED), 'its value')
    if values.shape != (vertices, 3) or values.dtype.kind != 'f':
        raise AssetError(f'template of {path.name}', state=f'{values.dtype} {values.shape}',
                         expected=f'floats of shape {(vertices, 3)}')
    if not np.isfinite(values).all():
        raise AssetError(f'{path.name} holds what is not finite', expected='vertices')
    return values.astype(np.float64)


def read_sampling(path: Path, vertices: int, coarse: int) -> tuple[FloatArray, ...]:
    """
    Return the matrices that thin a mesh step by step, from hand_ or head_mesh_transforms.pt.

    Args:
        path: a dict of lists; only its entry `D` is read.
        vertices: of the whole mesh.
        coarse: where to stop; finer steps come first, further ones are left out.

    Raises:
        AssetError: the file is damaged, or its matrices do not lead there.
    """
    with TorchFile(path) as file:
        content = file.load(_ALLOWED)
        steps = content.get('D') if isinstance(content, dict) else None
        if not isinstance(steps, list) or not steps:
            raise AssetError(f'{path.name} has no list D of matrices',
                             expected='the transforms of the DICE repository')
        matrices: list[FloatArray] = []
        count = vertices
        for step in steps:
            if count == coarse:
                break
            matrix = file.numbers(step, f'D[{len(matrices)}]')
            if (matrix.ndim != 2 or matrix.shape[1] != count or len(matrix) > count
                    or matrix.dtype.kind != 'f' or not np.isfinite(matrix).all()):
                raise AssetError(f'{path.name}: D[{len(matrices)}]', got=matrix.shape,
                                 expected=f'a matrix of {count} columns that makes fewer')
            matrices.append(matrix.astype(np.float64))
            count = len(matrix)
    if count != coarse:
        raise AssetError(f'{path.name} thins {vertices} vertices to {count}',
                         expected=f'{coarse}')
    return tuple(matrices)


def reference_arrays(hand_m: FloatArray, head_m: FloatArray, hand: Mapping[str, np.ndarray],
                     head: Mapping[str, np.ndarray], hand_steps: Sequence[FloatArray],
                     head_steps: Sequence[FloatArray]) -> dict[str, FloatArray]:
    """
    Return the arrays of reference.npz, not centred.

    Args:
        hand_m: (778, 3) template hand [m].
        head_m: (5023, 3) template head [m].
        hand: arrays of mano.npz; its joint regressor places 16 of the 21 joints.
        head: arrays of flame.npz, with landmarks.
        hand_steps: matrices from 778 to 195 vertices.
        head_steps: matrices from 5023 to 559 vertices.
    """
    joints = np.concatenate((hand['J_regressor'] @ hand_m, hand_m[NETWORK_TIPS]))
    corners = head['faces'][head['lmk_faces_idx']]
    return {
        'ref_rh_ref_kps': joints[THUMB_FIRST],
        'ref_head_ref_kps': (head['lmk_bary_coords'][..., None] * head_m[corners]).sum(-2),
        'ref_rh_ref_vs_sub': _applied(hand_steps, hand_m),
        'ref_head_ref_vs_sub2': _applied(head_steps, head_m)}


def shape_difference_m(first_m: FloatArray, second_m: FloatArray) -> float:
    """Return the largest distance of two meshes' vertices about their own means [m]."""
    apart = (first_m - first_m.mean(0)) - (second_m - second_m.mean(0))
    return float(np.linalg.norm(apart, axis=1).max())


def _applied(matrices: Sequence[FloatArray], vertices_m: FloatArray) -> Any:
    for matrix in matrices:
        vertices_m = matrix @ vertices_m
    return vertices_m
