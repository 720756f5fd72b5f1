# SPDX-License-Identifier: Apache-2.0
"""Crops and the resize, against stored numbers and against the filter's definition."""
from __future__ import annotations

import numpy as np
import pytest

from ros2_dice.dice.preprocess import (
    SIZE,
    Square,
    centre_square,
    crop,
    network_input,
    normalise,
    resized,
    resized_fast,
)
from ros2_dice.types import Frame

CASES = ('wide', 'tall', 'small', 'square')


@pytest.mark.parametrize('case', CASES)
def test_crops_are_the_published_ones(shared_dice, case):
    stored = np.load(shared_dice / 'preprocess.npz')
    frame = Frame(stored[f'{case}_rgb_in'])
    square = centre_square(frame.width_px, frame.height_px)
    wanted = stored[f'{case}_bgr224_u8']
    np.testing.assert_array_equal(crop(frame, square, exact=True), wanted)
    batch = network_input(frame, [square], exact=True)
    np.testing.assert_allclose(batch[0].astype(float).sum((1, 2)), stored[f'{case}_norm_sum'],
                               atol=1e-6)
    assert np.abs(crop(frame, square).astype(int) - wanted).max() <= 1


def test_the_network_input_is_the_published_one(shared_dice):
    stored = np.load(shared_dice / 'parity_seed0.npz')
    for bgr, wanted in zip(stored['crop_u8_bgr'], stored['input_f32']):
        batch = network_input(Frame(bgr, channel_order='bgr'), [Square(0, 0, SIZE)])
        np.testing.assert_allclose(batch[0], wanted, atol=1e-6)
        out = np.empty((3, SIZE, SIZE), np.float32)
        normalise(bgr, out)
        np.testing.assert_array_equal(batch[0], out)


@pytest.mark.parametrize('side', [97, 223, 225, 448, 641, 1080])
def test_the_fast_way_stays_within_one_grey_level(side):
    picture = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    difference = resized(picture).astype(int) - resized_fast(picture)
    assert np.abs(difference).max() <= 1


def test_it_is_pillows():
    """Where Pillow is installed: any size, up and down."""
    image = pytest.importorskip('PIL.Image')
    for height, width in ((31, 517), (720, 1280), (224, 300), (900, 224)):
        picture = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
        wanted = np.asarray(image.fromarray(picture).resize((SIZE, SIZE), image.BILINEAR))
        np.testing.assert_array_equal(resized(picture), wanted)


def test_a_square_that_leaves_the_picture_is_black_there():
    frame = Frame(np.full((60, 80, 3), 200, np.uint8))
    small = crop(frame, Square(-50, -50, 100), exact=True)
    assert (small[:100, :100] == 0).all()
    assert (small[120:, 120:] == 200).all()
    assert not crop(frame, Square(500, 500, 40)).any()


def test_a_mirrored_square_shows_the_mirror_image():
    picture = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    plain, mirrored = Square(10, 20, 250), Square(10, 20, 250, mirrored=True)
    np.testing.assert_array_equal(crop(Frame(picture), mirrored),
                                  crop(Frame(picture), plain)[:, ::-1])
    bgr = Frame(np.ascontiguousarray(picture[..., ::-1]), channel_order='bgr')
    np.testing.assert_array_equal(crop(bgr, plain), crop(Frame(picture), plain))


@pytest.mark.parametrize('mirrored', [False, True])
def test_points_of_the_crop_are_points_of_the_picture(mirrored):
    square = Square(-30, 40, 350, mirrored)
    np.testing.assert_allclose(square.to_image(np.full(2, SIZE / 2)), (145, 215))
    corner = square.to_image(np.array((0.0, 0.0)))
    np.testing.assert_allclose(corner, (320 if mirrored else -30, 40))
