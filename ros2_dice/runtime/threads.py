# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads this process may really use."""
from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_QUOTA = Path('/sys/fs/cgroup/cpu.max')


def usable_threads(quota_file: Path = CGROUP_QUOTA) -> int:
    """
    Return what CPU affinity and the container's quota allow, at least 1.

    The number of cores of the machine misleads in a container: threads beyond the quota only
    wait for one another.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()[:2]
        if quota != 'max':
            count = min(count, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no cgroup v2 here: affinity alone decides
    return max(1, count)
