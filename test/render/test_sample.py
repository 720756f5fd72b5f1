# SPDX-License-Identifier: Apache-2.0
"""The shipped sample: its truth, its script and its pictures belong together."""
from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ros2_dice.bodies import OpenBodies, load_open_bodies
from ros2_dice.render.video import ClipReader
from ros2_dice.share import share_folder
from ros2_dice.types import Camera

MODEL = share_folder() / 'model'
TOOLS = Path(__file__).parents[2] / 'tools'
CHECKED = (10, 52, 80, 105, 140)


@pytest.fixture(scope='module')
def truth() -> dict[str, np.ndarray]:
    with np.load(MODEL / 'sample_truth.npz') as data:
        return dict(data)


@pytest.fixture(scope='module')
def bodies() -> OpenBodies:
    return load_open_bodies(MODEL / 'open_bodies.npz')


@pytest.fixture(scope='module')
def script() -> ModuleType:
    sys.path.insert(0, str(TOOLS))
    try:
        return importlib.import_module('make_sample')
    finally:
        sys.path.remove(str(TOOLS))


def test_size_rate_and_length(truth):
    assert (MODEL / 'sample.mp4').stat().st_size < 2_000_000
    with ClipReader(MODEL / 'sample.mp4') as clip:
        assert clip.rate_hz == truth['rate_hz'] == 30
        frames = list(clip)
    assert len(frames) == len(truth['touch']) == 150
    assert frames[0].bgr.shape == (720, 1280, 3)
    assert np.allclose([f.time_ns for f in frames], np.arange(150) / 30 * 1e9, atol=1e5)


def test_the_story_is_far_touch_far_and_the_touch_is_one(truth):
    touch, distance = truth['touch'], truth['min_distance_m']
    changes = np.flatnonzero(np.diff(touch.astype(int)))
    assert len(changes) == 2
    assert 50 < touch.sum() < 90
    assert np.array_equal(touch, distance <= 0)
    assert distance[:25].min() > 0.1
    assert distance[-20:].min() > 0.1
    pressed = distance[touch][4:-4]
    assert np.allclose(pressed, -0.0025, atol=2e-4)
    assert np.all(truth['max_dent_m'][~touch] == 0)
    assert 0.0015 < truth['max_dent_m'].max() < 0.003


@pytest.mark.parametrize('index', CHECKED)
def test_the_truth_is_what_the_script_makes(index, truth, bodies, script):
    now = script.moment(bodies, index / 30)
    for part in ('hand', 'head'):
        for name in ('rotation', 'translation_m'):
            assert np.allclose(truth[f'{part}_{name}'][index],
                               getattr(getattr(now, part), name), atol=1e-6)
    assert truth['min_distance_m'][index] == pytest.approx(now.distance_m.min(), abs=1e-6)


@pytest.mark.parametrize('index', CHECKED)
def test_distances_agree_with_the_contact_package(index, bodies, script):
    from ros2_dice.contact import HeadSurface, SkinTables

    now, head = script.moment(bodies, index / 30), bodies.head
    lips = head.regions == head.region_names.index('lips')
    surface = HeadSurface(SkinTables(head.faces, head.is_skin, head.rest_vertices_m, lips))
    surface.pose(now.head_vertices_m, now.head.rotation, now.head.translation_m)
    near = now.distance_m < 0.03
    if near.any():
        other = surface.distance(now.hand_vertices_m[near]).signed_m
        assert np.abs(other - now.distance_m[near]).max() < 5e-4


def test_the_clip_shows_the_script_s_picture(bodies, script):
    camera = Camera.from_fov(1280, 720, 1.05)
    now = script.moment(bodies, 80 / 30)
    drawn = script.picture(bodies, now, camera, script.background(1280, 720))
    with ClipReader(MODEL / 'sample.mp4') as clip:
        shown = next(frame.bgr for frame in clip if frame.index == 80)
    error = np.abs(drawn.astype(float) - shown).mean()
    assert error < 3, 'mean absolute difference of 8-bit values'
