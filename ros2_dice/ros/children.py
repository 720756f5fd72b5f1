# SPDX-License-Identifier: Apache-2.0
"""What a child process does about its parent."""
from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """
    Ask Linux to end this process when the one that started it ends, however it does.

    By SIGTERM, which ends a Python that has not come to its handlers yet, too: the exception that
    SIGINT makes there can be swallowed.
    """
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
