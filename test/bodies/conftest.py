# SPDX-License-Identifier: Apache-2.0
"""The shipped bodies and the stand-ins, made once."""
from __future__ import annotations

from pathlib import Path

import pytest

from ros2_dice.bodies import OpenBodies, ParametricHand, ParametricHead, load_open_bodies
from ros2_dice.dice import standin_hand, standin_head

PATH = Path(__file__).resolve().parents[2] / 'model' / 'open_bodies.npz'


@pytest.fixture(scope='session')
def bodies() -> OpenBodies:
    """The open bodies."""
    return load_open_bodies(PATH)


@pytest.fixture(scope='session')
def hand(bodies: OpenBodies) -> ParametricHand:
    """A stand-in right hand."""
    return ParametricHand(standin_hand(), bodies.hand_right)


@pytest.fixture(scope='session')
def left(bodies: OpenBodies) -> ParametricHand:
    """Its left one."""
    return ParametricHand(standin_hand(), bodies.hand_left, left=True)


@pytest.fixture(scope='session')
def head(bodies: OpenBodies) -> ParametricHead:
    """A stand-in head."""
    return ParametricHead(standin_head(), bodies.head)
