# SPDX-License-Identifier: Apache-2.0
"""Body model files of the official kinds: Python 2, chumpy, sparse matrices, object arrays."""
from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_dice.bodies.body_file import (
    read_hand_file,
    read_head_file,
    read_landmark_file,
    read_neck_file,
)
from ros2_dice.dice import standin_hand, standin_head
from ros2_dice.errors import AssetError

pytest.importorskip('torch')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory, standin_files: Any) -> Path:
    path = tmp_path_factory.mktemp('bodies')
    standin_files.write_bodies(path)
    return path


@pytest.mark.parametrize(('read', 'name', 'make'), [
    (read_hand_file, 'MANO_RIGHT.pkl', standin_hand),
    (read_head_file, 'generic_model.pkl', standin_head)])
def test_every_array_comes_through(folder: Path, read: Callable[[Path], Any], name: str,
                                   make: Callable[[], dict[str, np.ndarray]]) -> None:
    found, made = read(folder / name), make()
    for key in ('v_template', 'shapedirs', 'posedirs', 'J_regressor', 'weights', 'faces'):
        np.testing.assert_array_equal(found[key], made[key], err_msg=key)
    assert found['parents'].tolist() == made['parents'].tolist()
    assert found['parents'][0] == -1, '2^32 - 1 in the file'
    assert len(found['coarse_faces']) <= len(found['medium_faces']) < len(found['faces'])
    assert not {'chumpy', 'chumpy.ch'} & set(sys.modules), 'nothing was imported'


def test_the_file_reads_without_numpy_s_old_names(folder: Path, tmp_path: Path) -> None:
    data = (folder / 'MANO_RIGHT.pkl').read_bytes()
    old = data.replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
    new = data.replace(b'numpy.core.multiarray', b'numpy._core.multiarray')
    for number, content in enumerate((old, new)):
        path = tmp_path / f'{number}.pkl'
        path.write_bytes(content)
        assert read_hand_file(path)['v_template'].shape == (778, 3)


@pytest.mark.parametrize('protocol', [0, 1, 2, 3, 4])
def test_bodies_that_were_pickled_anew_are_read_too(tmp_path: Path, protocol: int) -> None:
    hand = standin_hand()
    content = {key: hand[key] for key in ('v_template', 'shapedirs', 'posedirs', 'J_regressor',
                                          'weights')}
    content |= {'f': hand['faces'], 'kintree_table': np.stack(
        (hand['parents'], np.arange(16))).astype(np.int64)}
    path = tmp_path / 'hand.pkl'
    path.write_bytes(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(read_hand_file(path)['shapedirs'], hand['shapedirs'])


def test_real_sparse_matrices_are_read(tmp_path: Path) -> None:
    from scipy import sparse

    from ros2_dice.assets.closed_arrays import CONTAINERS, NUMPY, OLD_OBJECTS, SPARSE, dense
    from ros2_dice.assets.closed_unpickler import read_pickle

    rng = np.random.default_rng(0)
    full = rng.random((7, 5)) * (rng.random((7, 5)) < 0.4)
    allowed = {**NUMPY, **SPARSE, **OLD_OBJECTS, **CONTAINERS}
    for make in (sparse.csc_matrix, sparse.csr_matrix, sparse.coo_matrix, sparse.csr_array):
        for protocol in (1, 2, 4):
            value = read_pickle(pickle.dumps(make(full), protocol), allowed, 'a.pkl')
            np.testing.assert_array_equal(dense(value, 'a'), full)


def changed(**changes: Any) -> dict[str, Any]:
    hand = standin_hand()
    content = {key: hand[key] for key in ('v_template', 'shapedirs', 'posedirs', 'J_regressor',
                                          'weights')}
    content |= {'f': hand['faces'], 'kintree_table': np.stack((hand['parents'], np.arange(16)))}
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


@pytest.mark.parametrize(('change', 'said'), [
    ({'f': None}, 'lacks f'),
    ({'v_template': np.zeros((779, 3))}, '779 vertices'),
    ({'v_template': np.full((778, 3), np.nan)}, 'reaches out to nan'),
    ({'v_template': np.full((778, 3), 1e30)}, 'in metres'),
    ({'weights': np.full((778, 16), np.inf)}, 'not finite'),
    ({'shapedirs': np.zeros((778, 3, 9))}, '10 directions'),
    ({'posedirs': np.zeros((778, 3, 134))}, 'posedirs'),
    ({'weights': 'heavy'}, 'weights'),
    ({'weights': np.array(['a'], object)}, 'weights'),
    ({'f': np.full((4, 3), 778)}, 'triangles'),
    ({'f': np.zeros((4, 3))}, 'triangles'),
    ({'kintree_table': np.zeros((2, 15))}, '15 joints'),
    ({'kintree_table': np.tile(np.arange(16), (2, 1))}, 'parents'),
])
def test_what_is_no_hand_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / 'hand.pkl'
    path.write_bytes(pickle.dumps(changed(**change), 2))
    with pytest.raises(AssetError, match=said):
        read_hand_file(path)


def test_a_left_hand_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match='mirror'):
        read_hand_file(tmp_path / 'MANO_LEFT.pkl')


def test_a_head_is_no_hand(folder: Path) -> None:
    with pytest.raises(AssetError, match='5023 vertices'):
        read_hand_file(folder / 'generic_model.pkl')


def test_a_name_that_no_body_has_is_refused(tmp_path: Path) -> None:
    import collections
    import decimal

    for value in (decimal.Decimal(1), collections.Counter(), print):
        path = tmp_path / 'hand.pkl'
        path.write_bytes(pickle.dumps(changed(weights=value), 2))
        with pytest.raises(AssetError, match='refused'):
            read_hand_file(path)


def test_landmarks_and_neck(folder: Path) -> None:
    made = standin_head()
    found = read_landmark_file(folder / 'landmark_embedding.npy', len(made['faces']))
    for key, values in found.items():
        np.testing.assert_array_equal(values, made[key], err_msg=key)
    np.testing.assert_array_equal(read_neck_file(folder / 'neck_idx.npy'), made['neck_idx'])


def test_landmarks_may_be_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch')
    made = standin_head()
    table = {'full_lmk_faces_idx': torch.from_numpy(made['lmk_faces_idx'])[None],
             'full_lmk_bary_coords': torch.from_numpy(made['lmk_bary_coords'])[None]}
    np.save(tmp_path / 'a.npy', np.array(table, object), allow_pickle=True)
    found = read_landmark_file(tmp_path / 'a.npy', len(made['faces']))
    np.testing.assert_array_equal(found['lmk_bary_coords'], made['lmk_bary_coords'])


@pytest.mark.parametrize(('table', 'said'), [
    ({}, 'full_lmk_faces_idx'),
    ({'full_lmk_faces_idx': np.arange(67), 'full_lmk_bary_coords': np.ones((68, 3)) / 3}, 'faces'),
    ({'full_lmk_faces_idx': np.arange(68), 'full_lmk_bary_coords': np.ones((68, 3))}, 'sum'),
    ({'full_lmk_faces_idx': np.arange(68) - 1, 'full_lmk_bary_coords': np.ones((68, 3)) / 3},
     'on faces -1'),
    ({'full_lmk_faces_idx': np.arange(68) + 99, 'full_lmk_bary_coords': np.ones((68, 3)) / 3},
     'to 166'),
])
def test_wrong_landmarks_are_refused(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    np.save(tmp_path / 'a.npy', np.array(table, object), allow_pickle=True)
    with pytest.raises(AssetError, match=said):
        read_landmark_file(tmp_path / 'a.npy', 100)


@pytest.mark.parametrize('values', [np.array([5023]), np.array([-1]), np.zeros(0, int),
                                    np.array([0.5]), np.array([{}], object)])
def test_a_wrong_neck_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / 'neck.npy', values, allow_pickle=True)
    with pytest.raises(AssetError):
        read_neck_file(tmp_path / 'neck.npy')


@pytest.mark.parametrize('change', [
    lambda data: data[:-1], lambda data: data + b'\0', lambda data: data[:30],
    lambda data: b'\x93NUMPY\x03\0' + data[8:], lambda data: b'',
    lambda data: data.replace(b"'shape': (3,)", b"'shape': (9,)"),
    lambda data: data.replace(b"'<i8'", b"'|O' "), lambda data: data.replace(b'}', b'\x83'),
    lambda data: data.replace(b'}', b'\0'), lambda data: data.replace(b"'<i8'", b'12345'),
    lambda data: data.replace(b'(3,)', b'3   '),
])
def test_a_damaged_npy_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / 'neck.npy'
    np.save(path, np.array([1, 2, 3]))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(AssetError):
        read_neck_file(path)


def test_a_npy_file_of_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / 'neck.npy'
    np.save(path, np.array([3, 1, 2]))
    path.write_bytes(path.read_bytes().replace(b'(3,), }  ', b'(3L,), } '))
    assert b'3L' in path.read_bytes()
    assert read_neck_file(path).tolist() == [1, 2, 3]
