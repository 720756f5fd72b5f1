# SPDX-License-Identifier: Apache-2.0
"""Real networks, where their files are."""
from __future__ import annotations

import pytest

from ros2_dice.errors import AssetError
from ros2_dice.landmarks.networks import Networks, load_networks
from ros2_dice.parameters import Settings


@pytest.fixture(scope='session')
def networks() -> Networks:
    """Return the networks; the test is skipped where their files are missing."""
    pytest.importorskip('openvino')
    try:
        return load_networks(Settings({'backend.threads': 2}))
    except AssetError as error:
        pytest.skip(error.text())
