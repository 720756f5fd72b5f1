# SPDX-License-Identifier: Apache-2.0
"""Import a file that is no module of the package: a tool, a launch file."""
from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def load_script(path: Path) -> ModuleType:
    """Return a file as a new module, run once more at each call."""
    spec = importlib.util.spec_from_file_location(path.name.partition('.')[0], path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
