# SPDX-License-Identifier: Apache-2.0
"""The manifest that ships: complete, and true of the files that ship with it."""
from __future__ import annotations

from pathlib import Path

import pytest
from house import manifest_text

from ros2_dice.assets import asset_path, load_manifest
from ros2_dice.assets.store import file_digest
from ros2_dice.dice.sources import SOURCES
from ros2_dice.errors import AssetError
from ros2_dice.share import share_folder

SHIPPED_TEXTS = {'assets.toml', 'README.md'}


def test_every_shipped_file_is_in_the_manifest_and_matches_it() -> None:
    baked = {row.file: row for row in load_manifest().values() if row.source.kind == 'baked'}
    shipped = {path.name for path in (share_folder() / 'model').iterdir() if path.is_file()}
    assert shipped - SHIPPED_TEXTS == set(baked)
    for row in baked.values():
        path = asset_path(row)
        assert path.stat().st_size == row.size_bytes, 'run tools/hash_assets.py'
        assert file_digest(path) == row.sha256, 'run tools/hash_assets.py'
        assert (Path(__file__).parents[2] / row.source.made_by).is_file()


def test_every_file_that_can_be_imported_has_a_row() -> None:
    rows = {row.file for row in load_manifest().values() if row.source.kind == 'user'}
    assert rows == {source.file for source in SOURCES.values()}


def test_every_row_says_what_it_is_for_and_under_which_licence() -> None:
    for row in load_manifest().values():
        assert row.purpose.endswith('.')
        assert row.licence
        if row.source.kind == 'wheel':
            assert row.source.wheel is not None
            assert row.source.member.endswith('.tflite')
        if row.source.kind == 'user':
            assert row.source.url.startswith('https://')
            assert not row.sha256
            assert SOURCES[row.source.option.removeprefix('--')].file == row.file


@pytest.mark.parametrize(('old', 'new', 'said'), [
    ('name = "palm"', 'name = "eye"', 'two rows'),
    ('file = "palm.tflite"', 'file = "../palm.tflite"', 'plain name'),
    ('kind = "baked"', 'kind = "stolen"', 'stolen'),
    ('wheel = "netbox"', 'wheel = "boxnet"', 'boxnet'),
    ('purpose = "p"', 'porpoise = "p"', 'porpoise'),
    ('licence = "MIT"', 'licence = MIT', 'assets.toml'),
    ('[[asset]]', '[[essat]]', 'asset'),
])
def test_a_wrong_row_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / 'assets.toml'
    assert old in manifest_text()
    path.write_text(manifest_text().replace(old, new))
    with pytest.raises(AssetError, match=said):
        load_manifest(path)


def test_a_file_of_ours_without_a_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'assets.toml'
    path.write_text('\n'.join(line for line in manifest_text().splitlines()
                              if not line.startswith('sha256')))
    with pytest.raises(AssetError, match='sha256 of eye is missing'):
        load_manifest(path)


def test_a_missing_manifest_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match='install the package again'):
        load_manifest(tmp_path / 'none.toml')
