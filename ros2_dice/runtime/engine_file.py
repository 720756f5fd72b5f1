# SPDX-License-Identifier: Apache-2.0
"""
One built engine in one file: header, payload, proof, digest.

Layout: `MAGIC`, length of the header (8 bytes, little endian), header (JSON), zeros up to a
multiple of 64, payload, proof (an .npz of a stored input and what the engine made of it), sha256
of all that comes before. Nothing of a file is used before the digest was found to be right.
"""
from __future__ import annotations

import hashlib
import io
import json
import mmap
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime.protocol import FloatTensor

MAGIC = b'ros2_dice engine 1\n'
_DIGEST_BYTES = 32
_ALIGNMENT = 64
_CHUNK_BYTES = 1 << 22
_MOST_HEADER_BYTES = 1 << 20
_START_BYTES = len(MAGIC) + 8


@dataclass(frozen=True)
class Sample:
    """Named inputs of a network and the outputs that belong to them."""

    inputs: Mapping[str, FloatTensor]
    outputs: Mapping[str, FloatTensor]


@dataclass(frozen=True)
class Entry:
    """A built engine as it was stored; read back, every byte is as it was written."""

    key: Mapping[str, str]
    """Everything that makes the engine valid: weights, library versions, device, ..."""
    payload: memoryview
    """The engine itself; empty = it is known that none is worth keeping, `facts` says why."""
    proof: Sample | None
    """What the engine answered when it was built."""
    facts: Mapping[str, object]
    """What was measured when it was built, ready for JSON."""


def write_entry(stream: IO[bytes], entry: Entry) -> int:
    """
    Write an entry; return its length [byte].

    Raises:
        OSError: the disk is full or the file can't be written.
    """
    proof = _pack(entry.proof)
    header = json.dumps({
        'key': dict(entry.key), 'facts': dict(entry.facts),
        'payload_bytes': entry.payload.nbytes, 'proof_bytes': len(proof)}).encode()
    start = MAGIC + len(header).to_bytes(8, 'little') + header
    digest = hashlib.sha256()
    length = 0
    for part in (start, bytes(-len(start) % _ALIGNMENT), entry.payload, proof):
        view = memoryview(part).cast('B')
        for begin in range(0, len(view), _CHUNK_BYTES):
            chunk = view[begin:begin + _CHUNK_BYTES]
            digest.update(chunk)
            stream.write(chunk)
        length += len(view)
    stream.write(digest.digest())
    return length + _DIGEST_BYTES


def read_entry(path: Path) -> Entry:
    """
    Read an entry; its payload is mapped from the file, not copied.

    Raises:
        FileNotFoundError: there is none.
        OSError: it can't be read.
        EngineError: the file is not a whole entry: cut off, changed, or something else.
    """
    with path.open('rb') as stream:
        try:
            # Private: a library that wants writable memory never changes the file.
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
        except ValueError:
            raise _damaged(path, 'empty') from None
    if len(view) < _START_BYTES + _DIGEST_BYTES or view[:len(MAGIC)] != MAGIC:
        raise _damaged(path, 'not an engine of this version')
    digest = hashlib.sha256()
    for begin in range(0, len(view) - _DIGEST_BYTES, _CHUNK_BYTES):
        digest.update(view[begin:min(begin + _CHUNK_BYTES, len(view) - _DIGEST_BYTES)])
    if digest.digest() != view[-_DIGEST_BYTES:]:
        raise _damaged(path, 'cut off or changed: its digest differs')
    header_bytes = int.from_bytes(view[len(MAGIC):_START_BYTES], 'little')
    if header_bytes > min(_MOST_HEADER_BYTES, len(view) - _START_BYTES):
        raise _damaged(path, 'without a header')
    try:
        header = json.loads(bytes(view[_START_BYTES:_START_BYTES + header_bytes]))
        payload_bytes, proof_bytes = int(header['payload_bytes']), int(header['proof_bytes'])
        key = {str(name): str(value) for name, value in header['key'].items()}
        facts = dict(header['facts'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, 'without a readable header') from error
    begin = _START_BYTES + header_bytes
    begin += -begin % _ALIGNMENT
    if begin + payload_bytes + proof_bytes + _DIGEST_BYTES != len(view):
        raise _damaged(path, 'of another length than its header says')
    payload = view[begin:begin + payload_bytes]
    try:
        proof = _unpack(bytes(view[begin + payload_bytes:-_DIGEST_BYTES]))
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, 'without a readable proof') from error
    return Entry(key, payload, proof, facts)


def _damaged(path: Path, got: str) -> EngineError:
    return EngineError(f'cached engine {path.name}', got=got, expected='a whole file',
                       next_step='it is built anew')


def _pack(sample: Sample | None) -> bytes:
    if sample is None:
        return b''
    stream = io.BytesIO()
    arrays = {f'{kind}/{name}': values for kind, group in
              (('in', sample.inputs), ('out', sample.outputs)) for name, values in group.items()}
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _unpack(data: bytes) -> Sample | None:
    if not data:
        return None
    groups: dict[str, dict[str, FloatTensor]] = {'in': {}, 'out': {}}
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for name in arrays.files:
            kind, _, tensor = name.partition('/')
            if kind not in groups:
                raise ValueError(name)
            groups[kind][tensor] = arrays[name]
    return Sample(groups['in'], groups['out'])
