# SPDX-License-Identifier: Apache-2.0
"""Picture arguments to files, and files to names that overwrite nothing."""
from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ros2_dice.errors import ImageError

SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.webp')


def expand(arguments: Iterable[str]) -> tuple[list[Path], list[ImageError]]:
    """
    Return the files that arguments mean, each once, and what was wrong with the others.

    Args:
        arguments: files of any name, folders (their pictures, not those in folders below), and
            patterns that the shell left alone.
    """
    files: dict[Path, None] = {}
    problems: list[ImageError] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = sorted(entry for entry in path.iterdir()
                           if entry.suffix.lower() in SUFFIXES and entry.is_file())
        elif not path.exists() and glob.has_magic(argument):
            found = sorted(Path(entry) for entry in glob.glob(argument, recursive=True)
                           if os.path.isfile(entry))
        else:
            found = [path]  # also one that is missing: reading it says so
        if not found:
            problems.append(ImageError(
                f'{argument} holds no picture' if path.is_dir() else f'{argument} matches no file',
                expected='files that end in ' + ' '.join(SUFFIXES)))
        files.update(dict.fromkeys(found))
    return list(files), problems


def result_names(files: Sequence[Path], out: Path) -> list[str]:
    """
    Return for each picture the name of its results: its stem, with a number where that is taken.

    Taken are the names of earlier pictures, and those whose PNG would overwrite a source.
    """
    sources = {path.resolve() for path in files}
    taken: set[str] = set()
    names = []
    for path in files:
        name, number = path.stem, 1
        while name in taken or (out / f'{name}.png').resolve() in sources:
            number += 1
            name = f'{path.stem}_{number}'
        taken.add(name)
        names.append(name)
    return names
