# SPDX-License-Identifier: Apache-2.0
"""
Numbers made by formula: a pure function of a name and a seed, the same on every machine.

Weights and bodies of DICE can't be shipped. Stand-ins of the same layout are filled with these
numbers instead, so that everything around them can be built, tested and timed.
"""
from __future__ import annotations

import math
import zlib

import numpy as np
import numpy.typing as npt

_WORD = (1 << 64) - 1


def unit(name: str, seed: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """
    Return numbers in the open interval (-1, 1).

    Args:
        name: of the array; its CRC-32 and the seed make the key of a Philox-4x64 counter.
        seed: any non-negative integer.
        shape: of the result.
    """
    # Raw words only: numpy may change its distributions, never its bit generators.
    key = np.array(((zlib.crc32(name.encode()) ^ seed) & _WORD, seed & _WORD), np.uint64)
    words = np.random.Philox(key=key).random_raw(math.prod(shape))
    mantissa = (words >> np.uint64(11)).astype(np.float64)  # 53 bits
    return ((mantissa + 0.5) * 2.0 ** -52 - 1.0).reshape(shape)


def integers(name: str, seed: int, count: int, high: int) -> npt.NDArray[np.int64]:
    """Return (count,) integers from 0 to high - 1; other arguments as for `unit`."""
    share = (unit(name, seed, (count,)) + 1.0) / 2.0
    return np.minimum((share * high).astype(np.int64), high - 1)
