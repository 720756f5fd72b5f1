# SPDX-License-Identifier: Apache-2.0
"""The rasterizer: coverage, order in depth, interpolation, and broken geometry."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_dice.render import interpolate, rasterize

SQUARE = np.array([[2.0, 3], [12, 3], [12, 9], [2, 9]])
# With y down, this order is counter-clockwise seen by the camera.
TWO = np.array([[0, 2, 1], [0, 3, 2]])


def test_two_triangles_cover_their_square_once():
    seen = rasterize(SQUARE, np.full(4, 2.0), TWO, 16, 12)
    picture = np.zeros(16 * 12, int)
    np.add.at(picture, seen.pixel, 1)
    expected = np.zeros((12, 16), int)
    expected[3:9, 2:12] = 1
    assert np.array_equal(picture.reshape(12, 16), expected)
    assert np.allclose(seen.weights.sum(1), 1, atol=1e-5)
    assert np.allclose(seen.inverse_depth, 0.5)


def test_weights_interpolate_places():
    seen = rasterize(SQUARE, np.full(4, 2.0), TWO, 16, 12)
    places = interpolate(seen, TWO, SQUARE)
    row, column = np.divmod(seen.pixel, 16)
    assert np.allclose(places, np.stack([column + 0.5, row + 0.5], 1), atol=1e-4)


def test_the_nearer_surface_hides_the_other_in_any_order():
    points = np.concatenate([SQUARE, SQUARE])
    depth = np.r_[np.full(4, 2.0), np.full(4, 1.0)]
    for faces in (np.r_[TWO, TWO + 4], np.r_[TWO + 4, TWO]):
        seen = rasterize(points, depth, faces, 16, 12)
        assert (faces[seen.face] >= 4).all()


def test_two_crossing_surfaces_share_the_picture():
    points = np.concatenate([SQUARE, SQUARE])
    depth = np.array([1.0, 3, 3, 1, 2, 2, 2, 2])
    faces = np.r_[TWO, TWO + 4]
    seen = rasterize(points, depth, faces, 16, 12)
    left = seen.pixel % 16 < 5
    assert (seen.face[left] < 2).all()
    assert (seen.face[seen.pixel % 16 > 10] >= 2).all()


def test_surfaces_seen_from_inside_are_left_out():
    assert not len(rasterize(SQUARE, np.full(4, 2.0), TWO[:, ::-1], 16, 12).pixel)
    assert len(rasterize(SQUARE, np.full(4, 2.0), TWO[:, ::-1], 16, 12, cull=False).pixel) == 60


@pytest.mark.parametrize('bad', [np.nan, np.inf, -1.0, 0.0])
def test_a_broken_depth_takes_only_its_own_triangles_away(bad):
    depth = np.full(4, 2.0)
    depth[1] = bad
    seen = rasterize(SQUARE, depth, TWO, 16, 12)
    assert set(seen.face.tolist()) == {1}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 30.0, 1e4, 1e9]))
def test_random_triangles_stay_inside_the_picture(seed, spread):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, spread, (30, 2)) + 20
    faces = rng.integers(0, 30, (60, 3))
    seen = rasterize(points, rng.uniform(-1, 3, 30), faces, 40, 30, cull=False)
    assert len(np.unique(seen.pixel)) == len(seen.pixel)
    assert ((seen.pixel >= 0) & (seen.pixel < 1200)).all()
    assert np.isfinite(seen.inverse_depth).all()


def test_a_closed_shape_has_no_gaps():
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rim = 50 + 37.3 * np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.concatenate([rim, [[51.7, 48.2]]])
    around = np.arange(60)
    faces = np.stack([np.full(60, 60), np.roll(around, -1), around], 1)
    seen = rasterize(points, np.ones(61), faces, 100, 100)
    row, column = np.divmod(seen.pixel, 100)
    grid = np.zeros((100, 100), bool)
    grid[row, column] = True
    y, x = np.mgrid[:100, :100] + 0.5
    assert grid[np.hypot(x - 50, y - 50) < 37].all()
    assert not grid[np.hypot(x - 50, y - 50) > 38].any()
