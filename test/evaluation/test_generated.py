# SPDX-License-Identifier: Apache-2.0
"""Figures of generated scenes, and the bench that makes them."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ros2_dice.bodies import OpenBodies, load_open_bodies
from ros2_dice.contact import SkinTables
from ros2_dice.evaluation.generated import (
    Bench,
    MotionOutcome,
    Outcome,
    PlainNoise,
    known_ratio,
    run_bar,
    run_samples,
)
from ros2_dice.evaluation.generated_scores import (
    bar_scores,
    distance_scores,
    motion_scores,
    scene_scores,
)
from ros2_dice.evaluation.signed_distance import signed_distances_m
from ros2_dice.evaluation.synthetic import PEOPLE, SceneSampler
from ros2_dice.parameters import Settings
from ros2_dice.share import share_folder

SETTINGS = Settings({'tracking.deterministic_ids': True})


@pytest.fixture(scope='module')
def bodies() -> OpenBodies:
    return load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')


@pytest.fixture(scope='module')
def sampler(bodies: OpenBodies) -> SceneSampler:
    return SceneSampler(bodies, spread=PEOPLE)


def outcome(kind: str, probability: float, gap_m: float = 0.02) -> Outcome:
    touch = kind == 'touch'
    return Outcome(kind, touch, -0.001 if touch else gap_m, probability, gap_m, 0.01,
                   is_lost=math.isnan(probability))


def test_the_true_distance_of_scenes_is_the_exact_one(bodies: OpenBodies, sampler: SceneSampler):
    head = bodies.head
    skin = SkinTables(head.faces, head.is_skin, head.rest_vertices_m,
                      head.regions == head.region_names.index('lips')).triangles
    rng = np.random.default_rng(5)
    for kind in ('touch', 'hover', 'pass', 'apart'):
        scene = sampler.sample(rng, kind)
        exact_m = signed_distances_m(scene.hand_vertices_m, scene.head_vertices_m, skin).min()
        assert exact_m == pytest.approx(scene.gap_m, abs=2e-4)
        assert scene.is_touch == (kind == 'touch')


def test_scenes_of_every_kind_are_judged(bodies: OpenBodies, sampler: SceneSampler):
    done: list[str] = []
    found = run_samples(Bench(bodies, SETTINGS), sampler, PlainNoise(bodies, 1.0), 6, 3,
                        lambda scene, outcome: done.append(scene.kind), done.append)
    document = scene_scores(found, 0.5)
    json.dumps(document, allow_nan=False)
    assert len(done) == 2 * document['n'] == 12
    assert document['said_touch'].keys() == {'touch', 'hover', 'pass', 'apart'}
    assert document['meshes']['hand_pa_pve_mm'] < 6
    assert document['meshes']['pa_mpjpe_mirrored_mm'] <= document['meshes']['pa_mpjpe_mm']
    assert document['plausibility']['frames_truly_touching'] == 3
    assert document['consistency']['said_no_in_skin'] == 0


def test_the_same_seed_gives_the_same_figures(bodies: OpenBodies, sampler: SceneSampler):
    runs = [run_bar(Bench(bodies, SETTINGS), sampler, PlainNoise(bodies, 2.0), 4, 9, None,
                    lambda name: None) for _ in range(2)]
    assert [o.probability for o in runs[0]] == [o.probability for o in runs[1]]
    assert all(0.018 < o.gap_m < 0.022 for o in runs[0] if not o.touch)


def test_known_sizes_are_the_scene_persons(bodies: OpenBodies, sampler: SceneSampler):
    scene = sampler.sample(np.random.default_rng(2), 'touch')
    given = known_ratio(bodies, SETTINGS)(scene, 0.0)
    ratio = given.number('scale.hand_length') / given.number('scale.interpupillary_distance')
    more = known_ratio(bodies, SETTINGS)(scene, 0.01).number('scale.hand_length')
    assert more / given.number('scale.hand_length') == pytest.approx(math.exp(0.01))
    hand_m = bodies.hand_right.length_m(np.zeros(10))
    eyes_m = bodies.head.interpupillary_distance_m(np.zeros(bodies.head.identity_count))
    assert math.log(ratio * eyes_m / hand_m) == pytest.approx(scene.log_ratio)


def test_cannot_tell_is_no_and_is_counted():
    found = scene_scores([outcome('touch', math.nan), outcome('touch', 0.9),
                          outcome('hover', 0.2)], 0.5)
    assert (found['true_positive'], found['false_negative'], found['lost']) == (1, 1, 1)
    assert found['calibration']['cannot_tell'] == 1
    assert found['auc_touch_hover'] == 1.0


def test_hover_is_scored_by_distance():
    hovers = [outcome('hover', 0.8, 0.006), outcome('hover', 0.1, 0.06)]
    rows = scene_scores([outcome('touch', 0.5), *hovers], 0.5)['auc_by_hover_distance']
    assert [row['auc'] for row in rows if row['n']] == [0.0, 1.0]
    assert [row['said_touch'] for row in rows if row['n']] == [1.0, 0.0]


def test_bar_and_distance_figures():
    rows = [outcome('touch', 0.9), outcome('hover', 0.4)]
    assert bar_scores(rows, 0.5)['auc'] == 1.0
    found = distance_scores(rows)
    assert found['n'] == 2
    assert found['coverage'] == 0.5  # the touch is 21 mm off, with 10 mm of one sigma
    assert distance_scores([])['coverage'] is None


def test_motions_are_scored_by_frame_and_by_their_ends():
    truth = [False] * 10 + [True] * 20 + [False] * 10
    said = [0.1] * 13 + [0.9] * 20 + [0.1] * 7
    gaps = [0.0 if t else 0.1 for t in truth]
    touch = MotionOutcome('touch', tuple(n / 30 for n in range(40)), tuple(truth), tuple(gaps),
                          tuple(said))
    hover = MotionOutcome('hover', touch.times_s, (False,) * 40, (0.02,) * 40, (0.2,) * 40)
    found = motion_scores([touch, hover], 0.5)
    assert (found['true_positive'], found['false_positive'], found['n']) == (17, 3, 80)
    assert found['events']['enter_median_ms'] == pytest.approx(100)
    assert found['events']['leave_median_ms'] == pytest.approx(100)
    assert found['said_touch'] == {'touch': 1.0, 'hover': 0.0}
    assert found['auc_of_the_stay'] == 1.0
