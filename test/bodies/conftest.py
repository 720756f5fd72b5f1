# SPDX-License-Identifier: Apache-2.0
"""The shipped bodies, read once."""
from __future__ import annotations

from pathlib import Path

import pytest

from ros2_dice.bodies import OpenBodies, load_open_bodies

PATH = Path(__file__).resolve().parents[2] / 'model' / 'open_bodies.npz'


@pytest.fixture(scope='session')
def bodies() -> OpenBodies:
    """The open bodies."""
    return load_open_bodies(PATH)
