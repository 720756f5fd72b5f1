# SPDX-License-Identifier: Apache-2.0
"""Read a ZIP archive of uncompressed members, as torch writes it, trusting nothing in it."""
from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ros2_dice.assets.closed_unpickler import DAMAGED_STEP
from ros2_dice.assets.plain_file import open_plain
from ros2_dice.errors import AssetError

_MAX_MEMBERS = 20_000
_LOCAL = struct.Struct('<4s22xHH')
"""Header before a member: signature, and at its end the lengths of name and extra field."""
_PLAIN_MEMBER = re.compile(r'[A-Za-z0-9_. ()+@=-]{1,200}(/[A-Za-z0-9_.-]{1,100}){1,8}')
_CHUNK_BYTES = 1 << 22


class StoredZip:
    """
    The members of an archive; every one lies whole, uncompressed and alone in the file.

    Args:
        path: of the archive.

    Raises:
        AssetError: it is no archive, cut off, or has compressed, encrypted, overlapping, linked
            or oddly named members.
    """

    def __init__(self, path: Path) -> None:
        self.label = path.name
        self._file = open_plain(path)
        try:
            self._ranges = self._checked(self._file)
        except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError,
                EOFError) as error:
            self.close()
            raise AssetError(f"{self.label} can't be read as an archive: {error}",
                             expected='a whole file', next_step=DAMAGED_STEP) from error
        except AssetError:
            self.close()
            raise

    def __enter__(self) -> StoredZip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def names(self) -> list[str]:
        """Return the members' names."""
        return list(self._ranges)

    def size_bytes(self, name: str) -> int:
        """Return the size of a member; AssetError where there is none."""
        return self._range(name)[1]

    def read_into(self, name: str, target: memoryview) -> None:
        """
        Read a whole member and check its sum.

        Raises:
            AssetError: there is none, its size is not that of the target, or its sum is wrong.
        """
        start, size, crc = self._range(name)
        if target.nbytes != size:
            raise AssetError(f'{self.label}: {name} has {size} bytes',
                             expected=f'{target.nbytes}', next_step=DAMAGED_STEP)
        self._file.seek(start)
        found, at = 0, 0
        while at < size:
            part = target[at:at + _CHUNK_BYTES]
            count = self._file.readinto(part)  # type: ignore[attr-defined]
            if not count:
                break
            found = zlib.crc32(part[:count], found)
            at += count
        if at < size or found != crc:
            raise AssetError(f'{self.label}: {name} is damaged (its checksum differs)',
                             next_step=DAMAGED_STEP)

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return a whole small member; AssetError as `read_into`, or above the limit."""
        size = self.size_bytes(name)
        if size > limit_bytes:
            raise AssetError(f'{self.label}: {name} has {size} bytes',
                             expected=f'at most {limit_bytes}', next_step=DAMAGED_STEP)
        data = bytearray(size)
        self.read_into(name, memoryview(data))
        return bytes(data)

    def _range(self, name: str) -> tuple[int, int, int]:
        if name not in self._ranges:
            raise AssetError(f'{self.label} has no {name}', next_step=DAMAGED_STEP)
        return self._ranges[name]

    def _checked(self, file: BinaryIO) -> dict[str, tuple[int, int, int]]:
        """Return name to (start, size, checksum), in the order in which they lie."""
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            directory = archive.start_dir
        if len(members) > _MAX_MEMBERS:
            self._refuse(f'{len(members)} members', f'at most {_MAX_MEMBERS}')
        ranges: dict[str, tuple[int, int, int]] = {}
        end = 0
        for member in sorted(members, key=lambda row: row.header_offset):
            self._check_member(member)
            if member.filename in ranges:
                self._refuse(f'two members {member.filename}', 'one')
            file.seek(member.header_offset)
            signature, name_bytes, extra_bytes = _LOCAL.unpack(file.read(_LOCAL.size))
            start = member.header_offset + _LOCAL.size + name_bytes + extra_bytes
            if signature != b'PK\3\4' or file.read(name_bytes) != member.filename.encode():
                self._refuse(f'{member.filename} is not where the directory says', 'it there')
            if member.header_offset < end or start + member.file_size > directory:
                self._refuse(f'{member.filename} overlaps another member', 'members apart')
            end = start + member.file_size
            ranges[member.filename] = (start, member.file_size, member.CRC)
        return ranges

    def _check_member(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        if (not _PLAIN_MEMBER.fullmatch(name) or '..' in name.split('/')
                or name != member.orig_filename):
            self._refuse(f'a member named {ascii(name[:80])}', 'a plain path in one folder')
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            self._refuse(f'{name} is compressed', 'stored members, as torch writes them')
        if member.flag_bits & 1:
            self._refuse(f'{name} is encrypted', 'plain members')
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            self._refuse(f'{name} is a link or device', 'plain members')

    def _refuse(self, what: str, expected: str) -> None:
        raise AssetError(f'{self.label} is refused: {what}', expected=expected,
                         next_step=DAMAGED_STEP)


def chunks(path: Path) -> Iterator[bytes]:
    """Read a regular file piece by piece."""
    with open_plain(path) as stream:
        while part := stream.read(_CHUNK_BYTES):
            yield part


def size_bytes(path: Path) -> int:
    """Return the size of a regular file."""
    with open_plain(path) as stream:
        return os.fstat(stream.fileno()).st_size
