# SPDX-License-Identifier: Apache-2.0
"""The hand's network that runs beside the face's."""
from __future__ import annotations

import numpy as np

from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.networks import Networks
from ros2_dice.types import Frame

PIXELS = np.random.default_rng(2).integers(0, 255, (240, 320, 3), np.uint8)


def test_sees_what_the_other_one_sees(networks: Networks) -> None:
    """The same network on one thread: the same landmarks, up to the order of sums."""
    frame, region = Frame(PIXELS), Region(150.0, 120.0, 160.0, 0.3, True)
    beside = networks.hand_beside
    assert beside is not None
    beside.start(frame, region)
    face = networks.face.observe(frame, Region(100.0, 100.0, 120.0, 0.0))
    seen = beside.seen(region)
    assert seen is not None
    other = networks.hand.observe(frame, region)
    np.testing.assert_allclose(seen.points_px, other.points_px, atol=0.01)
    np.testing.assert_allclose(seen.world_m, other.world_m, atol=1e-4)
    assert abs(seen.score - other.score) < 1e-3
    assert seen.roi == region
    assert np.isfinite(face.points_px).all()


def test_another_region_was_not_looked_at(networks: Networks) -> None:
    """A look that nobody asks for ends when the next one begins."""
    frame, first = Frame(PIXELS), Region(150.0, 120.0, 160.0, 0.3)
    second = first._replace(cx_px=90.0)
    beside = networks.hand_beside
    assert beside is not None
    assert beside.seen(first) is None
    beside.start(frame, first)
    assert beside.seen(second) is None
    beside.start(frame, second)
    seen = beside.seen(second)
    assert seen is not None
    np.testing.assert_allclose(seen.points_px, networks.hand.observe(frame, second).points_px,
                               atol=0.01)
    assert beside.seen(second) is None
