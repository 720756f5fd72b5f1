# SPDX-License-Identifier: Apache-2.0
"""Open files that somebody else made: regular ones only, and no larger than expected."""
from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ros2_dice.errors import AssetError

MAX_BYTES = 1 << 29
"""Of a file that is read as a whole; the largest real one, a head model, has 53 MB."""


def open_plain(path: Path) -> BinaryIO:
    """
    Open a regular file to read.

    Raises:
        AssetError: it is missing, unreadable, or a device, pipe or folder.
    """
    try:
        # A pipe without a writer would block here for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise AssetError(f"{path} can't be read: {error.strerror or error}",
                         expected='a readable file') from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise AssetError(f'{path} is not a file', expected='a regular file')
    return os.fdopen(handle, 'rb')


def read_bytes(path: Path, limit_bytes: int = MAX_BYTES) -> bytes:
    """
    Return all bytes of a regular file.

    Raises:
        AssetError: as `open_plain`, or the file is empty or larger than the limit.
    """
    with open_plain(path) as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        if not 0 < size_bytes <= limit_bytes:
            raise AssetError(f'{path.name} has {size_bytes} bytes',
                             expected=f'1 to {limit_bytes}')
        return stream.read(limit_bytes)
