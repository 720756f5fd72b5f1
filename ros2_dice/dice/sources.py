# SPDX-License-Identifier: Apache-2.0
"""The files of the official setup: what each is for, whence it comes, under which licence."""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ros2_dice.errors import AssetError

_DICE = 'https://github.com/Qingxuan-Wu/DICE'
_UNSTATED = ('none stated; derives from MANO, FLAME and Decaf data, all for non-commercial '
             'research; do not pass it on')
_MANO = 'MANO licence: non-commercial research, no passing on'
_FLAME = 'FLAME licence: non-commercial research, no passing on'


@dataclass(frozen=True)
class SourceFile:
    """One file that the user may bring."""

    key: str
    """Name of the option, without its dashes."""
    file: str
    """Official name."""
    feeds: str
    url: str
    licence: str
    instead: str = ''
    """What serves where the file is not given; empty = the model is incomplete without it."""


SOURCES = {row.key: row for row in (
    SourceFile('checkpoint', 'model.bin', 'weights of the network', _DICE, _UNSTATED),
    SourceFile('mano', 'MANO_RIGHT.pkl', 'hand model', 'https://mano.is.tue.mpg.de', _MANO),
    SourceFile('flame', 'generic_model.pkl', 'head model', 'https://flame.is.tue.mpg.de', _FLAME),
    SourceFile('landmarks', 'landmark_embedding.npy', '68 points of the face', _DICE, _FLAME),
    SourceFile('hand-transforms', 'hand_mesh_transforms.pt', 'coarse vertices of the hand', _DICE,
               _MANO),
    SourceFile('head-transforms', 'head_mesh_transforms.pt', 'coarse vertices of the head', _DICE,
               _FLAME),
    SourceFile('neck', 'neck_idx.npy', 'vertices of the neck, which touch never moves', _DICE,
               'Decaf licence: non-commercial research, no passing on',
               'the neck moves with the network\'s deformation, which is not trained there'),
    SourceFile('hand-template', 'rh_ref_vs.pt', 'template of the hand', _DICE, _MANO,
               'the hand model at zero parameters, from which the official one is built'),
    SourceFile('head-template', 'head_ref_vs.pt', 'template of the head', _DICE, _FLAME,
               'the head model at zero parameters, from which the official one is built'),
)}
"""In the order of the options. stiffness_final.npy of the official setup serves training only."""

NEEDED = tuple(key for key, row in SOURCES.items() if not row.instead)


def find_sources(folder: Path, known: Collection[str] = ()) -> dict[str, Path]:
    """
    Return the official files that lie anywhere in a folder, by key.

    Args:
        folder: to look through.
        known: keys that are not looked for.

    Raises:
        AssetError: there is no such folder, no such file in it, or two of one name.
    """
    if not folder.is_dir():
        raise AssetError(f'{folder} is not a folder', expected='the folder of the official files',
                         next_step='an option of its own names a single file')
    found: dict[str, Path] = {}
    for key, row in SOURCES.items():
        if key in known:
            continue
        paths = sorted(path for path in folder.rglob(row.file) if path.is_file())
        if len(paths) > 1:
            raise AssetError(f'{folder} has {len(paths)} files {row.file}', expected='one',
                             next_step=f'name the right one with --{key}')
        if paths:
            found[key] = paths[0]
    if not found and not known:
        raise AssetError(f'{folder} has none of the official files',
                         expected=', '.join(row.file for row in SOURCES.values()))
    return found


def options(keys: tuple[str, ...] | list[str]) -> str:
    """Return the options that name files, as on a command line."""
    return ' '.join(f'--{key} {SOURCES[key].file}' for key in keys)
