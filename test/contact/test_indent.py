# SPDX-License-Identifier: Apache-2.0
"""The dent and how far the skin gives way."""
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ros2_dice.bodies import OpenBodies
from ros2_dice.contact.indent import FALLOFF_M, REACH, indentation
from ros2_dice.contact.stiffness import LIMIT_MM, indentation_limits_m

X, Y = np.meshgrid(np.linspace(-0.06, 0.06, 25), np.linspace(-0.06, 0.06, 25))
PLANE = np.stack([X.ravel(), Y.ravel(), np.zeros(X.size)], 1)
UP = np.tile((0.0, 0.0, 1.0), (len(PLANE), 1))
depths = st.floats(1e-5, 0.03)


def dent(depth_m: float, limit_m: float = 0.006) -> np.ndarray:
    """Return the displacement (N, 3) of the plane pressed at its origin."""
    return indentation(PLANE, UP, np.full(len(PLANE), limit_m), np.zeros((1, 3)),
                       np.array([depth_m]))


@given(depth=depths, limit=st.floats(1e-4, 0.006))
def test_a_dent_goes_inward_and_never_beyond_the_limit(depth: float, limit: float):
    moved = dent(depth, limit)
    assert (moved[:, :2] == 0).all()
    assert (moved[:, 2] <= 0).all()
    assert -moved[:, 2].min() <= min(limit, depth) + 1e-12


@given(depth=depths, more=st.floats(1.0, 3.0))
def test_deeper_presses_dent_deeper_everywhere(depth: float, more: float):
    assert (dent(depth * more)[:, 2] <= dent(depth)[:, 2] + 1e-12).all()


def test_a_dent_is_local_and_smooth():
    moved = -dent(0.003)[:, 2]
    far = np.linalg.norm(PLANE, axis=1) >= REACH * FALLOFF_M
    assert (moved[far] == 0).all()
    grid = moved.reshape(X.shape)
    assert np.abs(np.diff(grid, axis=0)).max() < 0.0015  # over 5 mm: no steps


def test_of_two_presses_the_deeper_one_counts():
    points = np.array([(0.0, 0.0, 0.0), (0.002, 0.0, 0.0)])
    both = indentation(PLANE, UP, np.full(len(PLANE), 0.006), points, np.array([0.002, 0.001]))
    assert (both[:, 2] <= dent(0.002)[:, 2] + 1e-12).all()
    assert both[:, 2].min() == dent(0.002)[:, 2].min()


def test_nothing_presses_nothing_moves():
    none = indentation(PLANE, UP, np.full(len(PLANE), 0.006), np.zeros((0, 3)), np.zeros(0))
    assert none.shape == PLANE.shape
    assert not none.any()


def test_bone_is_harder_than_cheeks_and_eyeballs_stay(bodies: OpenBodies):
    head = bodies.head
    limit_mm = 1e3 * indentation_limits_m(head)

    def median(name: str) -> float:
        return float(np.median(limit_mm[(head.regions == head.region_names.index(name))
                                        & head.is_skin]))

    assert median('forehead') < median('chin') < median('cheek_left')
    assert abs(median('cheek_left') - median('cheek_right')) < 0.1
    nose = head.regions == head.region_names.index('nose')
    bridge = nose & (head.rest_vertices_m[:, 1] > -0.012)
    tip = nose & (head.rest_vertices_m[:, 2] > np.quantile(head.rest_vertices_m[nose, 2], 0.9))
    assert limit_mm[bridge].mean() < limit_mm[tip].mean()
    assert not limit_mm[~head.is_skin].any()
    assert limit_mm.max() <= max(LIMIT_MM.values()) + 1e-9
    edges = head.faces[:, :2][head.is_skin[head.faces].all(1)]
    assert np.abs(limit_mm[edges[:, 0]] - limit_mm[edges[:, 1]]).max() < 1.5
