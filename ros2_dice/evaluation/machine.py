# SPDX-License-Identifier: Apache-2.0
"""What a figure was measured on."""
from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from ros2_dice.runtime.processor import processor_name


def processors() -> list[int]:
    """Return the numbers of the processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def environment() -> dict[str, object]:
    """Return processor, cores, versions and the time, for the record beside a figure."""
    versions = {}
    for package in ('ros2_dice', 'numpy', 'scipy', 'opencv-python-headless', 'openvino'):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        'cpu': processor_name(), 'cores': len(processors()), 'system': platform.platform(),
        'python': platform.python_version(), 'versions': versions,
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
    }


@contextlib.contextmanager
def limited_processors(count: int) -> Iterator[None]:
    """Keep this process, and children started meanwhile, on that many processors."""
    allowed = processors()
    if not hasattr(os, 'sched_setaffinity') or count <= 0 or count >= len(allowed):
        yield
        return
    os.sched_setaffinity(0, allowed[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
