# SPDX-License-Identifier: Apache-2.0
"""Where a fast hand will be."""
from __future__ import annotations

import numpy as np
import pytest

from ros2_dice.landmarks.motion import Motion

FRAME_NS = 33_333_333


def moved(places: list[tuple[float, float]], gap_ns: int = FRAME_NS) -> Motion:
    """Return a motion through places, one a frame."""
    motion = Motion()
    for number, place in enumerate(places):
        motion.add(place, number * gap_ns)
    return motion


def test_steady_motion_goes_on() -> None:
    """Two equal steps foretell the third, for whatever time has passed."""
    motion = moved([(0, 0), (30, -10), (60, -20)])
    assert motion.step_px(3 * FRAME_NS) == pytest.approx((30, -10))
    assert motion.step_px(4 * FRAME_NS) == pytest.approx((60, -20))


@pytest.mark.parametrize('places', [
    [], [(0, 0)], [(0, 0), (30, 0)], [(0, 0), (30, 0), (0, 0)], [(0, 0), (30, 0), (30, 30)],
    [(0, 0), (0, 0), (30, 0)], [(5, 5), (5, 5), (5, 5)],
], ids=['none', 'one', 'two', 'back', 'corner', 'start', 'rest'])
def test_nothing_is_foretold_where_steps_disagree(places: list[tuple[float, float]]) -> None:
    """A start, a stop, a turn: the hand may be anywhere near."""
    assert moved(places).step_px(len(places) * FRAME_NS) == (0.0, 0.0)


@pytest.mark.parametrize('gap_ns', [0, -FRAME_NS, 500_000_000])
def test_odd_stamps_foretell_nothing(gap_ns: int) -> None:
    """Stamps that stand still, go back, or leave a gap."""
    assert moved([(0, 0), (30, 0), (60, 0)]).step_px(2 * FRAME_NS + gap_ns) == (0.0, 0.0)
    motion = moved([(0, 0), (30, 0), (60, 0)], gap_ns)
    assert motion.step_px(abs(3 * gap_ns) + FRAME_NS) == (0.0, 0.0)


def test_trembling_is_no_motion() -> None:
    """Noise about a place seldom looks like two equal steps, and then they are small."""
    rng, motion, steps = np.random.default_rng(0), Motion(), []
    for number in range(200):
        motion.add(rng.normal(100.0, 0.5, 2), number * FRAME_NS)
        steps.append(np.hypot(*motion.step_px((number + 1) * FRAME_NS)))
    assert np.mean(np.array(steps) > 0) < 0.1
    assert max(steps) < 3.0
