# SPDX-License-Identifier: Apache-2.0
"""
The folder of an imported model: its manifest, its hashes, and how it comes into being at once.

    network.safetensors   live weights, float32, official names
    reference.npz         the four template arrays of the network, float64, not centred
    mano.npz, flame.npz   the bodies, float64
    manifest.json         size and sha256 of the others, where they come from, what is missing

The manifest holds a hash of itself and has only one spelling, so that every byte of the folder is
under a hash.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ros2_dice.assets.plain_file import read_bytes
from ros2_dice.assets.store import data_folder
from ros2_dice.errors import AssetError
from ros2_dice.locks import try_lock

FORMAT = 1
KIND = 'dice'
MANIFEST = 'manifest.json'
WEIGHTS, REFERENCE, HAND, HEAD = ('network.safetensors', 'reference.npz', 'mano.npz', 'flame.npz')
FILES = (WEIGHTS, REFERENCE, HAND, HEAD)
_MAX_MANIFEST_BYTES = 1 << 22
_ENTRIES = {'stand_in': bool, 'note': str, 'weights_hash': str, 'sources': dict, 'facts': dict,
            'dropped': dict, 'missing': list}
_ROW = {'option', 'what', 'needed', 'instead'}
"""Of what is missing."""
_PLAIN_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,63}')
_STAGING_PREFIX = '.import-'
_LOCK, _BEFORE = 'lock', 'before'


def models_folder(directory: str | Path = '') -> Path:
    """Return the folder of all imported models; `directory` is parameter model.directory."""
    return data_folder(directory) / 'models'


def is_model_name(name: str) -> bool:
    """Tell whether an imported model may have a name; it becomes that of a folder."""
    return name != 'open' and _PLAIN_NAME.fullmatch(name) is not None


def model_folder(name: str, directory: str | Path = '') -> Path:
    """
    Return the folder of one imported model; it need not exist.

    Raises:
        AssetError: the name can't be one.
    """
    if not is_model_name(name):
        raise AssetError('model name', got=name, expected='letters, digits, _ and -, not open')
    return models_folder(directory) / name


def manifest_text(document: Mapping[str, Any]) -> str:
    """Return the one spelling of a manifest, with the hash of the rest of it."""
    body = {key: value for key, value in document.items() if key != 'manifest_sha256'}
    digest = hashlib.sha256(_spelled(body).encode()).hexdigest()
    return _spelled({**body, 'manifest_sha256': digest})


def read_manifest(folder: Path) -> dict[str, Any]:
    """
    Return the manifest of an imported model, without a look at the other files.

    Raises:
        AssetError: there is none, it was changed, or it is of another format.
    """
    if not (folder / MANIFEST).is_file():
        raise AssetError(f'{folder.name} is not an imported model: no {MANIFEST} in {folder}',
                         next_step=f'ros2-dice import --name {folder.name}')
    data = read_bytes(folder / MANIFEST, _MAX_MANIFEST_BYTES)
    try:
        document = json.loads(data.decode('utf-8'))
        same = manifest_text(document).encode() == data
        known = document['format'] == FORMAT and document['kind'] == KIND
        rows = document['files'].items()
        whole = all(name in FILES and type(row['size_bytes']) is int
                    and re.fullmatch('[0-9a-f]{64}', row['sha256']) for name, row in rows)
        whole = whole and all(type(document[key]) is kind for key, kind in _ENTRIES.items())
        whole = whole and all(row.keys() >= _ROW for row in document['missing'])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AssetError(f'{MANIFEST} of {folder.name} is damaged: {type(error).__name__}',
                         next_step=f'import again: ros2-dice import --name {folder.name}'
                         ) from error
    if not same:
        raise AssetError(f'{MANIFEST} of {folder.name} is not what its own sha256 says',
                         next_step=f'import again: ros2-dice import --name {folder.name}')
    if not known or not whole:
        raise AssetError(f'{MANIFEST} of {folder.name}', state=f'format {document["format"]!a}',
                         expected=f'{KIND} of format {FORMAT}',
                         next_step=f'import again: ros2-dice import --name {folder.name}')
    return document


def check_bytes(folder: Path, manifest: Mapping[str, Any], name: str,
                data: bytes | memoryview) -> None:
    """
    Compare the content of a file with the manifest.

    Raises:
        AssetError: the manifest does not have it, or size or sha256 differ.
    """
    row = manifest['files'].get(name)
    if row is None:
        raise AssetError(f'{name} is not part of {folder.name}', next_step=next_import(manifest))
    found = (hashlib.sha256(data).hexdigest() if len(data) == row['size_bytes']
             else f'{len(data)} bytes')
    if found != row['sha256']:
        raise AssetError(f'sha256 of {name} in {folder.name}', got=found, expected=row['sha256'],
                         next_step=f'import again: ros2-dice import --name {folder.name}')


def next_import(manifest: Mapping[str, Any]) -> str:
    """Return the command that would make a model complete; empty where it is."""
    missing = [row['option'] for row in manifest['missing'] if row['needed']]
    return f'import again with {", ".join(missing)} added' if missing else ''


def check_place(folder: Path) -> None:
    """
    Look whether a model may be imported into a folder.

    Raises:
        AssetError: the place is taken by something else than an imported model.
    """
    if folder.is_symlink() or (folder.exists() and not (
            (folder / MANIFEST).is_file() or (folder.is_dir() and not any(folder.iterdir())))):
        raise AssetError(f'{folder} is there and is not an imported model',
                         expected='a new folder', next_step='name another one')


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """
    Give an empty folder to fill; it takes its name when all went well, and goes when not.

    An imported model that has the name already is replaced then; anything else is left alone.
    What a killed import left behind is removed.

    Raises:
        AssetError: the place is taken by something else, or can't be written.
    """
    check_place(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder.parent)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=folder.parent))
    except OSError as error:
        raise AssetError(f"{folder.parent} can't be written ({error.strerror or error})",
                         expected='a folder that this user may write') from error
    content, before = staging / 'new', staging / _BEFORE
    try:
        content.mkdir()
        with (staging / _LOCK).open('a') as lock:
            try_lock(lock)
            yield content
            if folder.exists():
                folder.rename(before)
            try:
                content.rename(folder)
            except OSError:
                if before.exists():
                    before.rename(folder)
                raise
    except OSError as error:
        raise AssetError(f"{folder} can't be written ({error.strerror or error})",
                         expected='room for the model, about 1.1 GB') from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove what imports left that were killed; the system lifted their locks."""
    for staging in parent.glob(f'{_STAGING_PREFIX}*'):
        # A model that was about to be replaced is not ours to remove.
        if (staging / _BEFORE).exists() or not (staging / _LOCK).exists():
            continue
        with (staging / _LOCK).open('a') as lock:
            if try_lock(lock):
                shutil.rmtree(staging, ignore_errors=True)


def write_synced(path: Path, data: bytes) -> dict[str, Any]:
    """Write a file through to the disk and return its row of the manifest."""
    with path.open('wb') as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return {'sha256': hashlib.sha256(data).hexdigest(), 'size_bytes': len(data)}


def _spelled(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + '\n'
