# SPDX-License-Identifier: Apache-2.0
"""The progress bar of commands that handle large files, on stderr, only where it is a terminal."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function of a text, the bytes done and the bytes in all (0 = unknown)."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(TextColumn('{task.description}'), BarColumn(), DownloadColumn(),
                  TimeRemainingColumn(), console=console, transient=True,
                  disable=not console.is_terminal) as bar:
        task = bar.add_task('', total=None)

        def show(text: str, done_bytes: int, total_bytes: int) -> None:
            bar.update(task, description=text, completed=done_bytes, total=total_bytes or None)

        yield show
