# SPDX-License-Identifier: Apache-2.0
"""
Read and write safetensors files piece by piece, so that a large one never lies in memory whole.

Format: 8 bytes length of the header, the header (JSON: name to dtype, shape, data_offsets), then
the numbers, little-endian, without gaps.
"""
from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice.assets.closed_arrays import checked_shape
from ros2_dice.assets.closed_unpickler import DAMAGED_STEP
from ros2_dice.assets.plain_file import open_plain
from ros2_dice.errors import AssetError

_MAX_HEADER_BYTES = 1 << 24
_ALIGNMENT = 64
_DTYPES = {'F16': '<f2', 'F32': '<f4', 'F64': '<f8', 'I64': '<i8', 'I32': '<i4'}


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies in a file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    """From the beginning of the file [bytes]."""

    @property
    def size_bytes(self) -> int:
        """Of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(data: bytes | memoryview, size_bytes: int, label: str) -> dict[str, Entry]:
    """
    Return what a safetensors file holds.

    Args:
        data: the beginning of the file, with the whole header in it.
        size_bytes: of the whole file.
        label: name of the file, for errors.

    Raises:
        AssetError: the header is damaged, or the numbers do not fill the file exactly.
    """
    try:
        length = header_bytes(data, size_bytes)
        document = json.loads(bytes(data[8:8 + length]).decode('utf-8'))
        rows = sorted(((*row['data_offsets'], name, row) for name, row in document.items()
                       if name != '__metadata__'), key=lambda row: row[:3])
        entries: dict[str, Entry] = {}
        at = 0
        for start, end, name, row in rows:
            entry = Entry(np.dtype(_DTYPES[row['dtype']]), checked_shape(tuple(row['shape'])),
                          8 + length + start)
            if type(start) is not int or start != at or end != start + entry.size_bytes:
                raise ValueError(f'{name[:80]!a} is not where its neighbour ends')
            entries[name] = entry
            at = end
        if 8 + length + at != size_bytes:
            raise ValueError(f'{size_bytes - 8 - length} bytes hold {at} of numbers')
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AssetError(f"{label} can't be read as safetensors: {error}"[:300],
                         expected='a whole file', next_step=DAMAGED_STEP) from error
    return {name: entries[name] for name in document if name in entries}


def header_bytes(data: bytes | memoryview, size_bytes: int) -> int:
    """Return the length of the header that the first 8 bytes state; ValueError if it can't be."""
    length = int.from_bytes(data[:8], 'little')
    if len(data) < 8 or not 2 <= length <= min(_MAX_HEADER_BYTES, size_bytes - 8):
        raise ValueError(f'a header of {length} bytes')
    return length


class SafetensorsFile:
    """
    A file whose tensors are read one at a time.

    Raises:
        AssetError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.label = path.name
        self._file = open_plain(path)
        try:
            size = os.fstat(self._file.fileno()).st_size
            first = self._file.read(8)
            rest = self._file.read(min(int.from_bytes(first, 'little'), _MAX_HEADER_BYTES))
            self.entries = read_header(first + rest, size, self.label)
        except AssetError:
            self.close()
            raise

    def __enter__(self) -> SafetensorsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def array(self, name: str) -> np.ndarray:
        """Return the numbers of one tensor; AssetError where the file ends before them."""
        entry = self.entries[name]
        values = np.empty(entry.shape, entry.dtype)
        self._file.seek(entry.start)
        target = values.reshape(-1).view(np.uint8).data
        if self._file.readinto(target) != entry.size_bytes:  # type: ignore[attr-defined]
            raise AssetError(f'{self.label} ends inside of {name}', next_step=DAMAGED_STEP)
        return values


def write_safetensors(path: Path, shapes: Mapping[str, tuple[int, ...]],
                      arrays: Iterable[np.ndarray], metadata: Mapping[str, str]
                      ) -> tuple[str, int]:
    """
    Write float32 tensors one after the other.

    Args:
        path: of the new file.
        shapes: of the tensors, by name.
        arrays: their numbers, in the order of `shapes`; each is taken when its turn comes.
        metadata: texts for the header.

    Returns:
        sha256 (64 hex digits) and size of the file.
    """
    header: dict[str, Any] = {'__metadata__': dict(metadata)}
    at = 0
    for name, shape in shapes.items():
        end = at + 4 * math.prod(shape)
        header[name] = {'dtype': 'F32', 'shape': list(shape), 'data_offsets': [at, end]}
        at = end
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-(8 + len(text)) % _ALIGNMENT)
    digest = hashlib.sha256()
    with path.open('wb') as out:
        for part in (len(text).to_bytes(8, 'little'), text):
            digest.update(part)
            out.write(part)
        for (name, shape), values in zip(shapes.items(), arrays, strict=True):
            if values.shape != shape or values.dtype != np.float32:
                raise ValueError(f'{name} is {values.dtype} {values.shape}, not float32 {shape}')
            numbers = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
            digest.update(numbers)
            out.write(numbers)
        out.flush()
        os.fsync(out.fileno())
        return digest.hexdigest(), out.tell()
