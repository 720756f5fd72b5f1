# SPDX-License-Identifier: Apache-2.0
"""Where the published fixtures lie."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[3] / 'shared' / 'dice'


@pytest.fixture(scope='session')
def shared_dice() -> Path:
    """Folder of the stored numbers; the test is skipped where there is none."""
    if not (FOLDER / 'postprocess.npz').is_file():
        pytest.skip('no fixtures of DICE beside the repository')
    return FOLDER


@pytest.fixture(scope='session')
def files(tmp_path_factory: pytest.TempPathFactory, standin_files: Any) -> Path:
    """Folder of all official files, not to be changed: one number a tensor of the network."""
    folder = tmp_path_factory.mktemp('official')
    standin_files.write_module(folder / 'model.bin', standin_files.thin_weights())
    standin_files.write_bodies(folder)
    return folder
