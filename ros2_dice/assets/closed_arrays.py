# SPDX-License-Identifier: Apache-2.0
"""
Closed lists of numpy, scipy.sparse and chumpy, whose pickles become plain numpy arrays.

Formats: numpy's `ndarray.__reduce__` (version 1) and `dtype.__reduce__` (version 3 and 4), the
attributes of scipy's compressed and coordinate matrices, chumpy's `Ch.__getstate__`.
"""
from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice.assets.closed_list import ClosedList, Inert, Items, Name, Rule, StandIn
from ros2_dice.assets.closed_unpickler import DAMAGED_STEP, read_pickle
from ros2_dice.assets.plain_file import read_bytes
from ros2_dice.errors import AssetError

MAX_ELEMENTS = 1 << 28
"""Of one dense array: far above any body, far below what would fill a machine."""
_MAX_MATRIX_ELEMENTS = 1 << 25
"""Of a sparse matrix made dense, which a small file can make large; the largest has 2^23."""
_MAX_DIMENSIONS = 8
_MAX_WRAPPINGS = 8
_NPY_MAGIC = b'\x93NUMPY'
_MAX_NPY_HEADER_BYTES = 10_000
_KINDS = frozenset(['f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1'])


class DtypeStandIn(StandIn):
    """Element type of a numpy array in a pickle."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = '='

    def fill(self, state: Any) -> None:
        """Take the byte order; the rest belongs to records, which are not read."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ('<', '>', '=', '|'):
            raise ValueError('dtype without a byte order')
        self.order = '<' if state[1] in '=|' else state[1]

    @property
    def is_object(self) -> bool:
        """Whether the array holds pickled objects."""
        return self.code.startswith('O')

    def dtype(self) -> np.dtype[Any]:
        """Return the numpy type; ValueError unless it is a plain number."""
        if self.code not in _KINDS:
            raise ValueError(f'elements of type {self.code!a}')
        return np.dtype(self.order.replace('=', '<') + self.code)


class ArrayStandIn(StandIn):
    """A numpy array in a pickle: checked when its state comes, made when it is asked for."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.objects: list[Any] | None = None
        self._dtype: DtypeStandIn | None = None
        self._fortran = False
        self._raw = b''

    def fill(self, state: Any) -> None:
        """Take (version, shape, dtype, column-major, bytes or list of objects)."""
        if type(state) is not tuple or len(state) != 5:
            raise ValueError('array state of an unknown form')
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, DtypeStandIn):
            raise ValueError('array without a type')
        self.shape = checked_shape(shape)
        if dtype.is_object:
            if type(raw) is not list or len(raw) != math.prod(self.shape):
                raise ValueError(f'array of shape {self.shape} without its objects')
            self.objects = raw
            return
        self._dtype, self._fortran = dtype, bool(fortran)
        self._raw = _as_bytes(raw)

    def array(self) -> np.ndarray:
        """Return the array, read-only; ValueError where bytes and shape do not agree."""
        if self._dtype is None:
            raise ValueError('an array of objects' if self.filled else 'an empty array')
        dtype = self._dtype.dtype()
        wanted = math.prod(self.shape) * dtype.itemsize
        if wanted != len(self._raw):
            raise ValueError(f'{len(self._raw)} bytes for an array of {wanted}')
        flat = np.frombuffer(self._raw, dtype)
        return flat.reshape(self.shape, order='F' if self._fortran else 'C')


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape of few, natural and not too many elements; ValueError otherwise."""
    if (type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS
            or any(type(size) is not int or size < 0 for size in shape)):
        raise ValueError('a shape that is no shape')
    if math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(f'an array of {math.prod(shape)} elements')
    return shape


def dense(value: Any, label: str) -> np.ndarray:
    """
    Return the numbers of an array, a sparse matrix or a chumpy object from a closed list.

    Args:
        value: what the pickle holds.
        label: of the file and the entry, for errors.

    Raises:
        AssetError: it is something else, or its parts do not fit together.
    """
    try:
        return _dense(value, _MAX_WRAPPINGS)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise AssetError(f"{label} can't be read: {error}", expected='an array of numbers',
                         next_step=DAMAGED_STEP) from error


def load_npy(path: Path, allowed: ClosedList) -> Any:
    """
    Return what a .npy file holds: an array of numbers, or the objects of an object array.

    Args:
        path: the file.
        allowed: closed list for the pickle inside of an object array.

    Returns:
        ndarray (read-only), or a list of the objects in the array's order.

    Raises:
        AssetError: the file is missing, damaged, too large, or names what is not allowed.
    """
    data = read_bytes(path)
    try:
        shape, fortran, dtype, start = _npy_header(data)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise AssetError(f'{path.name} is not a .npy file', expected='a numpy array',
                         next_step=DAMAGED_STEP) from error
    body = data[start:]
    if dtype.is_object:
        value = read_pickle(body, allowed, path.name)
        if not isinstance(value, ArrayStandIn) or value.objects is None:
            raise AssetError(f'{path.name} holds no array of objects', next_step=DAMAGED_STEP)
        return value.objects
    whole = ArrayStandIn()
    try:
        whole.fill((1, shape, dtype, fortran, body))
        return whole.array()
    except ValueError as error:
        raise AssetError(f"{path.name} can't be read: {error}", expected='a whole file',
                         next_step=DAMAGED_STEP) from error


def _npy_header(data: bytes) -> tuple[tuple[int, ...], bool, DtypeStandIn, int]:
    """Return shape, column-major, type and where the numbers begin; many errors where damaged."""
    size = {1: 2, 2: 4}[data[6]] if data.startswith(_NPY_MAGIC) and len(data) > 12 else 0
    start = 8 + size + int.from_bytes(data[8:8 + size], 'little')
    if not size or not start <= min(len(data), _MAX_NPY_HEADER_BYTES):
        raise ValueError('no header')
    text = data[8 + size:start].decode('latin1').strip()
    # Python 2 wrote long integers with an L.
    header = ast.literal_eval(re.sub(r'(\d)L\b', r'\1', text))
    form = re.fullmatch('([<>|=]?)([A-Za-z][0-9]{0,2})', header['descr'])
    if not form:
        raise ValueError('a type that is not plain')
    dtype = DtypeStandIn(form[2])
    dtype.order = '<' if form[1] in '=|' else form[1]
    return header['shape'], bool(header['fortran_order']), dtype, start


def _dense(value: Any, wrappings: int) -> np.ndarray:
    if wrappings == 0:
        raise ValueError('objects inside of objects inside of objects')
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, ArrayStandIn):
        return value.array()
    if isinstance(value, Inert) and type(value.state) is dict:
        name, state = str(value.name), value.state
        form = value.name.name.partition('_')[0]
        if name.startswith('scipy.sparse'):
            return _coordinate(state) if form == 'coo' else _compressed(state, form)
        if name == 'chumpy.ch.Ch':
            return _dense(state['x'], wrappings - 1)
        if name == 'chumpy.reordering.Select':
            picked = _dense(state['a'], wrappings - 1).ravel()[
                _dense(state['idxs'], wrappings - 1)]
            return picked.reshape(_sizes(state.get('preferred_shape', picked.shape)))
    raise ValueError(f'{value.name if isinstance(value, Inert) else type(value).__name__} '
                     'is not an array')


def _sizes(value: Any) -> tuple[int, ...]:
    """Return a shape that may have been stored as an array of its own."""
    sizes = value.array().tolist() if isinstance(value, ArrayStandIn) else value
    return checked_shape(tuple(sizes))


def _matrix_shape(state: dict[str, Any]) -> tuple[int, int]:
    rows, columns = _sizes(state['_shape'] if '_shape' in state else state['shape'])
    return rows, columns


def _compressed(state: dict[str, Any], form: str) -> np.ndarray:
    """Return a compressed matrix by columns (csc) or rows (csr) as a dense one."""
    rows, columns = _matrix_shape(state)
    major, minor = (columns, rows) if form == 'csc' else (rows, columns)
    starts = _dense(state['indptr'], 1).astype(np.int64)
    if starts.shape != (major + 1,) or starts[0] != 0 or (np.diff(starts) < 0).any():
        raise ValueError('a sparse matrix whose pointers do not rise')
    own = np.repeat(np.arange(major), np.diff(starts))
    other = _dense(state['indices'], 1).astype(np.int64)
    values = _dense(state['data'], 1)
    if not len(own) <= min(len(other), len(values)):
        raise ValueError('a sparse matrix without all of its values')
    other, values = other[:len(own)], values[:len(own)]
    return scatter((other, own) if form == 'csc' else (own, other), values, (rows, columns))


def _coordinate(state: dict[str, Any]) -> np.ndarray:
    row, column = state['coords'] if 'coords' in state else (state['row'], state['col'])
    return scatter((_dense(row, 1), _dense(column, 1)), _dense(state['data'], 1),
                   _matrix_shape(state))


def scatter(where: tuple[np.ndarray, np.ndarray], values: np.ndarray,
            shape: tuple[int, int]) -> np.ndarray:
    """
    Return a dense float64 matrix from (row, column, value); equal places add up.

    Raises:
        ValueError: a place lies outside, or the lengths differ.
    """
    if math.prod(checked_shape(shape)) > _MAX_MATRIX_ELEMENTS:
        raise ValueError(f'a matrix of {shape[0]} x {shape[1]}')
    for index, size in zip(where, shape):
        if index.shape != values.shape or values.ndim != 1 or index.dtype.kind not in 'iu':
            raise ValueError('a sparse matrix whose parts differ in length')
        if index.size and not 0 <= index.min() <= index.max() < size:
            raise ValueError('a sparse matrix with values outside of it')
    result = np.zeros(shape)
    np.add.at(result, where, values.astype(np.float64))
    return result


def _as_bytes(raw: Any) -> bytes:
    if type(raw) is str:
        return raw.encode('latin1')
    if type(raw) is not bytes:
        raise ValueError('array without bytes')
    return raw


def _reconstruct(kind: Any, shape: Any, code: Any) -> ArrayStandIn:
    if not isinstance(kind, Name) or kind.name != 'ndarray':
        raise ValueError('not an ndarray')
    return ArrayStandIn()


def _dtype(code: Any, align: Any = 0, copy: Any = 0) -> DtypeStandIn:
    if type(code) is not str or len(code) > 8:
        raise ValueError('a type without a code')
    return DtypeStandIn(code)


def _scalar(dtype: Any, raw: Any = b'') -> Any:
    one = ArrayStandIn()
    one.fill((1, (), dtype, False, raw))
    return one


def _encode(text: Any, encoding: Any = 'latin1') -> bytes:
    if type(text) is not str or encoding not in ('latin1', 'latin-1'):
        raise ValueError('an encoding other than Latin-1')
    return text.encode('latin1')


def _empty_bytes() -> bytes:
    return b''


def make_set(values: Any = ()) -> set[str]:
    """Stand for `set(values)`: only of texts, so that hashing is safe."""
    if type(values) not in (list, tuple) or any(type(value) is not str for value in values):
        raise ValueError('a set of something else than texts')
    return set(values)


def make_mapping(pairs: Any = ()) -> Items:
    """Stand for `OrderedDict(pairs)`: the pairs come from Python 2, later ones by SETITEMS."""
    result = Items()
    for key, value in pairs:
        if type(key) is not str:
            raise ValueError('a key that is not text')
        result[key] = value
    return result


def _old_object(kind: Any, base: Any, state: Any) -> StandIn:
    """Stand for copyreg's way to make an object of a class, as protocols 0 and 1 have it."""
    if not isinstance(kind, Name) or kind.rule.make is None or state is not None:
        raise ValueError('an object of a class that is not allowed')
    return kind.rule.make(kind)


_OBJECT = Rule(make=Inert)

NUMPY: ClosedList = {
    **{(module, name): rule for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
       for name, rule in (('_reconstruct', Rule(call=_reconstruct)),
                          ('scalar', Rule(call=_scalar)))},
    ('numpy', 'ndarray'): Rule(),
    ('numpy', 'dtype'): Rule(call=_dtype),
    ('_codecs', 'encode'): Rule(call=_encode),
    ('__builtin__', 'bytes'): Rule(call=_empty_bytes),
    ('builtins', 'bytes'): Rule(call=_empty_bytes),
}
"""Arrays of numbers, and arrays of what the rest of a list allows."""

CONTAINERS: ClosedList = {
    ('__builtin__', 'set'): Rule(call=make_set),
    ('builtins', 'set'): Rule(call=make_set),
    ('collections', 'OrderedDict'): Rule(call=make_mapping),
}

SPARSE: ClosedList = {
    (f'scipy.sparse.{under}{form}', f'{form}_{kind}'): _OBJECT
    for form in ('csc', 'csr', 'coo') for under in ('', '_') for kind in ('matrix', 'array')}

CHUMPY: ClosedList = {
    ('chumpy.ch', 'Ch'): _OBJECT,
    ('chumpy.reordering', 'Select'): _OBJECT,
}

OLD_OBJECTS: ClosedList = {
    ('copy_reg', '_reconstructor'): Rule(call=_old_object),
    ('copyreg', '_reconstructor'): Rule(call=_old_object),
    ('__builtin__', 'object'): Rule(),
    ('builtins', 'object'): Rule(),
}
"""How protocols 0 and 1 write an object."""
