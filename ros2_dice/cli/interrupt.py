# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in a command that has nothing to put in order: one line, and the end at once."""
from __future__ import annotations

import os
import signal
import sys
import threading

INTERRUPTED = 130
"""Exit status after SIGINT, as shells have it."""


def end_at_once(words: str) -> None:
    """
    On SIGINT say some words and end this process, also while a library computes.

    Python's own way is an exception in the main thread, which comes only when a library returns,
    and which libraries show as errors of theirs. To be called on the main thread, by a command
    whose files are whole at any time.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        while os.read(reader, 1)[0] != signal.SIGINT:
            pass
        # A progress bar has hidden the cursor and left its line unfinished.
        restored = '\r\x1b[2K\x1b[?25h' if sys.stderr.isatty() else ''
        os.write(2, f'{restored}ros2-dice: {words}\n'.encode())
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, name='interrupt', daemon=True).start()
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
