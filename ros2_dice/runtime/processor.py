# SPDX-License-Identifier: Apache-2.0
"""Which processor this is, and which of its instructions matter to networks."""
from __future__ import annotations

import ctypes
import platform
import re
from functools import lru_cache
from pathlib import Path

INSTRUCTIONS = {
    'x86_64': ('avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_int8', 'amx_bf16'),
    'aarch64': ('asimd', 'asimddp', 'bf16', 'i8mm', 'sve'),
}
"""Architecture: flags of /proc/cpuinfo that engines make use of."""

CPUINFO = Path('/proc/cpuinfo')


def cpu_flags(text: str) -> set[str]:
    """Return the instruction set flags that /proc/cpuinfo lists for the first core."""
    found = re.search(r'^(?:flags|Features)\s*:\s*(.*)$', text, re.MULTILINE)
    return set(found[1].split()) if found else set()


@lru_cache
def processor_flags() -> tuple[str, ...]:
    """Return those of `INSTRUCTIONS` that this processor has."""
    try:
        found = cpu_flags(CPUINFO.read_text(errors='replace'))
    except OSError:
        return ()
    return tuple(name for name in INSTRUCTIONS.get(platform.machine(), ()) if name in found)


@lru_cache
def processor_name() -> str:
    """Return the processor's model name, or the architecture where the system does not say."""
    try:
        text = CPUINFO.read_text(errors='replace')
    except OSError:
        return platform.machine()
    model = re.search(r'^(?:model name|Model)\s*:\s*(.*)$', text, re.MULTILINE)
    return model[1].strip() if model else platform.machine()


@lru_cache
def cuda_driver() -> str:
    """Return the version of the NVIDIA driver's interface, e.g. `13.0`; empty = no driver."""
    version = ctypes.c_int()
    try:
        ctypes.CDLL('libcuda.so.1').cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return ''
    return f'{version.value // 1000}.{version.value % 1000 // 10}'
