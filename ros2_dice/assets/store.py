# SPDX-License-Identifier: Apache-2.0
"""Where the files lie, and whether they are what the manifest names."""
from __future__ import annotations

import enum
import hashlib
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from ros2_dice.assets.manifest import Asset, asset_named, load_manifest
from ros2_dice.errors import AssetError
from ros2_dice.share import share_folder

DATA_VARIABLE = 'ROS2_DICE_DATA'

_CHUNK_BYTES = 1 << 20


class Condition(enum.Enum):
    """What is known of a file on this machine."""

    PRESENT = 'present'
    MISSING = 'missing'
    CORRUPTED = 'corrupted'
    UNVERIFIED = 'unverified'
    """There, but the manifest has no hash for it (files that the user brings)."""


# What was hashed once is not hashed again in this process, unless the file changed since.
_verified: set[tuple[str, str, int, int, int]] = set()


def data_folder(directory: str | Path = '') -> Path:
    """
    Return the folder of fetched and imported files; it need not exist.

    Args:
        directory: parameter `model.directory`; empty = the environment variable ROS2_DICE_DATA,
            or else the user's data folder.
    """
    chosen = str(directory) or os.environ.get(DATA_VARIABLE, '')
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path('ros2_dice', appauthor=False)


def asset_path(asset: Asset, directory: str | Path = '') -> Path:
    """Return where a file lies, or would lie."""
    if asset.source.kind == 'baked':
        return share_folder() / 'model' / asset.file
    return data_folder(directory) / asset.file


def check_asset(asset: Asset, directory: str | Path = '') -> Condition:
    """Return the condition of a file, without complaint."""
    try:
        _verify(asset, asset_path(asset, directory), directory)
    except FileNotFoundError:
        return Condition.MISSING
    except (OSError, AssetError):
        return Condition.CORRUPTED
    return Condition.PRESENT if asset.sha256 else Condition.UNVERIFIED


def find_asset(name: str, directory: str | Path = '') -> Path:
    """
    Return the path of a file that is what the manifest names.

    Args:
        name: a name from the manifest.
        directory: parameter `model.directory`, see `data_folder`.

    Raises:
        AssetError: the name is unknown, the file is missing, can't be read, or differs from the
            manifest in size or hash. The message holds the command that helps.
    """
    asset = asset_named(name)
    path = asset_path(asset, directory)
    try:
        _verify(asset, path, directory)
    except FileNotFoundError:
        raise AssetError(f'{path.name} ({name}) is missing', expected=f'it in {path.parent}',
                         next_step=remedy(asset, directory,
                                          alone=not _others_missing(asset, directory))) from None
    except OSError as error:
        raise AssetError(f"{path.name} ({name}) can't be read: {error.strerror or error}",
                         expected='a readable file', next_step=f'check {path}') from error
    return path


def missing_assets(estimator: str, directory: str | Path = '') -> tuple[Asset, ...]:
    """Return the files of an estimator that are not there or not right."""
    return tuple(asset for asset in load_manifest().values() if asset.estimator == estimator
                 and check_asset(asset, directory) in (Condition.MISSING, Condition.CORRUPTED))


def remedy(asset: Asset, directory: str | Path = '', *, force: bool = False,
           alone: bool = True) -> str:
    """
    Return what to do about a file that is missing or wrong.

    Args:
        force: the file is there, and shall be fetched all the same.
        alone: False = fetch everything that is missing in one go.
    """
    if asset.source.kind == 'baked':
        return 'it ships with the package: install that again'
    if asset.source.kind == 'user':
        return (f'licence: {asset.licence}; get it at {asset.source.url}, then '
                f'ros2-dice import {asset.source.option} {asset.file}')
    place = f' --directory {shlex.quote(str(directory))}' if str(directory) else ''
    name = f' {asset.name}' if alone else ''
    return f'ros2-dice assets pull{name}{" --force" if force else ""}{place}'


def file_digest(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open('rb') as stream:
        return stream_digest(iter(lambda: stream.read(_CHUNK_BYTES), b''))


def stream_digest(chunks: Iterable[bytes]) -> str:
    """Return the sha256 of bytes as 64 hex digits."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _others_missing(asset: Asset, directory: str | Path) -> bool:
    return any(row.source.kind == 'wheel' and row.name != asset.name
               and not asset_path(row, directory).exists() for row in load_manifest().values())


def _verify(asset: Asset, path: Path, directory: str | Path) -> None:
    """Raise AssetError unless size and hash agree, OSError where the file can't be read."""
    status = path.stat()
    key = (str(path), asset.sha256, status.st_ino, status.st_size, status.st_mtime_ns)
    if key in _verified or not asset.sha256:
        return
    help_text = remedy(asset, directory, force=True)
    if status.st_size != asset.size_bytes:
        raise AssetError(
            f'{path.name} ({asset.name})',
            state='empty' if status.st_size == 0 else f'{status.st_size} bytes long',
            expected=f'{asset.size_bytes} bytes', next_step=help_text)
    found = file_digest(path)
    if found != asset.sha256:
        raise AssetError(f'sha256 of {path.name} ({asset.name})', got=found,
                         expected=asset.sha256, next_step=help_text)
    _verified.add(key)
