# SPDX-License-Identifier: Apache-2.0
"""
Read the body model files that the user brings: MANO_RIGHT.pkl and generic_model.pkl (FLAME).

They are pickles of Python 2 with arrays of numpy and chumpy and sparse matrices of scipy; all of
them become plain arrays, through a closed list, and neither chumpy nor scipy is needed.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ros2_dice.assets.closed_arrays import (
    CHUMPY,
    CONTAINERS,
    NUMPY,
    OLD_OBJECTS,
    SPARSE,
    dense,
    load_npy,
)
from ros2_dice.assets.closed_unpickler import read_pickle
from ros2_dice.assets.plain_file import read_bytes
from ros2_dice.assets.torch_file import TENSORS_IN_PICKLES, numbers_in_pickle
from ros2_dice.bodies import parametric_hand, parametric_head
from ros2_dice.bodies.parametric import RigArrays
from ros2_dice.errors import AssetError

_BODY = {**NUMPY, **CONTAINERS, **SPARSE, **CHUMPY, **OLD_OBJECTS}
_NAMES = {'v_template': 'v_template', 'shapedirs': 'shapedirs', 'posedirs': 'posedirs',
          'J_regressor': 'J_regressor', 'weights': 'weights', 'f': 'faces',
          'kintree_table': 'parents'}
"""Entry of the file: array of ours."""
_MAX_REACH_M = 10.0
_HEAD_SHAPES = 350
"""Shape directions that DICE reaches: 50 expressions begin at column 300."""


def read_hand_file(path: Path) -> dict[str, np.ndarray]:
    """
    Return the arrays of a right hand (mano.npz): 778 vertices, 16 joints, 10 shapes.

    Raises:
        AssetError: the file is missing or damaged, names something that is not on the closed
            list, or is not the model of a right hand.
    """
    if 'left' in path.name.lower():
        raise AssetError(f'{path.name} is a left hand', expected='MANO_RIGHT.pkl; left hands are '
                         'made from it in a mirror')
    return _read(path, parametric_hand.VERTICES, parametric_hand.JOINTS, parametric_hand.SHAPES)


def read_head_file(path: Path) -> dict[str, np.ndarray]:
    """
    Return the arrays of a head (flame.npz, but for landmarks and neck): 5023 vertices, 5 joints.

    Raises:
        AssetError: as `read_hand_file`, of a head with at least 350 shape directions.
    """
    return _read(path, parametric_head.VERTICES, parametric_head.JOINTS, _HEAD_SHAPES)


def read_landmark_file(path: Path, faces: int) -> dict[str, np.ndarray]:
    """
    Return where the 68 landmarks lie: `lmk_faces_idx` (68,) and `lmk_bary_coords` (68, 3).

    Args:
        path: of landmark_embedding.npy.
        faces: how many the head has.

    Raises:
        AssetError: the file is damaged, or does not hold such a table.
    """
    found = load_npy(path, TENSORS_IN_PICKLES)
    table = found[0] if isinstance(found, list) and len(found) == 1 else None
    if not isinstance(table, dict) or not {
            'full_lmk_faces_idx', 'full_lmk_bary_coords'} <= table.keys():
        raise AssetError(f'{path.name} has no full_lmk_faces_idx and full_lmk_bary_coords',
                         expected='the landmark_embedding.npy of the DICE repository')
    count = parametric_head.LANDMARKS
    index = _sized(numbers_in_pickle(table['full_lmk_faces_idx'], path.name), (count,), path,
                   'faces')
    corners = _sized(numbers_in_pickle(table['full_lmk_bary_coords'], path.name), (count, 3), path,
                     'weights')
    if index.dtype.kind not in 'iu' or not 0 <= index.min() <= index.max() < faces:
        raise AssetError(f'{path.name}: landmarks on faces {index.min()} to {index.max()}',
                         expected=f'0 to {faces - 1}')
    sums = corners.sum(1)
    if not np.isfinite(corners).all() or np.abs(sums - 1.0).max() > 1e-3:
        raise AssetError(f'{path.name}: barycentric weights sum to {sums.min()} to {sums.max()}',
                         expected='1')
    return {'lmk_faces_idx': index.astype(np.int64),
            'lmk_bary_coords': corners.astype(np.float64)}


def read_neck_file(path: Path) -> np.ndarray:
    """
    Return the vertices (M,) of the neck, which never deform, from neck_idx.npy.

    Raises:
        AssetError: the file is damaged, or holds something else than vertices of the head.
    """
    values = load_npy(path, NUMPY)
    index = np.asarray(values).reshape(-1) if isinstance(values, np.ndarray) else np.zeros(0)
    count = parametric_head.VERTICES
    if index.dtype.kind not in 'iu' or not 0 < len(index) <= count or not (
            0 <= index.min() <= index.max() < count):
        raise AssetError(f'{path.name} holds no vertices of the head',
                         expected=f'indices from 0 to {count - 1}')
    return np.unique(index).astype(np.int64)


def _read(path: Path, vertices: int, joints: int, shapes: int) -> dict[str, np.ndarray]:
    content = read_pickle(read_bytes(path), _BODY, path.name)
    if not isinstance(content, dict) or not _NAMES.keys() <= content.keys():
        lacking = sorted(_NAMES.keys() - content.keys()) if isinstance(content, dict) else []
        raise AssetError(f'{path.name} is no body model: it lacks '
                         f'{", ".join(lacking) or "a table of arrays"}')
    arrays = {own: dense(content[theirs], f'{path.name}: {theirs}')
              for theirs, own in _NAMES.items()}
    tree = arrays['parents']
    if tree.ndim != 2 or tree.shape != (2, joints) or arrays['v_template'].shape != (vertices, 3):
        raise AssetError(f'{path.name} has {len(arrays["v_template"])} vertices and '
                         f'{tree.shape[-1] if tree.ndim else 0} joints',
                         expected=f'{vertices} and {joints}')
    reach_m = np.abs(arrays['v_template'].astype(np.float64)).max()
    if not reach_m < _MAX_REACH_M:
        raise AssetError(f'{path.name} reaches out to {reach_m:.3g}',
                         expected='finite vertices of a body, in metres')
    arrays['parents'] = tree[0].astype(np.uint32).astype(np.int32)  # 2^32 - 1 becomes -1
    arrays['parents'][0] = -1
    arrays['faces'] = _faces(arrays['faces'], vertices, path)
    rig = RigArrays(arrays, path.name, joints, shapes)
    return {'v_template': rig.template, 'shapedirs': rig.shape_dirs, 'posedirs': rig.pose_dirs,
            'J_regressor': rig.regressor, 'weights': rig.weights, 'faces': rig.faces,
            'parents': np.array(rig.parents, np.int32), 'medium_faces': rig.coarser_faces[0],
            'coarse_faces': rig.coarser_faces[1]}


def _faces(values: np.ndarray, vertices: int, path: Path) -> np.ndarray:
    """Return triangles (T, 3) int32, checked before the mesh is thinned."""
    if values.ndim != 2 or values.shape[1] != 3 or values.dtype.kind not in 'iu' or not len(
            values) or not 0 <= values.min() <= values.max() < vertices:
        raise AssetError(f'{path.name}: f holds no triangles of {vertices} vertices')
    return values.astype(np.int32)


def _sized(values: np.ndarray, shape: tuple[int, ...], path: Path, what: str) -> np.ndarray:
    if values.size != np.prod(shape):
        raise AssetError(f'{path.name}: {what} of the landmarks', got=values.shape,
                         expected=f'{shape}')
    return values.reshape(shape)
