# SPDX-License-Identifier: Apache-2.0
"""A copy of the tree as a fresh clone has it, without anything built or generated."""
from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ('msg', 'srv', 'action')


def copy_source(target: Path) -> None:
    """Copy the tree to `target`, which must not exist."""
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(
        '.git', '.venv', '.*_cache', '.hypothesis', '__pycache__', '*.egg-info', '*.so', 'build',
        'dist', 'out', 'install', 'log'))
    for kind in GENERATED:
        shutil.rmtree(target / 'ros2_dice' / kind, ignore_errors=True)
