# SPDX-License-Identifier: Apache-2.0
"""The manifest `model/assets.toml` as typed rows."""
from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from ros2_dice.errors import AssetError, why
from ros2_dice.share import share_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Kind = Literal['wheel', 'baked', 'user']

_PLAIN_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*')


@dataclass(frozen=True)
class Wheel:
    """A distribution on a package index, of which only data is read."""

    distribution: str
    version: str
    python: str
    """The Python that the wheel is for, e.g. 3.11; this one need not be it."""
    platform: str
    size_bytes: int
    """Of the whole wheel, for the progress bar."""
    licence: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f'{self.distribution}=={self.version}'

    @property
    def file_pattern(self) -> str:
        """Glob of the wheel's file name, for any platform."""
        return f'{self.distribution}-{self.version}-*.whl'


@dataclass(frozen=True)
class Source:
    """Where a file comes from; the fields that its kind does not use are empty."""

    kind: Kind
    wheel: Wheel | None = None
    member: str = ''
    """Path inside the wheel."""
    made_by: str = ''
    """The tool that bakes the file."""
    url: str = ''
    """Where the user gets it."""
    option: str = ''
    """Of `ros2-dice import`, that takes it."""


@dataclass(frozen=True)
class Asset:
    """One file."""

    name: str
    file: str
    purpose: str
    estimator: str
    licence: str
    source: Source
    size_bytes: int = 0
    """0 = not known here (files that the user brings)."""
    sha256: str = ''
    """64 hex digits, or empty = not known here."""


@lru_cache(maxsize=4)
def load_manifest(path: Path | None = None) -> Mapping[str, Asset]:
    """
    Return the assets by name, in the manifest's order.

    Args:
        path: the file to read; None = the one that came with the package.

    Raises:
        AssetError: the manifest is missing, or a row of it is wrong.
    """
    path = path or share_folder() / 'model' / 'assets.toml'
    try:
        data = tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AssetError(f"manifest {path.name} can't be read: {why(error)}", expected='TOML',
                         next_step='install the package again') from error
    rows: dict[str, Asset] = {}
    try:
        wheels = {name: Wheel(**row) for name, row in data.get('wheel', {}).items()}
        for row in data['asset']:
            asset = _asset(row, wheels)
            if asset.name in rows:
                raise ValueError(f'two rows are named {asset.name}')
            rows[asset.name] = asset
    except (KeyError, TypeError, ValueError) as error:
        raise AssetError(f'manifest {path.name}',
                         state=f'damaged ({type(error).__name__}: {error})',
                         expected='rows as described at its top') from error
    return rows


def asset_named(name: str) -> Asset:
    """
    Return one asset.

    Raises:
        AssetError: the manifest has no such name.
    """
    rows = load_manifest()
    if name not in rows:
        raise AssetError('asset name', got=name, expected='one of ' + ', '.join(rows),
                         next_step='ros2-dice assets')
    return rows[name]


def _asset(row: Mapping[str, Any], wheels: Mapping[str, Wheel]) -> Asset:
    source = dict(row['source'])
    kind = source.pop('kind')
    if kind not in ('wheel', 'baked', 'user'):
        raise ValueError(f'source kind {kind!r} of {row["name"]}')
    if kind == 'wheel':
        source['wheel'] = wheels[source['wheel']]
    fields = {key: value for key, value in row.items() if key != 'source'}
    asset = Asset(**fields, source=Source(cast(Kind, kind), **source))
    for value in (asset.name, asset.file):  # they become paths
        if not _PLAIN_NAME.fullmatch(value):
            raise ValueError(f'{value!r} is not a plain name')
    if kind != 'user' and not (
            asset.size_bytes > 0 and re.fullmatch('[0-9a-f]{64}', asset.sha256)):
        raise ValueError(f'size_bytes or sha256 of {asset.name} is missing')
    return asset
