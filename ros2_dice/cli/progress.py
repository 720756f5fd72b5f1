# SPDX-License-Identifier: Apache-2.0
"""How far a command is, on stderr: a bar on a terminal, elsewhere a line now and then."""
from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID


SILENCE_S = 10.0
"""Many things that are counted get a line after so long, where no terminal shows a bar."""


class Bar:
    """
    One line of progress.

    Args:
        steps: without a terminal, print each new text once; False = texts are names of many
            things, of which only a terminal wants to know.
        quiet: show and say nothing.
    """

    def __init__(self, progress: Progress, task: TaskID, console: Console, steps: bool,
                 quiet: bool) -> None:
        self._progress, self._task, self._console = progress, task, console
        self._quiet = quiet
        self._speaks = not quiet and not console.is_terminal
        self._lines = steps and self._speaks
        self._text = ''
        self._spoke_s = time.monotonic()

    def show(self, text: str, done: float, total: float) -> None:
        """Show how much is done of a total in the bar's unit; a total of 0 is not known."""
        self._progress.update(self._task, description=text, completed=done, total=total or None)
        if self._lines and text != self._text:
            self._print(text)
        self._text = text

    def advance(self, name: str = '') -> None:
        """Count one more thing as done."""
        self._progress.update(self._task, advance=1, description=name)
        if self._speaks and time.monotonic() - self._spoke_s >= SILENCE_S:
            task = self._progress.tasks[0]
            of = f' of {task.total:g}' if task.total else ''
            self._print(f'{task.completed:g}{of} done' + (f': {name}' if name else ''))

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if not self._quiet:
            self._print(line)

    def _print(self, line: str) -> None:
        self._spoke_s = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def progress_bar(total: float = 0, *, unit: str = 'things', steps: bool = False,
                 quiet: bool = False) -> Iterator[Bar]:
    """
    Give a bar to a command while it works.

    Args:
        total: in the bar's unit; 0 = not known yet.
        unit: `things` (counted), `bytes`, or `share` (0 to 1).
        steps: see `Bar`.
        quiet: see `Bar`.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    amounts: dict[str, tuple[ProgressColumn, ...]] = {
        'things': (MofNCompleteColumn(), TimeRemainingColumn()),
        'bytes': (DownloadColumn(), TimeRemainingColumn()),
        'share': (TimeElapsedColumn(),)}
    with Progress(TextColumn('{task.description}', markup=False), BarColumn(), *amounts[unit],
                  console=console, transient=True,
                  disable=quiet or not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task('', total=total or None), console, steps, quiet)
