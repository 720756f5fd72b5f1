# SPDX-License-Identifier: Apache-2.0
"""Archives of torch.save: tensors come through as torch has them, damage and tricks do not."""
from __future__ import annotations

import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import words, write_torch_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ros2_dice.assets.closed_arrays import NUMPY, load_npy
from ros2_dice.assets.torch_file import (
    SPARSE_TENSORS,
    TENSORS_IN_PICKLES,
    TORCH,
    TensorRecord,
    TorchFile,
    view,
)
from ros2_dice.errors import AssetError

ONE = {'data/0': np.arange(6, dtype='<f4').tobytes()}


def tensor(shape: tuple[int, ...] = (2, 3), stride: tuple[int, ...] = (3, 1), offset: int = 0,
           count: int = 6, kind: str = 'FloatStorage', key: str = '0') -> bytes:
    """Return a protocol 2 pickle of one tensor."""
    def number(value: int) -> bytes:
        return b'\x8a\x08' + struct.pack('<q', value)

    def numbers(values: tuple[int, ...]) -> bytes:
        return b'(' + b''.join(map(number, values)) + b't'

    return (b'\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((' + words('storage')
            + f'ctorch\n{kind}\n'.encode() + words(key) + words('cuda:0') + number(count) + b'tQ'
            + number(offset) + numbers(shape) + numbers(stride) + b'\x89NtR.')


def load(path: Path) -> np.ndarray:
    with TorchFile(path) as file:
        record = file.load(TORCH)
        assert isinstance(record, TensorRecord)
        return file.array(record)


def test_size_stride_and_offset_are_honoured(tmp_path: Path) -> None:
    def numbers(**layout: object) -> list[object]:
        return load(write_torch_zip(tmp_path / 'a.pt', tensor(**layout), ONE)).tolist()  # type: ignore[arg-type]

    assert numbers() == [[0, 1, 2], [3, 4, 5]]
    assert numbers(shape=(3, 2), stride=(1, 3)) == [[0, 3], [1, 4], [2, 5]]
    assert numbers(shape=(2,), stride=(2,), offset=1) == [1, 3]
    assert numbers(shape=(2, 2), stride=(0, 0), offset=5) == [[5, 5], [5, 5]]
    assert numbers(shape=(), stride=(), offset=4) == 4
    assert numbers(shape=(0, 3), stride=(3, 1), offset=6) == []


@pytest.mark.parametrize('layout', [
    {'shape': (2, 3), 'stride': (3, 1), 'offset': 1},
    {'shape': (2, 4), 'stride': (3, 1)},
    {'shape': (7,), 'stride': (1,)},
    {'shape': (2, 3), 'stride': (3,)},
    {'shape': (2, -3), 'stride': (3, 1)},
    {'shape': (2, 3), 'stride': (3, -1)},
    {'offset': -1},
    {'count': 7},
    {'count': 5},
    {'count': -1},
    {'count': 1 << 40},
    {'shape': (1 << 30, 1 << 30), 'stride': (0, 0)},
    {'shape': (1,) * 9, 'stride': (0,) * 9},
    {'kind': 'DoubleStorage'},
    {'kind': 'BoolStorage'},
    {'key': '7'},
    {'key': '../version'},
    {'key': '-1'},
])
def test_a_tensor_that_does_not_fit_its_storage_is_refused(
        tmp_path: Path, layout: dict[str, object]) -> None:
    path = write_torch_zip(tmp_path / 'a.pt', tensor(**layout), ONE)  # type: ignore[arg-type]
    with pytest.raises(AssetError, match=r'a\.pt'):
        load(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[
    HealthCheck.function_scoped_fixture])
@given(axes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 7)), max_size=3),
       offset=st.integers(0, 8))
def test_exactly_the_tensors_within_their_storage_are_read(
        tmp_path: Path, axes: list[tuple[int, int]], offset: int) -> None:
    shape, stride = tuple(n for n, _ in axes), tuple(step for _, step in axes)
    path = write_torch_zip(tmp_path / 'a.pt', tensor(shape, stride, offset), ONE)
    places = offset + sum(np.multiply.outer(np.arange(n), step).reshape(
        [-1 if i == axis else 1 for i in range(len(axes))]) for axis, (n, step) in enumerate(axes))
    if np.prod(shape) == 0 or np.max(places) < 6:
        np.testing.assert_array_equal(load(path), np.broadcast_to(places, shape))
    else:
        with pytest.raises(AssetError):
            load(path)


def rewrite(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_a_flipped_byte_of_a_tensor_is_refused(tmp_path: Path) -> None:
    path = write_torch_zip(tmp_path / 'a.pt', tensor(), ONE)

    def flip(data: bytearray) -> None:
        data[data.index(ONE['data/0']) + 5] ^= 1

    rewrite(path, flip)
    with pytest.raises(AssetError, match='model/data/0 is damaged'):
        load(path)


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(tmp_path: Path, share: float) -> None:
    path = write_torch_zip(tmp_path / 'a.pt', tensor(), ONE)
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    with pytest.raises(AssetError, match=r'a\.pt'):
        load(path)


def archive(path: Path, rows: list[tuple[zipfile.ZipInfo | str, bytes]],
            method: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, 'w', method) as out:
        warnings.simplefilter('ignore')  # zipfile says that names repeat
        for name, content in rows:
            out.writestr(name, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


DATA = ('m/data.pkl', tensor())


@pytest.mark.parametrize(('rows', 'said'), [
    ([DATA, (link('m/data/0'), b'/etc/passwd')], 'link'),
    ([DATA, ('m/../../etc/cron.d/x', b'')], 'a member named'),
    ([DATA, ('/etc/x', b'')], 'a member named'),
    ([DATA, ('m\\x', b'')], 'a member named'),
    ([DATA, ('m/data/0', b''), ('m/data/0', b'')], 'two members'),
    ([DATA, ('n/data.pkl', b'N.')], 'not of torch.save'),
    ([('m/x', b'')], 'not of torch.save'),
    ([DATA, ('m/constants.pkl', b'N.')], 'TorchScript'),
    ([DATA, ('m/byteorder', b'big'), ('m/data/0', ONE['data/0'])], 'big-endian'),
    ([DATA, *((f'm/data/{n}', b'') for n in range(20_001))], 'members'),
])
def test_an_odd_archive_is_refused(tmp_path: Path, rows: list, said: str) -> None:
    with pytest.raises(AssetError, match=said):
        load(archive(tmp_path / 'a.pt', rows))


def test_zip_bombs_are_refused(tmp_path: Path) -> None:
    bomb = bytes(50_000_000)
    with pytest.raises(AssetError, match='is compressed'):
        load(archive(tmp_path / 'a.pt', [DATA, ('m/data/0', bomb)], zipfile.ZIP_DEFLATED))
    assert (tmp_path / 'a.pt').stat().st_size < 100_000

    path = write_torch_zip(tmp_path / 'b.pt', tensor(), {**ONE, 'data/1': b'x' * 24})

    def overlap(data: bytearray) -> None:  # both entries of the directory show the same bytes
        first = data.index(b'PK\x01\x02', data.index(b'PK\x01\x02') + 1)
        second = data.index(b'PK\x01\x02', first + 1)
        data[second + 42:second + 46] = data[first + 42:first + 46]

    rewrite(path, overlap)
    with pytest.raises(AssetError, match=r'b\.pt'):
        load(path)


def test_an_archive_whose_directory_promises_more_than_there_is(tmp_path: Path) -> None:
    path = write_torch_zip(tmp_path / 'a.pt', tensor(count=1 << 29), ONE)

    def grow(data: bytearray) -> None:
        at = data.index(b'PK\x01\x02', data.index(b'PK\x01\x02') + 1)
        data[at + 20:at + 28] = struct.pack('<II', 1 << 31, 1 << 31)

    rewrite(path, grow)
    with pytest.raises(AssetError, match='overlaps'):
        load(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = write_torch_zip(tmp_path / 'a.pt', tensor(), ONE)

    def mark(data: bytearray) -> None:
        data[data.index(b'PK\x01\x02') + 8] |= 1

    rewrite(path, mark)
    with pytest.raises(AssetError, match='encrypted'):
        load(path)


def test_pipes_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'link').symlink_to('/dev/zero')
    for path in (tmp_path / 'pipe', tmp_path / 'link', tmp_path, tmp_path / 'none'):
        with pytest.raises(AssetError):
            load(path)


def test_the_old_format_is_refused_with_the_command_that_saves_it_anew(tmp_path: Path) -> None:
    path = tmp_path / 'old.bin'
    path.write_bytes(pickle.dumps(0x1950a86a20f9469cfc6c, 2) + b'rest')
    with pytest.raises(AssetError, match='old format') as caught:
        load(path)
    assert 'torch.save(torch.load("old.bin"' in caught.value.next_step
    assert '"old_zip.bin")' in caught.value.next_step


def test_what_torch_writes_comes_through(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch')
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).double()
    state = {**net.state_dict(), 'half': torch.ones(3).half(), 'turned': torch.rand(4, 5).T}
    torch.save(state, tmp_path / 'a.pt')
    with TorchFile(tmp_path / 'a.pt') as file:
        found = file.load(TORCH)
        assert list(found) == list(state)
        for name, record in found.items():
            np.testing.assert_array_equal(file.array(record), state[name].numpy())
    torch.save(state, tmp_path / 'old.pt', _use_new_zipfile_serialization=False)
    with pytest.raises(AssetError, match='old format'):
        load(tmp_path / 'old.pt')


def test_sparse_tensors_and_arrays(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        matrix = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
        wrong = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 2),
                                        check_invariants=False)
    faces = np.arange(6).reshape(2, 3)
    torch.save({'D': [matrix], 'W': wrong, 'F': [faces]}, tmp_path / 'a.pt')
    with TorchFile(tmp_path / 'a.pt') as file:
        found = file.load({**TORCH, **SPARSE_TENSORS, **NUMPY})
        np.testing.assert_array_equal(file.numbers(found['D'][0], 'D'), [[0, 0, 3], [4, 0, 5]])
        np.testing.assert_array_equal(file.numbers(found['F'][0], 'F'), faces)
        with pytest.raises(AssetError, match='outside'):
            file.numbers(found['W'], 'W')


def test_tensors_inside_of_an_object_array(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch')
    content = {'array': np.arange(4.0), 'tensor': torch.arange(6).reshape(2, 3)}
    np.save(tmp_path / 'a.npy', content, allow_pickle=True)  # type: ignore[arg-type]
    found = load_npy(tmp_path / 'a.npy', TENSORS_IN_PICKLES)[0]
    np.testing.assert_array_equal(found['array'].array(), content['array'])
    record = found['tensor']
    np.testing.assert_array_equal(view(record, record.storage.values), [[0, 1, 2], [3, 4, 5]])
