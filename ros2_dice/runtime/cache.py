# SPDX-License-Identifier: Apache-2.0
"""
The folder of built engines.

A file's name says which engine it holds and ends in a digest of its key, so that another version
of anything is another file. Files come into being under a temporary name and are renamed when they
are whole; one lock for each engine keeps two processes from building it at once; what does not
prove itself is moved aside; the least recently used ones go when the folder is too large.
"""
from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ros2_dice.errors import EngineError
from ros2_dice.locks import try_lock
from ros2_dice.runtime.engine_file import Entry, read_entry, write_entry

SUFFIX = '.engine'
LIMIT_BYTES = 12 << 30
"""Size of the folder beyond which the least recently used engines go."""
QUARANTINED = 2
"""Files kept for a look at what was wrong with them; more only fill the disk."""
QUARANTINE_S = 14 * 86400.0
"""After that time they go, too, when an engine is kept."""

_QUARANTINE = 'quarantine'
_POLL_S = 0.1
_SAY_AGAIN_S = 10.0
_SPARE_BYTES = 64 << 20
"""Disk that is left free for others."""

Say = Callable[[str], object]


def cache_folder(directory: str | Path = '') -> Path:
    """
    Return the folder of built engines; it need not exist.

    Args:
        directory: parameter `backend.cache_directory`; empty = the user's cache folder.
    """
    if str(directory):
        return Path(directory).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path('ros2_dice', appauthor=False) / 'engines'


def make_private(folder: Path) -> None:
    """
    Make a folder for engines where there is none; refuse one into which others could put theirs.

    Raises:
        EngineError: others than the user, or root, may write into the folder.
    """
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        status = folder.stat()
    except OSError:
        return  # nothing is read from it
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EngineError(f'engine cache {folder.name}', state='writable by others',
                          expected='a folder that only its owner writes to',
                          next_step=f'chmod go-w {folder}')
    if status.st_uid not in (0, os.geteuid()):
        raise EngineError(f'engine cache {folder.name}', state="another user's",
                          expected='a folder of the user that runs this',
                          next_step=f'name another one in backend.cache_directory, or chown '
                                    f'{os.geteuid()} {folder}')


class EngineCache:
    """
    Engines on disk, found by what makes them valid.

    Nothing here raises because of a bad file or a bad disk while looking for an engine: the answer
    is then "none", and `say` gets the reason.

    Args:
        folder: writable only by the user: an engine is a program that is run.
        say: gets what happened, one line each, for the log.

    Raises:
        EngineError: others than the user may write into the folder.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES,
                 say: Say = lambda line: None) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._say = say
        make_private(folder)

    def path(self, key: Mapping[str, str]) -> Path:
        """Return where an engine lies, or would lie."""
        digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
        words = [key[name] for name in ('engine', 'precision', 'batch') if name in key]
        stem = re.sub(r'[^A-Za-z0-9_]+', '-', '-'.join(words)) or 'engine'
        return self.folder / f'{stem}-{digest[:20]}{SUFFIX}'

    def find(self, key: Mapping[str, str]) -> Entry | None:
        """Return a whole engine with just this key, or None; a bad file is moved aside."""
        path = self.path(key)
        try:
            entry = read_entry(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._say(f"cached engine {path.name} can't be read: {error.strerror or error}")
            return None
        except EngineError as error:
            self.quarantine(key, error.text())
            return None
        if dict(entry.key) != dict(key):
            self.quarantine(key, f'cached engine {path.name} belongs to '
                                 f'{_difference(entry.key, key)}')
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # for the order in which engines go
        return entry

    def store(self, entry: Entry) -> Path | None:
        """
        Keep an engine; to be called inside `locked`.

        Returns:
            Where it lies; None, after a word to the log, when the disk does not take it.
        """
        path = self.path(entry.key)
        needed = entry.payload.nbytes + _SPARE_BYTES
        temporary = ''
        try:
            self._sweep(path)
            self._shrink(needed, path)
            if shutil.disk_usage(self.folder).free < needed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=path.stem + '.',
                                             suffix='.part', delete=False) as stream:
                temporary = stream.name
                write_entry(stream, entry)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
            self._sync_folder()
        except OSError as error:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            self._say(f'engine {path.name} is not kept: {error.strerror or error}; the next start '
                      f'builds it anew (make room in or writable: {self.folder})')
            return None
        return path

    def remove(self, key: Mapping[str, str]) -> None:
        """Remove an engine, to have it built anew; it need not be there."""
        with contextlib.suppress(OSError):
            self.path(key).unlink()

    def quarantine(self, key: Mapping[str, str], reason: str) -> None:
        """Move an engine aside, so that it is neither used nor lost."""
        path = self.path(key)
        folder = self.folder / _QUARANTINE
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            bad = folder / f'{path.stem}.{time.time_ns()}.bad'
            os.replace(path, bad)
            os.utime(bad)
            self._say(f'{reason}; moved to {_QUARANTINE}/')
            for old in sorted(folder.glob('*.bad'), key=_used_s)[:-QUARANTINED]:
                old.unlink()
        except OSError as error:
            self._say(f'{reason}; it stays in the way: {error.strerror or error}')

    @contextlib.contextmanager
    def locked(self, key: Mapping[str, str],
               waiting: Callable[[float], None] = lambda seconds: None) -> Iterator[bool]:
        """
        Keep other processes from building the same engine.

        Args:
            waiting: called every ten seconds with the time waited so far [s] while another process
                builds; it may raise to give up.

        Yields:
            True; False where the folder can't be written to or has no locks: two processes may
            then build the same, and the later one's engine stays.
        """
        try:
            stream = self.path(key).with_suffix('.lock').open('a')
        except OSError:
            yield False
            return
        with stream:
            began_s = said_s = time.monotonic()
            while (locked := try_lock(stream)) is False:
                now_s = time.monotonic()
                if now_s - said_s >= _SAY_AGAIN_S or now_s - began_s < _POLL_S:
                    waiting(now_s - began_s)
                    said_s = now_s
                time.sleep(_POLL_S)
            yield bool(locked)

    def size_bytes(self) -> int:
        """Return what the folder takes on the disk."""
        return sum(_size(path) for path in self._files())

    def _files(self) -> list[Path]:
        """Return engines and quarantined files, those to go first at the front."""
        bad = sorted((self.folder / _QUARANTINE).glob('*.bad'), key=_used_s)
        return bad + sorted(self.folder.glob(f'*{SUFFIX}'), key=_used_s)

    def _shrink(self, needed_bytes: int, keep: Path) -> None:
        """Remove what was used least recently until there is room for some bytes more."""
        for path in self._files():
            if self.size_bytes() + needed_bytes <= self._limit_bytes:
                return
            if path != keep:
                path.unlink(missing_ok=True)
                self._say(f'{path.name} removed: the engine cache is full')

    def _sweep(self, own: Path) -> None:
        """Remove parts of engines that nobody builds any more, and what was bad long ago."""
        for part in self.folder.glob('*.part'):
            stem = part.name.split('.')[0]
            if stem != own.stem and _is_locked(self.folder / f'{stem}.lock'):
                continue
            part.unlink(missing_ok=True)
        for bad in (self.folder / _QUARANTINE).glob('*.bad'):
            if time.time() - _used_s(bad) > QUARANTINE_S:
                bad.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        """Make a rename last through a power cut, where the file system can."""
        with contextlib.suppress(OSError):
            number = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def _is_locked(path: Path) -> bool:
    """Tell whether somebody has a lock, or nobody can know."""
    try:
        with path.open('a') as stream:
            return not try_lock(stream)
    except OSError:
        return False


def _used_s(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _difference(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Say in a few words how two keys differ."""
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            return f'{name} {found.get(name, "none")!r}, not {wanted.get(name, "none")!r}'
    return 'the same'
