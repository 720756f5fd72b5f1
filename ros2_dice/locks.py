# SPDX-License-Identifier: Apache-2.0
"""Locks between processes, on files; the system lifts those of a process that ends."""
from __future__ import annotations

import fcntl
from typing import IO, Any


def try_lock(file: IO[Any]) -> bool | None:
    """
    Take the lock of an open file, until it is closed.

    Returns:
        True; False where another process has it; None on a file system that has no locks, as some
        over the network.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
