# SPDX-License-Identifier: Apache-2.0
"""Rotated squares and the crops taken from them."""
from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_dice.landmarks.crop import Region, fill, sample, whole_picture
from ros2_dice.types import Frame

regions = st.builds(
    Region, st.floats(-2000, 2000), st.floats(-2000, 2000), st.floats(1, 3000),
    st.floats(-7, 7), st.booleans())


def smooth_frame(height: int = 120, width: int = 160, order: str = 'rgb') -> Frame:
    """Return a picture with different slopes in each channel."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack((x, y, (x + y) / 2), -1) * (255 / max(height, width))
    return Frame(pixels.astype(np.uint8), channel_order=order)  # type: ignore[arg-type]


@given(region=regions, x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_crop_and_image_points_round_trip(region: Region, x: float, y: float) -> None:
    """To the crop and back is where it was."""
    point = np.array([[x, y]])
    matrix = region.matrix(224)
    there = (point - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    np.testing.assert_allclose(region.to_image(there, 224), point, atol=1e-6)


@given(region=regions)
def test_middle_of_the_crop_is_the_centre(region: Region) -> None:
    """Mirrored or not, turned or not."""
    np.testing.assert_allclose(region.to_image(np.array([[96.0, 96.0]]), 192)[0], region.center,
                               atol=1e-9)


@given(region=regions)
def test_mirrored_region_swaps_sides(region: Region) -> None:
    """The left edge of a mirrored crop is the right edge of the plain one."""
    points = np.array([[10.0, 30.0], [100.0, 7.0]])
    other = region._replace(mirrored=not region.mirrored)
    np.testing.assert_allclose(region.to_image(points, 192),
                               other.to_image(points * (-1, 1) + (192, 0), 192), atol=1e-6)


@given(region=regions, x=st.floats(-3, 3), y=st.floats(-3, 3))
def test_turn_keeps_length_and_fits_to_image(region: Region, x: float, y: float) -> None:
    """Directions turn like the points of the crop, without scale."""
    vector = np.array([[x, y]])
    turned = region.turn(vector)
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(vector), abs=1e-9)
    moved = region.to_image(vector, 1) - region.to_image(np.zeros((1, 2)), 1)
    np.testing.assert_allclose(moved, turned * region.size_px, atol=1e-6)


def test_sample_of_the_whole_square_is_the_picture() -> None:
    """An upright region of the crop's own size gives the pixels as they are."""
    frame = smooth_frame(128, 128)
    crop = sample(frame, Region(64, 64, 128, 0.0), 128)
    np.testing.assert_array_equal(crop, frame.pixels)
    flipped = sample(frame, Region(64, 64, 128, 0.0, True), 128)
    np.testing.assert_array_equal(flipped, frame.pixels[:, ::-1])
    turned = sample(frame, Region(64, 64, 128, math.pi / 2), 128)
    np.testing.assert_array_equal(turned, np.rot90(frame.pixels))


@pytest.mark.parametrize('size', [40, 100, 500])
def test_sample_shows_what_lies_there(size: int) -> None:
    """A crop's pixel is the picture's pixel at the mapped point, at any scale."""
    frame = Frame(120 + smooth_frame(600, 800).pixels // 2)
    region = Region(400, 300, size, 0.4)
    crop = sample(frame, region, 64)
    points = np.array([[10.5, 50.5], [32.5, 32.5], [60.5, 5.5]])
    for (u, v), (x, y) in zip(points, region.to_image(points, 64), strict=True):
        np.testing.assert_allclose(crop[int(v), int(u)].astype(int),
                                   frame.pixels[int(y), int(x)].astype(int), atol=2)


def test_mirrored_picture_gives_the_same_crop() -> None:
    """The mirrored region of a mirrored picture shows exactly the same."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (90, 141, 3), dtype=np.uint8)
    region = Region(50.3, 41.7, 60.0, 0.3)
    mirror = Region(141 - 50.3, 41.7, 60.0, -0.3, True)
    a = sample(Frame(pixels), region, 64).astype(int)
    b = sample(Frame(np.ascontiguousarray(pixels[:, ::-1])), mirror, 64).astype(int)
    # OpenCV before 5 interpolates on a grid of 1/32 pixel: noise of 255 differs by up to 255 / 32.
    assert np.abs(a - b).max() <= 8
    assert np.abs(a - b).mean() < 1.0


def test_channel_order_is_undone() -> None:
    """Networks see RGB whatever the picture's order is."""
    rgb = smooth_frame()
    bgr = Frame(np.ascontiguousarray(rgb.pixels[:, :, ::-1]), channel_order='bgr')
    region = Region(70, 60, 90, 0.2)
    np.testing.assert_array_equal(sample(rgb, region, 96), sample(bgr, region, 96))


def test_border() -> None:
    """Outside of the picture there is black, or its edge goes on."""
    frame = Frame(np.full((20, 20, 3), 200, np.uint8))
    region = Region(0, 10, 20, 0.0)
    assert sample(frame, region, 20, border=0)[10, 2].tolist() == [0, 0, 0]
    assert sample(frame, region, 20)[10, 2].tolist() == [200, 200, 200]
    far = sample(frame, Region(1000, 1000, 20, 0.0), 20)
    assert far.shape == (20, 20, 3)
    assert not far.any()


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_grey_pictures_in_the_colour_of_skin(order: Literal['rgb', 'bgr']) -> None:
    """Only where that is asked for, and only where the whole picture has no colours."""
    pixels = np.full((64, 64, 3), 140, np.uint8)
    square = Region(32.0, 32.0, 64.0, 0.0)
    red, green, blue = sample(Frame(pixels, channel_order=order), square, 16, skin=True)[8, 8]
    assert red > green > blue
    assert 0.3 * red + 0.59 * green + 0.11 * blue == pytest.approx(140, abs=3)
    assert sample(Frame(pixels), square, 16)[8, 8].tolist() == [140, 140, 140]
    pixels[:, :8] = (40, 120, 200)
    assert sample(Frame(pixels), square, 16, skin=True)[8, 8].tolist() == [140, 140, 140]


@pytest.mark.parametrize(('spread', 'brightness', 'grey'), [
    (0, 0, True), (0, 128, True), (2, 128, True), (8, 128, False), (8, 40, False)])
def test_pictures_without_colours_are_known(spread: int, brightness: int, grey: bool) -> None:
    """Compression leaves a level or two of colour in them."""
    pixels = np.full((720, 1280, 3), brightness, np.uint8)
    pixels[..., 2] += np.uint8(spread)
    assert Frame(pixels).is_grey is grey


def test_dark_crops_are_lit() -> None:
    """Without a step from dark to bright, and bright ones as they are."""
    region = Region(20, 20, 40, 0.0)

    def shown(level: int) -> int:
        return int(sample(Frame(np.full((40, 40, 3), level, np.uint8)), region, 32).max())

    levels = [shown(level) for level in range(256)]
    assert levels[110:] == list(range(110, 256))
    assert levels[30] == pytest.approx(120, abs=1)
    assert max(np.abs(np.diff(levels))) <= 4
    assert levels[0] == 0


@settings(max_examples=50, deadline=None)
@given(region=regions, height=st.integers(1, 50), width=st.integers(1, 50))
def test_sample_never_fails(region: Region, height: int, width: int) -> None:
    """Any region of any picture gives a crop."""
    frame = Frame(np.zeros((height, width, 3), np.uint8))
    assert sample(frame, region, 32).shape == (32, 32, 3)


def test_huge_and_strided_pictures() -> None:
    """Wider than OpenCV's warp can take, and rows that do not follow one another."""
    wide = Frame(np.full((4, 40000, 3), 190, np.uint8))
    assert sample(wide, whole_picture(wide), 64, border=0).shape == (64, 64, 3)
    assert sample(wide, Region(39995, 2, 8, 0.1), 64).min() == 190
    view = np.zeros((64, 64, 3), np.uint8)[::-2, 5:60:3]
    assert sample(Frame(view), whole_picture(Frame(view)), 32).shape == (32, 32, 3)


def test_fill_scales() -> None:
    """0..255 becomes 0..1, or -1..1."""
    crop = np.array([0, 51, 255], np.uint8).reshape(1, 1, 3)
    buffer = np.zeros((1, 1, 1, 3), np.float32)
    fill(buffer, crop, signed=False)
    np.testing.assert_allclose(buffer.ravel(), [0, 0.2, 1], atol=1e-6)
    fill(buffer, crop, signed=True)
    np.testing.assert_allclose(buffer.ravel(), [-1, -0.6, 1], atol=1e-6)


@pytest.mark.parametrize('region', [
    Region(math.nan, 0, 1, 0), Region(0, math.inf, 1, 0), Region(0, 0, 0, 0),
    Region(0, 0, 1e9, 0), Region(0, 0, 1, math.nan)])
def test_insane_regions_are_told(region: Region) -> None:
    """What no picture can hold."""
    assert not region.is_sane()
    assert Region(1, 2, 3, 4).is_sane()
