# SPDX-License-Identifier: Apache-2.0
"""Picture arguments to files, and files to names that overwrite nothing."""
from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ros2_dice.errors import ConfigError, ImageError

SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.webp')


def expand(arguments: Iterable[str]) -> tuple[list[Path], dict[str, ImageError]]:
    """
    Return the files that arguments mean, each once, and what was wrong with other arguments.

    Args:
        arguments: files of any name, folders (their pictures, not those in folders below), and
            patterns that the shell left alone.
    """
    files: dict[Path, None] = {}
    problems: dict[str, ImageError] = {}
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
            problems[argument] = ImageError(
                f'{argument} holds no picture' if path.is_dir() else f'{argument} matches no file',
                expected='files that end in ' + ' '.join(SUFFIXES))
        files.update(dict.fromkeys(found))
    return list(files), problems


def check_out(files: Iterable[Path], out: Path) -> None:
    """
    Refuse a folder of results that holds pictures to estimate: overlays are named like them.

    Raises:
        ConfigError: one of the files lies in `out`, or `out` is no folder.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f'--out {out} is a file', expected='a folder, which may be a new one')
    folder = out.resolve()
    for path in files:
        if path.exists() and folder in (path.parent.resolve(), path.resolve().parent):
            raise ConfigError(f'--out {out} holds the picture {path.name}',
                              expected='a folder without the pictures to estimate',
                              next_step=f'--out {out / "results"}')


def check_results(stem: Path) -> None:
    """
    Refuse to overwrite files that this tool did not write: those without our JSON beside them.

    Args:
        stem: path of the results without their endings.

    Raises:
        ConfigError: `stem`.png, .json or .glb is somebody else's.
    """
    paths = [stem.with_name(stem.name + ending) for ending in ('.json', '.png', '.glb')]
    if _is_ours(paths[0]):
        return
    for path in paths:
        if path.exists():
            raise ConfigError(f'{path} exists and is no result of ros2-dice estimate',
                              expected='a free name', next_step='give another --out')


def remove_meshes(stem: Path) -> None:
    """
    Remove the meshes that an earlier run left: this one may find others, or nobody.

    Args:
        stem: path of the results without their endings; its JSON says which meshes there were.

    Raises:
        OSError: one can't be removed.
    """
    people = _our_people(stem.with_name(stem.name + '.json'))
    if people is None:
        return
    endings = ['.glb']
    for person in people:
        names = ['face', *(hand['id'] for hand in person['hands'])]
        endings += [f'_{person["id"]}_{name}.ply' for name in names]
    for ending in endings:
        if '/' not in ending:
            stem.with_name(stem.name + ending).unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    return _our_people(path) is not None


def _our_people(path: Path) -> list[Any] | None:
    """Return the people of a JSON of ours, None where it is none."""
    try:
        people = json.loads(path.read_bytes())['people']
        whole = all(isinstance(person['id'], str) and isinstance(hand['id'], str)
                    for person in people for hand in [person, *person['hands']])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return people if whole and isinstance(people, list) else None


def result_names(files: Sequence[Path]) -> list[str]:
    """Return for each picture the name of its results: its stem, with a number where taken."""
    taken: set[str] = set()
    names = []
    for path in files:
        name, number = path.stem, 1
        while name in taken:
            number += 1
            name = f'{path.stem}_{number}'
        taken.add(name)
        names.append(name)
    return names
