# SPDX-License-Identifier: Apache-2.0
"""
Landmarks with the errors that the networks really make.

`tools/measure_landmark_noise.py` draws scenes, renders them and runs the landmark networks; by
what they miss the truth is kept as *donors*: for a hand its picture and metric errors with the
network's score and its opinion on the side, for a face likewise. A new scene borrows the errors of
a donor that is seen from about the same direction, its fingers bent alike or the face as much
covered by the hand, so that size errors, tilt, heavy tails and their correlations need no formula.
In a stream the errors drift from donor to donor, and each frame adds a tremble. docs/accuracy.md
compares fits of such landmarks with fits on renders and on photographs.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from ros2_dice.assets import find_asset
from ros2_dice.bodies import OpenBodies
from ros2_dice.evaluation.synthetic import Scene
from ros2_dice.fitting.camera_rays import ray_rotation
from ros2_dice.landmarks import FaceObservation, HandObservation, PersonObservation, TrackedHand
from ros2_dice.landmarks.regions import face_from_landmarks, hand_from_landmarks
from ros2_dice.types import Camera, FloatArray, Handedness

GAIN = 1.0
"""Factor on the errors of renders: with 1 faces fit as well as on photographs."""
NEIGHBOURS = 8
"""A donor is drawn from so many that are seen most alike."""
DRIFT_S = 0.6
"""After so long the errors of a stream are those of another donor."""
TREMBLE_M = 0.0012
"""White noise of each hand point from frame to frame, in a stream."""
FACE_TREMBLE = 0.3
"""A face's points tremble so much less."""
COVERED_M = 0.004
"""A face landmark so near to the hand in the picture, and behind it, is covered."""
LEAST_SCORE = 0.5
"""Hands and faces with a lower score are not reported by the estimator, hence no donors."""


@dataclass(frozen=True)
class HandView:
    """How the camera sees a hand: what its errors are measured in."""

    turn: FloatArray
    """(2, 2) picture directions to those of an upright right hand."""
    metres_per_px: float
    alike: FloatArray
    """(10,) what its errors depend on: viewing direction in the frame of a right hand, how far
    each finger is bent, and to which side how much of it lies outside of the picture."""

    @classmethod
    def of(cls, scene: Scene, points_m: FloatArray) -> HandView:
        """Return the view of a scene's hand with these 21 points."""
        seen = scene.camera.project(points_m)
        up = seen[9] - seen[0]
        up = up / max(float(np.linalg.norm(up)), 1e-9)
        turn = np.array(((-up[1], up[0]), (-up[0], -up[1])))
        mirror = -1.0 if scene.left else 1.0
        center = points_m.mean(0)
        direction = scene.hand.rotation.T @ (center / np.linalg.norm(center))
        bones = np.diff(points_m[1:].reshape(5, 4, 3), axis=1)
        bones = bones / np.maximum(np.linalg.norm(bones, axis=2, keepdims=True), 1e-9)
        bent = np.arccos(np.clip((bones[:, 0] * bones[:, 2]).sum(1), -1.0, 1.0)) / math.pi
        return cls(turn * ((mirror,), (1.0,)), float(center[2]) / scene.camera.fx_px,
                   np.concatenate((direction * (mirror, 1.0, 1.0), bent,
                                   outside(scene.camera, seen) @ turn.T * (mirror, 1.0))))


def outside(camera: Camera, points_px: FloatArray) -> FloatArray:
    """Return (2,) share of points right less left of the picture, and below less above."""
    size = np.array((camera.width_px, camera.height_px))
    return (points_px > size).mean(0) - (points_px < 0).mean(0)


def covered_share(scene: Scene, face_m: FloatArray) -> float:
    """Return how many of the face's landmarks (468, 3) the hand covers, 0 to 1."""
    hand_px = scene.camera.project(np.asarray(scene.hand_vertices_m, np.float64))
    gap_px, nearest = KDTree(hand_px).query(scene.camera.project(face_m))
    near = np.asarray(gap_px) < COVERED_M * scene.camera.fx_px / face_m[:, 2]
    return float((near & (scene.hand_vertices_m[nearest, 2] < face_m[:, 2])).mean())


def face_view(scene: Scene, face_m: FloatArray) -> FloatArray:
    """Return (6,) what a face's errors depend on: viewing direction, share covered, cut off."""
    center = face_m.mean(0)
    direction = scene.head.rotation.T @ (center / np.linalg.norm(center))
    return np.concatenate((direction, [covered_share(scene, face_m)],
                           outside(scene.camera, scene.camera.project(face_m))))


class NetworkNoise:
    """
    Makes observations of scenes.

    Args:
        bodies: those of the scenes.
        arrays: of landmark_noise.npz.
        gain: factor on all errors.
    """

    def __init__(self, bodies: OpenBodies, arrays: Mapping[str, np.ndarray],
                 gain: float = GAIN) -> None:
        self._bodies, self._gain = bodies, gain
        self._hand_view = np.asarray(arrays['hand_view'], float)
        self._hand_error = np.asarray(arrays['hand_error'], float)
        self._hand_score = np.asarray(arrays['hand_score'], float)
        self._face_view = np.asarray(arrays['face_view'], float)
        self._face_error = (np.asarray(arrays['face_weights'], float)
                            @ np.asarray(arrays['face_basis'], float)
                            + np.asarray(arrays['face_mean'], float))
        self._face_rest = np.asarray(arrays['face_rest'], float)
        self._face_score = np.asarray(arrays['face_score'], float)

    def observe(self, scene: Scene, rng: np.random.Generator) -> PersonObservation:
        """Return what the networks might report of one scene."""
        return self.stream((scene,), (0,), rng)[0]

    def stream(self, scenes: Sequence[Scene], stamps_ns: Sequence[int],
               rng: np.random.Generator) -> tuple[PersonObservation, ...]:
        """
        Return what the networks might report of the frames of one motion.

        Args:
            scenes: of one person and one hand.
            stamps_ns: of the frames [ns], rising.
            rng: of the noise.
        """
        spacing_ns = DRIFT_S * 1e9
        since = (np.asarray(stamps_ns) - stamps_ns[0]) / spacing_ns
        keys = [int(np.abs(since - key).argmin()) for key in range(2 + int(since[-1]))]
        hand_donors = [self._hand_donor(scenes[key], rng) for key in keys]
        face_donors = [self._face_donor(scenes[key], rng) for key in keys]
        still = rng.normal(0.0, 1.0, (468, 3))
        tremble_m = TREMBLE_M if len(scenes) > 1 else 0.0
        found = []
        for scene, time in zip(scenes, since):
            key, share = int(time), float(time % 1.0)
            weights = np.array((1.0 - share, share)) / math.hypot(1.0 - share, share)
            hand = self._hand(scene, hand_donors[key:key + 2], weights, rng, tremble_m)
            face = self._face(scene, face_donors[key:key + 2], weights, still, rng, tremble_m)
            side = Handedness.LEFT if scene.left else Handedness.RIGHT
            found.append(PersonObservation(
                'a0000', face, (TrackedHand('h0000', side, 0.9, hand, True),)))
        return tuple(found)

    def _hand_donor(self, scene: Scene, rng: np.random.Generator) -> int:
        view = HandView.of(scene, self._bodies.hand(scene.left).landmarks(scene.hand))
        near = np.argsort(((self._hand_view - view.alike) ** 2).sum(1), kind='stable')
        return int(near[rng.integers(NEIGHBOURS)])

    def _face_donor(self, scene: Scene, rng: np.random.Generator) -> int:
        apart = self._face_view - face_view(scene, self._bodies.head.landmarks(scene.head))
        near = np.argsort((apart ** 2).sum(1), kind='stable')
        return int(near[rng.integers(NEIGHBOURS)])

    def _hand(self, scene: Scene, donors: Sequence[int], weights: FloatArray,
              rng: np.random.Generator, tremble_m: float) -> HandObservation:
        points = self._bodies.hand(scene.left).landmarks(scene.hand)
        view = HandView.of(scene, points)
        error = self._gain * np.tensordot(weights, self._hand_error[donors], 1)
        error = error + rng.normal(0.0, tremble_m, error.shape)
        seen = scene.camera.project(points)
        seen = seen + error[:, :2] @ view.turn / view.metres_per_px
        world = (points - points.mean(0)) @ ray_rotation(scene.camera, seen.mean(0))
        world = world * math.exp(-scene.hand.log_scale)
        world[:, :2] += error[:, 2:4] @ view.turn
        world[:, 2] += error[:, 4]
        score, right = weights ** 2 @ self._hand_score[donors]
        return HandObservation(
            seen.astype(np.float32), (world[:, 2] / view.metres_per_px).astype(np.float32),
            world.astype(np.float32), float(score), float(1.0 - right if scene.left else right),
            hand_from_landmarks(seen))

    def _face(self, scene: Scene, donors: Sequence[int], weights: FloatArray,
              still: FloatArray, rng: np.random.Generator, tremble_m: float) -> FaceObservation:
        points = self._bodies.head.landmarks(scene.head)
        error = np.tensordot(weights, self._face_error[donors], 1).reshape(468, 3)
        error = self._gain * (error + still * self._face_rest)
        error = error + rng.normal(0.0, FACE_TREMBLE * tremble_m, error.shape)
        seen, along, metres_per_px = face_in_picture(scene, points)
        depth = along - along.mean() + error[:, 2]
        return FaceObservation(
            (seen + error[:, :2] / metres_per_px).astype(np.float32),
            (depth / metres_per_px).astype(np.float32),
            float(weights ** 2 @ self._face_score[donors]), face_from_landmarks(seen))


def load_noise(bodies: OpenBodies, gain: float = GAIN) -> NetworkNoise:
    """
    Return the noise that was measured on renders.

    Raises:
        AssetError: the asset `landmark_noise` is missing.
    """
    with np.load(find_asset('landmark_noise'), allow_pickle=False) as data:
        return NetworkNoise(bodies, {key: data[key] for key in data.files}, gain)


def face_in_picture(scene: Scene, points_m: FloatArray
                    ) -> tuple[FloatArray, FloatArray, float]:
    """Return picture points (468, 2) [px], depth along the viewing ray (468,) [m], m per px."""
    seen = scene.camera.project(points_m)
    along = points_m @ ray_rotation(scene.camera, seen.mean(axis=0))[:, 2]
    return seen, along, float(points_m[:, 2].mean()) / scene.camera.fx_px
