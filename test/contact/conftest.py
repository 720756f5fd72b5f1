# SPDX-License-Identifier: Apache-2.0
"""The shipped bodies, their surfaces, and fitted scenes with known truth."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ros2_dice.bodies import OpenBodies, load_open_bodies
from ros2_dice.contact import ContactSolver, SkinTables
from ros2_dice.evaluation.synthetic import KINDS, Scene, SceneSampler, observe
from ros2_dice.fitting import FittedPerson, PersonFitter
from ros2_dice.parameters import Settings

PATH = Path(__file__).resolve().parents[2] / 'model' / 'open_bodies.npz'
SCENES = 36


@pytest.fixture(scope='session')
def bodies() -> OpenBodies:
    """The open bodies."""
    return load_open_bodies(PATH)


@pytest.fixture(scope='session')
def tables(bodies: OpenBodies) -> SkinTables:
    """The head's tables."""
    head = bodies.head
    return SkinTables(head.faces, head.is_skin, head.rest_vertices_m,
                      head.regions == head.region_names.index('lips'))


@pytest.fixture(scope='session')
def solver(bodies: OpenBodies) -> ContactSolver:
    """One solver for all; tests reset it."""
    return ContactSolver(bodies)


@pytest.fixture(scope='session')
def fitted(bodies: OpenBodies) -> list[tuple[Scene, FittedPerson]]:
    """Scenes, touching, hovering and apart in turn, as fitted from landmarks with 2 px noise."""
    sampler, rng = SceneSampler(bodies), np.random.default_rng(3)
    out = []
    for index in range(SCENES):
        scene = sampler.sample(rng, KINDS[index % 3])
        seen = observe(scene, bodies, rng, 2.0)
        fitter = PersonFitter(bodies, Settings())
        out.append((scene, fitter.fit([seen], scene.camera, 0)[0]))
    return out
