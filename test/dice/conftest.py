# SPDX-License-Identifier: Apache-2.0
"""Where the published fixtures lie."""
from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / 'shared' / 'dice'


@pytest.fixture(scope='session')
def shared_dice() -> Path:
    """Folder of the stored numbers; the test is skipped where there is none."""
    if not (FOLDER / 'postprocess.npz').is_file():
        pytest.skip('no fixtures of DICE beside the repository')
    return FOLDER
