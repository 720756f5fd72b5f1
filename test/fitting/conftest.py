# SPDX-License-Identifier: Apache-2.0
"""The shipped bodies and scenes with known truth."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ros2_dice.bodies import OpenBodies, load_open_bodies
from ros2_dice.evaluation.synthetic import KINDS, Scene, SceneSampler

PATH = Path(__file__).resolve().parents[2] / 'model' / 'open_bodies.npz'


@pytest.fixture(scope='session')
def bodies() -> OpenBodies:
    """The open bodies."""
    return load_open_bodies(PATH)


@pytest.fixture(scope='session')
def scenes(bodies: OpenBodies) -> list[Scene]:
    """Eight each of touching, hovering and apart; always the same ones."""
    sampler, rng = SceneSampler(bodies), np.random.default_rng(11)
    return [sampler.sample(rng, KINDS[index % 3]) for index in range(24)]
