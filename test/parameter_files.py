# SPDX-License-Identifier: Apache-2.0
"""ROS parameter files, read as flat names and values."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml


def flat_parameters(path: Path) -> dict[str, Any]:
    """Return the values of all blocks by their full names; later blocks win."""
    blocks = yaml.safe_load(path.read_text(encoding='utf-8')).values()
    return {name: value for block in blocks for name, value in _walk(block['ros__parameters'])}


def _walk(values: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f'{prefix}{key}.')
        else:
            yield prefix + key, value
