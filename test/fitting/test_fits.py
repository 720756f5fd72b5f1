# SPDX-License-Identifier: Apache-2.0
"""The fits of single frames against synthetic truth, finite differences and mirror images."""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ros2_dice.bodies import HandState, OpenBodies
from ros2_dice.evaluation.metrics import vertex_error_m as distance_m
from ros2_dice.evaluation.synthetic import CAMERA, Scene, observe_face, observe_hand
from ros2_dice.fitting import HeadFitter, SizePrior, fit_hand
from ros2_dice.fitting import hand as hand_module
from ros2_dice.fitting.camera_rays import ray_rotation
from ros2_dice.fitting.hand import first_guess
from ros2_dice.landmarks import FaceObservation, HandObservation, Region
from ros2_dice.types import FloatArray

MIRROR = np.array((-1.0, 1.0, 1.0))
REGION = Region(0.0, 0.0, 1.0, 0.0)


def vertex_error_m(vertices_m: FloatArray, truth_m: FloatArray) -> float:
    """Return the mean vertex distance after a similarity alignment [m]."""
    return distance_m(vertices_m, truth_m, aligned=True)


def prior_of(scene: Scene, error: float = 0.0) -> SizePrior:
    """Return what a person's head would tell about the hand's size."""
    return SizePrior(scene.hand.log_scale + error, 0.06)


@pytest.mark.parametrize(('noise_px', 'hand_mm', 'head_mm'),
                         [(1.0, 2.4, 2.0), (2.0, 3.2, 2.1), (3.0, 3.9, 2.2)])
def test_recovers_the_truth_as_well_as_the_prototype(
        bodies: OpenBodies, scenes: list[Scene], noise_px: float, hand_mm: float,
        head_mm: float) -> None:
    """The bounds are the prototype's table, mean vertex error after alignment."""
    rng, fitter = np.random.default_rng(5), HeadFitter(bodies.head)
    hands, heads = [], []
    for scene in scenes:
        body = bodies.hand(scene.left)
        hand = fit_hand(body, observe_hand(scene, bodies, rng, noise_px), CAMERA,
                        prior_of(scene, rng.normal(0.0, 0.05)))
        head = fitter.fit(observe_face(scene, bodies, rng, noise_px), CAMERA)
        hands.append(vertex_error_m(body.vertices(hand.state), scene.hand_vertices_m))
        skin = bodies.head.is_skin
        heads.append(vertex_error_m(bodies.head.vertices(head.state)[skin],
                                    scene.head_vertices_m[skin]))
    assert 1e3 * np.mean(hands) < hand_mm
    assert 1e3 * np.mean(heads) < head_mm


def test_exact_landmarks_give_back_depth_and_rotation(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    """With the true size and no noise the wrist is where it should be, to a few per cent."""
    errors = []
    for scene in scenes:
        body = bodies.hand(scene.left)
        points = body.landmarks(scene.hand)
        ray = ray_rotation(CAMERA, CAMERA.project(points).mean(axis=0))
        seen = HandObservation(CAMERA.project(points).astype(np.float32), np.zeros(21, np.float32),
                               ((points - points.mean(axis=0)) @ ray).astype(np.float32), 1.0, 0.5,
                               REGION)
        fit = fit_hand(body, seen, CAMERA, prior_of(scene))
        assert fit.residual_px.max() < 4.0
        errors.append(fit.state.translation_m[2] / scene.hand.translation_m[2] - 1.0)
    assert np.std(errors) < 0.03
    assert abs(np.mean(errors)) < 0.015


@pytest.mark.parametrize(('log_z', 'held'), [
    (None, None), (math.log(0.6), None), (None, hand_module.Held(np.full(22, 0.1), 0.4))])
def test_hand_gradient_is_half_the_costs_difference(
        bodies: OpenBodies, scenes: list[Scene], log_z: float | None,
        held: hand_module.Held | None) -> None:
    """J^T r, which the step is made of, against differences of the cost itself."""
    rng = np.random.default_rng(0)
    for scene in scenes[:6]:
        body = bodies.hand(scene.left)
        seen = observe_hand(scene, bodies, rng, 2.0)
        problem = hand_module._Problem(body, seen, CAMERA, prior_of(scene), log_z, False,
                                       held)
        guess = first_guess(body, seen, CAMERA, prior_of(scene))
        state = replace(guess, shape=rng.normal(0.0, 0.2, 10),
                        angles_rad=guess.angles_rad + rng.normal(0.0, 0.05, 22))
        _, pose, parts = problem.evaluate(state)
        _, gradient = problem.normal_equations(state, pose, parts)
        step = 1e-6
        for index, axis in enumerate(np.eye(39) * step):
            ahead = problem.evaluate(problem.stepped(state, axis))[0]
            behind = problem.evaluate(problem.stepped(state, -axis))[0]
            expected = 0.5 * (ahead - behind) / (2 * step)
            assert gradient[index] == pytest.approx(expected, rel=2e-4, abs=0.02), index


def test_what_the_picture_leaves_open_stays_as_it_was(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    """A joint that is held moves less with the noise, and the landmarks are met as well."""
    rng, moved, costs = np.random.default_rng(5), [], []
    for scene in scenes[:8]:
        body, prior = bodies.hand(scene.left), prior_of(scene)
        calm = fit_hand(body, observe_hand(scene, bodies, rng, 0.1), CAMERA, prior)
        noisy = observe_hand(scene, bodies, rng, 3.0)
        held = hand_module.Held(calm.state.angles_rad, 0.4)
        fits = [fit_hand(body, noisy, CAMERA, prior, start=calm.state, held=one)
                for one in (None, held)]
        moved.append([np.linalg.norm(fit.state.angles_rad - calm.state.angles_rad)
                      for fit in fits])
        costs.append([fit.cost for fit in fits])
    free, kept = np.mean(moved, axis=0)
    assert kept < 0.8 * free
    assert np.mean(costs, axis=0)[1] < np.mean(costs, axis=0)[0] + 3.0


def mirrored_hand(seen: HandObservation) -> HandObservation:
    """Return what the network would see in the mirror image."""
    points = seen.points_px.astype(float) * (-1.0, 1.0) + (CAMERA.width_px, 0.0)
    return replace(seen, points_px=points, world_m=seen.world_m * MIRROR,
                   right_probability=1.0 - seen.right_probability)


def test_mirrored_landmarks_give_the_mirrored_hand(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng = np.random.default_rng(1)
    for scene in scenes[:8]:
        seen = observe_hand(scene, bodies, rng, 2.0)
        body, other = bodies.hand(scene.left), bodies.hand(not scene.left)
        one = fit_hand(body, seen, CAMERA, prior_of(scene))
        two = fit_hand(other, mirrored_hand(seen), CAMERA, prior_of(scene))
        np.testing.assert_allclose(other.vertices(two.state), body.vertices(one.state) * MIRROR,
                                   atol=1e-6)


def test_joint_limits_hold(bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng = np.random.default_rng(2)
    for scene in scenes:
        body = bodies.hand(scene.left)
        angles = fit_hand(body, observe_hand(scene, bodies, rng, 3.0), CAMERA,
                          prior_of(scene)).state.angles_rad
        over = np.maximum(angles - body.angle_high, body.angle_low - angles)
        assert over.max() < math.radians(6.0)


def test_two_wild_points_do_not_pull_the_hand(bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng = np.random.default_rng(3)
    clean, wild = [], []
    for scene in scenes:
        body, seen = bodies.hand(scene.left), observe_hand(scene, bodies, rng, 1.0)
        points = seen.points_px.copy()
        points[[8, 15]] += (60.0, -40.0)
        for observation, errors in ((seen, clean), (replace(seen, points_px=points), wild)):
            fit = fit_hand(body, observation, CAMERA, prior_of(scene))
            errors.append(vertex_error_m(body.vertices(fit.state), scene.hand_vertices_m))
    assert np.median(wild) < np.median(clean) + 0.0015


def test_covered_half_of_the_face_does_not_pull_the_head(
        bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng, fitter = np.random.default_rng(4), HeadFitter(bodies.head)
    skin, errors = bodies.head.is_skin, []
    for scene in scenes:
        seen = observe_face(scene, bodies, rng, 1.0)
        points = seen.points_px.copy()
        low = points[:, 1] > np.percentile(points[:, 1], 75)
        points[low] += rng.normal(0.0, 12.0, (int(low.sum()), 2))
        fit = fitter.fit(replace(seen, points_px=points), CAMERA,
                         trust=np.where(low, 0.25, 1.0))
        errors.append(vertex_error_m(bodies.head.vertices(fit.state)[skin],
                                     scene.head_vertices_m[skin]))
    assert 1e3 * np.median(errors) < 3.0


def test_warm_start_agrees_with_a_cold_one(bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng = np.random.default_rng(6)
    for scene in scenes[:8]:
        body, seen = bodies.hand(scene.left), observe_hand(scene, bodies, rng, 1.0)
        cold = fit_hand(body, seen, CAMERA, prior_of(scene))
        near = replace(cold.state, translation_m=cold.state.translation_m * 1.03,
                       angles_rad=cold.state.angles_rad + 0.05)
        warm = fit_hand(body, seen, CAMERA, prior_of(scene), start=near, iterations=8)
        assert warm.cost < cold.cost * 1.05 + 0.5


def test_clamped_depth_is_kept_and_costs(bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng = np.random.default_rng(7)
    for scene in scenes[:6]:
        body, seen = bodies.hand(scene.left), observe_hand(scene, bodies, rng, 1.0)
        free = fit_hand(body, seen, CAMERA, prior_of(scene))
        wanted = math.log(free.state.translation_m[2]) + 0.15
        clamped = fit_hand(body, seen, CAMERA, prior_of(scene), start=free.state, log_z=wanted)
        assert math.log(clamped.state.translation_m[2]) == pytest.approx(wanted, abs=0.02)
        assert clamped.cost > free.cost


def test_kept_shape_and_identity_stay(bodies: OpenBodies, scenes: list[Scene]) -> None:
    rng, fitter = np.random.default_rng(8), HeadFitter(bodies.head)
    scene = scenes[0]
    body, seen = bodies.hand(scene.left), observe_hand(scene, bodies, rng, 1.0)
    start = fit_hand(body, seen, CAMERA, prior_of(scene)).state
    again = fit_hand(body, seen, CAMERA, prior_of(scene), start=start, fixed_shape=True)
    np.testing.assert_array_equal(again.state.shape, start.shape)
    face = observe_face(scene, bodies, rng, 1.0)
    head = fitter.fit(face, CAMERA).state
    kept = fitter.fit(face, CAMERA, start=head, fixed_identity=True).state
    np.testing.assert_array_equal(kept.identity, head.identity)
    assert kept.log_scale == head.log_scale


def finite(state: HandState) -> bool:
    """Tell whether all numbers of a state are finite."""
    return all(np.isfinite(value).all() for value in (
        state.rotation, state.translation_m, state.log_scale, state.angles_rad, state.shape))


@pytest.mark.parametrize('points', [
    np.zeros((21, 2)), np.full((21, 2), 1e5), np.tile([[100.0, 50.0]], (21, 1)),
    np.column_stack((np.arange(21.0), np.zeros(21)))], ids=['corner', 'far', 'one point', 'line'])
@pytest.mark.parametrize('world', [np.zeros((21, 3)), np.ones((21, 3)) * np.arange(21)[:, None]])
def test_degenerate_hands_stay_finite(bodies: OpenBodies, points: FloatArray,
                                      world: FloatArray) -> None:
    seen = HandObservation(points.astype(np.float32), np.zeros(21, np.float32),
                           world.astype(np.float32), 0.9, 0.5, REGION)
    fit = fit_hand(bodies.hand_right, seen, CAMERA, SizePrior())
    assert finite(fit.state)
    assert np.isfinite(fit.cost)
    assert fit.state.translation_m[2] > 0
    assert np.isfinite(bodies.hand_right.vertices(fit.state)).all()


@pytest.mark.parametrize('points', [
    np.zeros((468, 2)), np.full((468, 2), 1e5), np.tile([[100.0, 50.0]], (468, 1)),
    np.column_stack((np.arange(468.0), np.zeros(468)))], ids=['corner', 'far', 'point', 'line'])
def test_degenerate_faces_stay_finite(bodies: OpenBodies, points: FloatArray) -> None:
    seen = FaceObservation(points.astype(np.float32), np.zeros(468, np.float32), 0.9, REGION)
    fit = HeadFitter(bodies.head).fit(seen, CAMERA)
    assert np.isfinite(fit.cost)
    assert fit.state.translation_m[2] > 0
    assert np.isfinite(bodies.head.vertices(fit.state)).all()
    assert ((fit.state.expression >= 0) & (fit.state.expression <= 1)).all()


def test_ray_rotation_turns_the_axis_onto_the_ray() -> None:
    for point in ((0.0, 0.0), (640.0, 480.0), (320.0, 240.0), (100.0, 400.0)):
        rotation = ray_rotation(CAMERA, np.array(point))
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        ray = rotation[:, 2]
        np.testing.assert_allclose(CAMERA.project(ray[None])[0], point, atol=1e-9)
