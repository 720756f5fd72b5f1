# SPDX-License-Identifier: Apache-2.0
"""
Read what torch.save wrote, without torch and without running anything.

The file is an archive `<root>/data.pkl` and `<root>/data/<number>`; the pickle refers to the
members by persistent ids. Tensors stay descriptions until their numbers are asked for, so that
nothing is taken in before it was looked at.
"""
from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice.assets.closed_arrays import (
    CONTAINERS,
    NUMPY,
    checked_shape,
    dense,
    scatter,
)
from ros2_dice.assets.closed_list import ClosedList, Name, Rule
from ros2_dice.assets.closed_unpickler import DAMAGED_STEP, read_pickle, read_pickle_at
from ros2_dice.assets.plain_file import open_plain
from ros2_dice.assets.stored_zip import StoredZip
from ros2_dice.errors import AssetError

_MAX_PICKLE_BYTES = 1 << 26
_MAGIC = bytes.fromhex('80028a0a6cfc9c46f9206aa850192e')
"""First pickle of the format before PyTorch 1.6; 0x1950a86a20f9469cfc6c."""
_TAR_AT, _TAR = 257, b'ustar'
_LEGACY_PROTOCOL = 1001
_STORAGES = {'FloatStorage': 'f4', 'DoubleStorage': 'f8', 'HalfStorage': 'f2',
             'LongStorage': 'i8', 'IntStorage': 'i4'}


@dataclass(frozen=True)
class Storage:
    """A member that holds numbers, or bytes that came inside of the pickle."""

    key: str
    dtype: np.dtype[Any]
    count: int
    values: np.ndarray | None = None
    """Set where the numbers came inside of the pickle."""


@dataclass(frozen=True)
class TensorRecord:
    """A tensor that was described and checked, but not read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    """In elements."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its elements."""
        return self.storage.dtype


@dataclass(frozen=True)
class SparseRecord:
    """A sparse tensor by coordinates."""

    indices: TensorRecord
    values: TensorRecord
    shape: tuple[int, int]


class TorchFile:
    """
    An archive of torch.save.

    Args:
        path: of the file.

    Raises:
        AssetError: the file is in an older format, damaged, or not of torch.
    """

    def __init__(self, path: Path) -> None:
        refuse_legacy(path)
        self.label = path.name
        self._zip = StoredZip(path)
        self._last: tuple[str, np.ndarray] | None = None
        names = self._zip.names()
        roots = [name.removesuffix('/data.pkl') for name in names
                 if re.fullmatch(r'[^/]+/data\.pkl', name)]
        if len(roots) != 1 or any(not name.startswith(f'{roots[0]}/') for name in names):
            self.close()
            raise AssetError(f'{self.label} is an archive, but not of torch.save',
                             expected='one folder with data.pkl in it')
        self._root = roots[0]
        if f'{self._root}/constants.pkl' in names:
            self.close()
            raise AssetError(f'{self.label} is a TorchScript program',
                             expected='a module or its state dict, from torch.save')

    def __enter__(self) -> TorchFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def load(self, allowed: ClosedList) -> Any:
        """
        Return the saved value, with `TensorRecord` in the place of tensors.

        Args:
            allowed: closed list of what it may name, with `TORCH` in it.

        Raises:
            AssetError: as `read_pickle`, or a tensor does not fit its storage.
        """
        order = f'{self._root}/byteorder'
        if order in self._zip.names() and self._zip.read(order, 16) != b'little':
            raise AssetError(f'{self.label} was written on a big-endian machine',
                             expected='little-endian numbers')
        data = self._zip.read(f'{self._root}/data.pkl', _MAX_PICKLE_BYTES)
        return read_pickle(data, allowed, self.label, persistent=self._storage)

    def array(self, record: TensorRecord) -> np.ndarray:
        """
        Return the numbers of a tensor, read-only, in its own type.

        Raises:
            AssetError: its storage is missing or damaged.
        """
        return view(record, self._values(record.storage))

    def dense(self, record: SparseRecord) -> np.ndarray:
        """Return a sparse tensor as a float64 matrix; AssetError where it does not fit."""
        rows, columns = self.array(record.indices)
        try:
            return scatter((rows, columns), self.array(record.values), record.shape)
        except ValueError as error:
            raise AssetError(f'{self.label}: {error}', next_step=DAMAGED_STEP) from error

    def numbers(self, value: Any, label: str) -> np.ndarray:
        """Return the numbers of a tensor of either kind, or of a numpy array; else AssetError."""
        if isinstance(value, TensorRecord):
            return self.array(value)
        if isinstance(value, SparseRecord):
            return self.dense(value)
        return dense(value, f'{self.label}: {label}')

    def _storage(self, key: Any) -> Storage:
        """Return the storage of a persistent id, after its member was found to be that long."""
        if (type(key) is not tuple or len(key) != 5 or key[0] != 'storage'
                or not isinstance(key[1], Name) or type(key[2]) is not str
                or not re.fullmatch('[0-9]{1,20}', key[2]) or type(key[4]) is not int):
            raise ValueError('a persistent id that is no storage')
        # key[3] is the device that the tensor was on, which is of no interest here.
        storage = Storage(key[2], _element_type(key[1]), key[4])
        size = self._zip.size_bytes(f'{self._root}/data/{storage.key}')
        if size != storage.count * storage.dtype.itemsize:
            raise ValueError(f'storage {storage.key} of {storage.count} elements '
                             f'in {size} bytes')
        return storage

    def _values(self, storage: Storage) -> np.ndarray:
        if storage.values is not None:
            return storage.values
        key = f'{storage.key} {storage.dtype}'
        if self._last is None or self._last[0] != key:
            self._last = None  # free it before the next is taken
            values = np.empty(storage.count, storage.dtype)
            self._zip.read_into(f'{self._root}/data/{storage.key}',
                                values.view(np.uint8).data)
            values.flags.writeable = False
            self._last = key, values
        return self._last[1]


def view(record: TensorRecord, values: np.ndarray) -> np.ndarray:
    """Return the elements of a tensor as a read-only view of its storage."""
    strides = tuple(step * values.itemsize for step in record.stride)
    return np.lib.stride_tricks.as_strided(values[record.offset:], record.shape, strides,
                                           writeable=False)


def numbers_in_pickle(value: Any, label: str) -> np.ndarray:
    """Return the numbers of a tensor or array that came in a plain pickle; else AssetError."""
    if isinstance(value, TensorRecord) and value.storage.values is not None:
        return view(value, value.storage.values)
    return dense(value, label)


def refuse_legacy(path: Path) -> None:
    """Raise AssetError for the formats of torch.save before version 1.6."""
    with open_plain(path) as stream:
        head = stream.read(_TAR_AT + len(_TAR))
    if head.startswith(_MAGIC) or head[_TAR_AT:] == _TAR:
        new = path.with_name(f'{path.stem}_zip{path.suffix}').name
        code = (f'import torch; torch.save(torch.load({json.dumps(path.name)}, '
                f'map_location="cpu", weights_only=False), {json.dumps(new)})')
        raise AssetError(
            f'{path.name} is in the old format of torch.save, which is not read here',
            expected='the archive format of PyTorch 1.6 and later',
            next_step='where that model runs, and if you trust the file (this runs its code): '
                      f'python -c {shlex.quote(code)}')
    if not head.startswith(b'PK\3\4'):
        raise AssetError(f'{path.name} is not a file of torch.save',
                         expected='an archive that holds data.pkl', next_step=DAMAGED_STEP)


def _element_type(name: Name) -> np.dtype[Any]:
    code = _STORAGES.get(name.name)
    if code is None:
        raise ValueError(f'{name} has no element type')
    return np.dtype('<' + code)


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError('an offset or stride that is no natural number')
    return value


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False,
                    hooks: Any = None, metadata: Any = None) -> TensorRecord:
    if not isinstance(storage, Storage) or type(stride) is not tuple:
        raise ValueError('a tensor without a storage')
    shape, steps = checked_shape(size), tuple(_natural(step) for step in stride)
    if len(steps) != len(shape):
        raise ValueError('size and stride differ in length')
    last = _natural(offset) + sum((n - 1) * step for n, step in zip(shape, steps))
    if math.prod(shape) and last >= storage.count:
        raise ValueError(f'element {last} of a storage of {storage.count}')
    return TensorRecord(storage, offset, shape, steps)


def _rebuild_parameter(tensor: Any, requires_grad: Any = False, hooks: Any = None
                       ) -> TensorRecord:
    if not isinstance(tensor, TensorRecord):
        raise ValueError('a parameter that is no tensor')
    return tensor


def _size(values: Any = ()) -> tuple[int, ...]:
    return checked_shape(tuple(values))


def _device(kind: Any, index: Any = 0) -> tuple[str, int]:
    if type(kind) is not str or type(index) is not int:
        raise ValueError('a device without a name')
    return kind, index


def _layout(name: Any) -> str:
    if name not in ('torch.sparse_coo', 'torch.strided'):
        raise ValueError('a layout that is not read here')
    return name


def _rebuild_sparse(layout: Any, parts: Any) -> SparseRecord:
    indices, values, shape = parts[:3]
    if layout != 'torch.sparse_coo' or not (
            isinstance(indices, TensorRecord) and isinstance(values, TensorRecord)):
        raise ValueError('a sparse tensor without coordinates')
    rows, columns = checked_shape(shape)
    if len(indices.shape) != 2 or indices.shape[0] != 2:
        raise ValueError('a sparse tensor that is no matrix')
    return SparseRecord(indices, values, (rows, columns))


def _bytes_of_storage(data: Any) -> Storage:
    """
    Stand for `torch.storage._load_from_bytes`, which tensors in plain pickles use.

    The bytes are a storage in the old format of torch.save: magic number, protocol, machine,
    the storage, the list of keys, and then for the one key the count and the numbers.
    """
    if type(data) is not bytes or not data.startswith(_MAGIC):
        raise ValueError('a storage without bytes')
    label, at = 'a storage inside', len(_MAGIC)
    protocol, at = read_pickle_at(data, at, {}, label)
    if protocol != _LEGACY_PROTOCOL:
        raise ValueError(f'protocol {protocol!a}'[:80])
    _, at = read_pickle_at(data, at, {}, label)
    found, at = read_pickle_at(data, at, _NAMES, label, persistent=_outline)
    keys, at = read_pickle_at(data, at, {}, label)
    if not isinstance(found, Storage) or keys != [found.key]:
        raise ValueError('more than one storage')
    start = at + 8
    size = found.count * found.dtype.itemsize
    if len(data) != start + size or int.from_bytes(data[at:start], 'little') != found.count:
        raise ValueError(f'{len(data) - start} bytes of a storage of {size}')
    return Storage(found.key, found.dtype, found.count,
                   np.frombuffer(data, found.dtype, offset=start))


def _outline(key: Any) -> Storage:
    if (type(key) is not tuple or len(key) not in (5, 6) or key[0] != 'storage'
            or not isinstance(key[1], Name) or type(key[2]) is not str):
        raise ValueError('a persistent id that is no storage')
    return Storage(key[2], _element_type(key[1]), _natural(key[4]))


_NAMES: ClosedList = {
    **{('torch', name): Rule() for name in _STORAGES},
    ('torch.storage', 'UntypedStorage'): Rule(),
}

TORCH: ClosedList = {
    **CONTAINERS, **_NAMES,
    ('torch', 'Size'): Rule(call=_size),
    ('torch', 'device'): Rule(call=_device),
    ('torch._utils', '_rebuild_tensor_v2'): Rule(call=_rebuild_tensor),
    ('torch._utils', '_rebuild_parameter'): Rule(call=_rebuild_parameter),
}
"""Tensors in archives."""

SPARSE_TENSORS: ClosedList = {
    ('torch._utils', '_rebuild_sparse_tensor'): Rule(call=_rebuild_sparse),
    ('torch.serialization', '_get_layout'): Rule(call=_layout),
}

TENSORS_IN_PICKLES: ClosedList = {
    **NUMPY, **TORCH, ('torch.storage', '_load_from_bytes'): Rule(call=_bytes_of_storage),
}
"""Tensors in plain pickles, beside arrays."""
