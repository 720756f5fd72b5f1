# SPDX-License-Identifier: Apache-2.0
"""A manifest, a share folder and a data folder of the test's own."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import BAKED, CONTENT, WHEEL, House, manifest_text, write_wheel

import ros2_dice.assets.manifest as manifest_module
import ros2_dice.assets.store as store_module


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    share, links, data = tmp_path / 'share', tmp_path / 'links', tmp_path / 'data'
    (share / 'model').mkdir(parents=True)
    links.mkdir()
    (share / 'model' / 'assets.toml').write_text(manifest_text())
    (share / 'model' / 'body.npz').write_bytes(BAKED)
    for module in (manifest_module, store_module):
        monkeypatch.setattr(module, 'share_folder', lambda: share)
    monkeypatch.setenv('ROS2_DICE_DATA', str(data))
    # pip sees our wheel and no network
    for name in ('PIP_EXTRA_INDEX_URL', 'PIP_INDEX_URL'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('PIP_CONFIG_FILE', '/dev/null')
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(links))
    manifest_module.load_manifest.cache_clear()
    yield House(data, share, links, write_wheel(links / WHEEL, CONTENT))
    manifest_module.load_manifest.cache_clear()
