# SPDX-License-Identifier: Apache-2.0
"""
Numbers made by formula: a pure function of a name and a seed, the same on every machine.

Weights and bodies of DICE can't be shipped. Stand-ins of the same layout are filled with these
numbers instead, so that everything around them can be built, tested and timed.
"""
from __future__ import annotations

import math
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_WORD = (1 << 64) - 1
_PIECE = 1 << 16
"""Numbers at a time: half a megabyte stays in the processor's cache."""


def unit(name: str, seed: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """
    Return numbers in the open interval (-1, 1).

    Args:
        name: of the array; its CRC-32 and the seed make the key of a Philox-4x64 counter.
        seed: any non-negative integer.
        shape: of the result.
    """
    count = math.prod(shape)
    return np.concatenate([np.empty(0), *unit_chunks(name, seed, count)]).reshape(shape)


def unit_chunks(name: str, seed: int, count: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the `count` numbers of `unit` in short pieces, the caller's own."""
    # Raw words only: numpy may change its distributions, never its bit generators.
    key = np.array(((zlib.crc32(name.encode()) ^ seed) & _WORD, seed & _WORD), np.uint64)
    generator = np.random.Philox(key=key)
    for begin in range(0, count, _PIECE):
        words = generator.random_raw(min(_PIECE, count - begin))
        words >>= np.uint64(11)  # 53 bits, that float64 holds exactly
        values = words.astype(np.float64)
        values += 0.5
        values *= 2.0 ** -52
        values -= 1.0
        yield values


def integers(name: str, seed: int, count: int, high: int) -> npt.NDArray[np.int64]:
    """Return (count,) integers from 0 to high - 1; other arguments as for `unit`."""
    share = (unit(name, seed, (count,)) + 1.0) / 2.0
    return np.minimum((share * high).astype(np.int64), high - 1)
