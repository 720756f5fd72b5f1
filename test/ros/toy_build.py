# SPDX-License-Identifier: Apache-2.0
"""A toy engine that a process of its own builds, of which this file is the program."""
from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / 'runtime'))
from toy_rungs import ToyRung, reference

from ros2_dice.runtime.cache import EngineCache
from ros2_dice.runtime.ladder import Ladder, Wish
from ros2_dice.runtime.rung import Referee

ERROR = 0.0005
"""Of the better toy: within the limit, and told."""


def measure(outputs: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray],
            ) -> dict[str, float]:
    """Return the largest difference, by the names of the network of DICE."""
    return {'vertices_m': float(np.abs(outputs['y'] - wanted['y']).max()), 'contact': 0.0}


def toy_ladder(folder: Path) -> Ladder:
    """Return a ladder of one toy that is to be built and one that is always there."""
    rungs = ToyRung(error=ERROR), ToyRung('torch', built=False, exact=True)
    return Ladder(rungs, cache=EngineCache(folder), identity={'weights': 'w1'},
                  referee=Referee(reference, measure, {'vertices_m': 1e-3, 'contact': 0.02}))


def build_when(go: str, folder: str) -> None:
    """Build the better toy once a file is there; what the child process does."""
    print('{"stage": "BUILDING", "progress": 0.5, "detail": "the toy"}', flush=True)
    while not Path(go).exists():
        time.sleep(0.02)
    toy_ladder(Path(folder)).choose(Wish(), build=True)


if __name__ == '__main__':
    build_when(*sys.argv[1:])
