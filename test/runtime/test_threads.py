# SPDX-License-Identifier: Apache-2.0
"""How many threads a process may use."""
from __future__ import annotations

from pathlib import Path

import pytest

from ros2_dice.runtime import usable_threads


@pytest.mark.parametrize(('text', 'most'), [
    ('50000 100000\n', 1), ('100000 100000\n', 1), ('max 100000\n', 4096), ('', 4096),
    ('nonsense\n', 4096), ('100000 0\n', 4096)])
def test_quota_limits_threads(tmp_path: Path, text: str, most: int) -> None:
    """A container's quota counts; files of another kind are passed over."""
    path = tmp_path / 'cpu.max'
    path.write_text(text)
    assert 1 <= usable_threads(path) <= most


def test_no_quota_file(tmp_path: Path) -> None:
    """Without cgroups the affinity decides."""
    assert usable_threads(tmp_path / 'none') >= 1
