# SPDX-License-Identifier: Apache-2.0
"""Load an imported model: every byte checked against its hash, weights mapped, not copied."""
from __future__ import annotations

import enum
import io
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ros2_dice.assets.plain_file import open_plain, read_bytes
from ros2_dice.assets.safetensors_file import read_header
from ros2_dice.dice.folder import (
    FILES,
    HAND,
    HEAD,
    REFERENCE,
    WEIGHTS,
    check_bytes,
    models_folder,
    next_import,
    read_manifest,
)
from ros2_dice.errors import AssetError, install_hint

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """What lies in the folder of an imported model."""

    folder: Path
    tensors: Mapping[str, torch.Tensor]
    """Live weights by official name, float32; views of the mapped file, read them only."""
    references: Mapping[str, np.ndarray]
    """The four template arrays, float64, not centred [m]."""
    hand: Mapping[str, np.ndarray]
    """Arrays of mano.npz, for `ParametricHand`."""
    head: Mapping[str, np.ndarray]
    """Arrays of flame.npz, for `ParametricHead`."""
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Value of model.id."""
        return self.folder.name

    @property
    def weights_hash(self) -> str:
        """Return the sha256 of network.safetensors, part of the key of built engines."""
        return self.manifest['weights_hash']

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.manifest['facts']['heads']

    @property
    def stand_in(self) -> bool:
        """Whether all of it was made by formula and means nothing."""
        return self.manifest['stand_in']


class ModelState(enum.Enum):
    """What is known of an imported model."""

    PRESENT = 'present'
    INCOMPLETE = 'incomplete'
    CORRUPTED = 'corrupted'


@dataclass(frozen=True)
class ModelStatus:
    """An imported model as `ros2-dice assets` and `ros2-dice doctor` show it."""

    name: str
    folder: Path
    state: ModelState
    note: str
    weights_hash: str = ''
    stand_in: bool = False
    size_bytes: int = 0
    next_step: str = ''


def load_imported(folder: Path) -> ImportedModel:
    """
    Return an imported model; needs torch.

    Args:
        folder: see `model_folder`.

    Raises:
        AssetError: it is incomplete, or a file is missing or is not what its hash says; the
            message holds the next command. Also without torch.
    """
    manifest = read_manifest(folder)
    lacking = [name for name in FILES if name not in manifest['files']]
    if lacking:
        raise AssetError(f'model {folder.name} is incomplete: no {", ".join(lacking)}',
                         next_step=next_import(manifest))
    arrays = {name: _arrays(folder, manifest, name) for name in (REFERENCE, HAND, HEAD)}
    return ImportedModel(folder, _tensors(folder, manifest), arrays[REFERENCE], arrays[HAND],
                         arrays[HEAD], manifest)


def check_imported(folder: Path, *, every_byte: bool = True) -> ModelStatus:
    """
    Return what is known of an imported model; never raises.

    Args:
        folder: one of `imported_folders`.
        every_byte: hash all files, about 1 s; False = compare their sizes alone.
    """
    try:
        manifest = read_manifest(folder)
        for name, row in manifest['files'].items():
            with open_plain(folder / name) as stream:
                size = os.fstat(stream.fileno()).st_size
                if not every_byte and size == row['size_bytes']:
                    continue
                with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as content, \
                        memoryview(content) as view:
                    check_bytes(folder, manifest, name, view)
    except (AssetError, OSError, ValueError) as error:
        next_step = error.next_step if isinstance(error, AssetError) else ''
        return ModelStatus(folder.name, folder, ModelState.CORRUPTED, str(error),
                           next_step=next_step or f'ros2-dice import --name {folder.name}')
    size = sum(row['size_bytes'] for row in manifest['files'].values())
    lacking = [name for name in FILES if name not in manifest['files']]
    notes = [manifest['note']] if manifest['stand_in'] else []
    if lacking:
        notes += ['lacks ' + ', '.join(row['what'] for row in manifest['missing']
                                       if row['needed'])]
    else:
        notes += [f'without {row["what"]}: {row["instead"]}' for row in manifest['missing']]
    return ModelStatus(
        folder.name, folder, ModelState.INCOMPLETE if lacking else ModelState.PRESENT,
        '; '.join(notes), manifest['weights_hash'], manifest['stand_in'], size,
        next_import(manifest) if lacking else '')


def imported_folders(directory: str | Path = '') -> tuple[Path, ...]:
    """Return the folders of imported models, by name, whatever their state."""
    folder = models_folder(directory)
    if not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.iterdir()
                        if path.is_dir() and not path.name.startswith('.')))


def _tensors(folder: Path, manifest: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    try:
        import torch
    except ImportError as error:
        raise AssetError('torch is not installed', expected='it, for models that were imported',
                         next_step=install_hint('dice')) from error
    with open_plain(folder / WEIGHTS) as stream:
        size = os.fstat(stream.fileno()).st_size
        # Private pages: torch wants memory that may be written; nothing reaches the file.
        content = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_COPY) if size else b''
    data = memoryview(content)
    check_bytes(folder, manifest, WEIGHTS, data)
    entries = read_header(data, size, WEIGHTS)
    return {name: torch.frombuffer(content, dtype=torch.float32, offset=entry.start,
                                   count=entry.size_bytes // 4).reshape(entry.shape)
            for name, entry in entries.items()}


def _arrays(folder: Path, manifest: Mapping[str, Any], name: str) -> dict[str, np.ndarray]:
    data = read_bytes(folder / name)
    check_bytes(folder, manifest, name, data)
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
