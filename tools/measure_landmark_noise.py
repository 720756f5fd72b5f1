# SPDX-License-Identifier: Apache-2.0
"""
Measure by how much the landmark networks miss the truth, on renders: model/landmark_noise.npz.

    python tools/measure_landmark_noise.py [--scenes 800] [--seed 7] [--out FILE]

Scenes of `SceneSampler` (people, poses, cameras and every kind of touch) are rendered with a
forearm, bare or in a sleeve, shoulders, and random light, skin tone and background; the networks
look at the square that the true landmarks give, then twice at the one that their own landmarks
give, as in a stream. What is kept is described in
`ros2_dice.evaluation.network_noise`; the file is made from CC0 bodies and holds no picture.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from sample_scene import SHIRT, Mesh, arm, torso, vertex_normals

from ros2_dice.assets import find_asset
from ros2_dice.bodies import OpenBodies, load_open_bodies
from ros2_dice.evaluation.network_noise import (
    LEAST_SCORE,
    HandView,
    face_in_picture,
    face_view,
)
from ros2_dice.evaluation.synthetic import PEOPLE, Kind, Scene, SceneSampler
from ros2_dice.fitting.camera_rays import ray_rotation
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.networks import Networks, load_networks
from ros2_dice.landmarks.regions import face_from_landmarks, hand_from_landmarks
from ros2_dice.parameters import Settings
from ros2_dice.render.raster import interpolate, rasterize
from ros2_dice.types import FloatArray, Frame

KINDS: tuple[Kind, ...] = ('touch', 'hover', 'pass', 'apart')
SKIN = np.array((206.0, 158.0, 132.0))
COMPONENTS = 24
LOOKS = 2
FOREARM_M, WRIST_RAD = 0.26, 0.35
"""How far the elbow is, and how far wrists bend (one sigma, both axes)."""
ELBOW_OFF_M = 0.17
"""From the middle of the head to an arm, at least, where the hand's pose allows it."""
NEAR_M = 0.05
"""What is nearer than this, or behind the camera, is not drawn."""


def render(scene: Scene, bodies: OpenBodies, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the scene (H, W, 3) RGB in random light before a random background."""
    camera, hand = scene.camera, bodies.hand(scene.left)
    held = arm(hand, scene.hand_vertices_m.astype(float), elbow_m(scene, bodies, rng))
    body = torso(scene.head.translation_m, scene.head.rotation @ np.diag((1.0, -1.0, -1.0)))
    shirt, skin = rng.uniform(20, 220, 3), SKIN * rng.uniform(0.9, 1.1)
    sleeved = (held.colours == SHIRT).all(axis=1) & (rng.random() < 0.5)
    parts = (replace(held, colours=np.where(sleeved[:, None], shirt, skin)),
             Mesh(scene.head_vertices_m.astype(float), bodies.head.faces,
                  bodies.head.colours.astype(float), 0.0),
             replace(body, colours=np.tile(shirt, (len(body.vertices_m), 1))))
    vertices = np.concatenate([part.vertices_m for part in parts])
    colour = np.concatenate([part.colours for part in parts])
    first = np.cumsum([0, *(len(part.vertices_m) for part in parts)])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, first)])
    normals = np.concatenate([vertex_normals(part.vertices_m, part.faces) for part in parts])
    faces = faces[(vertices[faces][:, :, 2] > NEAR_M).all(axis=1)]
    tone = rng.uniform(0.45, 1.1) * np.array((1, rng.uniform(0.9, 1.05), rng.uniform(0.85, 1.05)))
    light = np.array((rng.normal(0.0, 0.7), rng.normal(-0.5, 0.4), -1.0))
    ambient = rng.uniform(0.35, 0.7)
    lit = np.clip(normals @ (light / np.linalg.norm(light)), 0.0, 1.0)
    colour = colour * tone * (ambient + (1.0 - ambient) * lit)[:, None]
    size = (camera.width_px, camera.height_px)
    fragments = rasterize(camera.project(vertices), vertices[:, 2], faces, *size)
    picture = cv2.resize(rng.uniform(20, 230, (6, 8, 3)).astype(np.float32), size,
                         interpolation=cv2.INTER_CUBIC).reshape(-1, 3)
    picture[fragments.pixel] = interpolate(fragments, faces, colour)
    picture = cv2.GaussianBlur(picture.reshape(size[1], size[0], 3), (0, 0), 0.7)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def elbow_m(scene: Scene, bodies: OpenBodies, rng: np.random.Generator) -> FloatArray:
    """Return the elbow (3,) [m]: on from the palm, if possible not through the head."""
    points = bodies.hand(scene.left).landmarks(scene.hand)
    along = points[0] - points[[5, 9, 13, 17]].mean(axis=0)
    along = along / np.linalg.norm(along) + rng.normal(0.0, WRIST_RAD, (8, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    ways = points[0] + along[:, None] * np.array((0.5, 1.0))[:, None] * FOREARM_M
    off_m = np.linalg.norm(ways - scene.head_vertices_m.mean(axis=0), axis=2).min(axis=1)
    return ways[int(np.argmax(np.minimum(off_m, ELBOW_OFF_M))), 1]


def look(networks: Networks, scene: Scene, bodies: OpenBodies, rng: np.random.Generator
         ) -> tuple[HandObservation, FaceObservation]:
    """Return what the networks see of the rendered scene."""
    frame = Frame(render(scene, bodies, rng))
    hand_px = scene.camera.project(bodies.hand(scene.left).landmarks(scene.hand))
    face_px = scene.camera.project(bodies.head.landmarks(scene.head))
    hand = networks.hand.observe(frame, hand_from_landmarks(hand_px, scene.left))
    face = networks.face.observe(frame, face_from_landmarks(face_px))
    for _ in range(LOOKS):
        if hand.score > LEAST_SCORE:
            hand = networks.hand.observe(frame, hand_from_landmarks(hand.points_px, scene.left))
        if face.score > LEAST_SCORE:
            face = networks.face.observe(frame, face_from_landmarks(face.points_px))
    return hand, face


def looks(scenes: int, seed: int, bodies: OpenBodies
          ) -> Iterator[tuple[Scene, HandObservation, FaceObservation]]:
    """Yield scenes of every kind in turn, and what the networks see of them rendered."""
    networks, sampler = load_networks(Settings()), SceneSampler(bodies, spread=PEOPLE)
    for number in range(scenes):
        rng = np.random.default_rng([seed, number])
        scene = sampler.sample(rng, KINDS[number % len(KINDS)])
        yield scene, *look(networks, scene, bodies, rng)
    networks.close()


def hand_error_m(scene: Scene, points_m: np.ndarray, hand: HandObservation, view: HandView
                 ) -> np.ndarray:
    """Return (21, 5): picture errors at the hand's depth, then metric ones [m]."""
    seen = scene.camera.project(points_m)
    picture = (hand.points_px - seen) @ view.turn.T * view.metres_per_px
    true = (points_m - points_m.mean(0)) @ ray_rotation(
        scene.camera, hand.points_px.mean(0)) * np.exp(-scene.hand.log_scale)
    metric = hand.world_m - hand.world_m.mean(0) - true
    return np.concatenate([picture, metric[:, :2] @ view.turn.T, metric[:, 2:]], 1)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description='Measure the landmark networks on renders.')
    parser.add_argument('--scenes', type=int, default=800)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--out', type=Path, default=Path('model/landmark_noise.npz'))
    options = parser.parse_args()
    bodies = load_open_bodies(find_asset('open_bodies'))
    hands, faces = [], []
    for scene, hand, face in looks(options.scenes, options.seed, bodies):
        if hand.score >= LEAST_SCORE:
            points = bodies.hand(scene.left).landmarks(scene.hand)
            view = HandView.of(scene, points)
            right = 1.0 - hand.right_probability if scene.left else hand.right_probability
            hands.append((view.alike, hand_error_m(scene, points, hand, view),
                          (hand.score, right)))
        if face.score >= LEAST_SCORE:
            points = bodies.head.landmarks(scene.head)
            seen, along, metres_per_px = face_in_picture(scene, points)
            depth = face.depth_px - face.depth_px.mean() - (along - along.mean()) / metres_per_px
            error = np.column_stack((face.points_px - seen, depth)) * metres_per_px
            faces.append((face_view(scene, points), error.ravel(), face.score))
    errors = np.array([error for _, error, _ in faces])
    mean = errors.mean(0)
    _, _, axes = np.linalg.svd(errors - mean, full_matrices=False)
    basis = axes[:COMPONENTS]
    weights = (errors - mean) @ basis.T
    rest = (errors - mean - weights @ basis).std(0).reshape(468, 3)
    small = np.float16
    np.savez_compressed(
        options.out, hand_view=np.array([view for view, _, _ in hands], small),
        hand_error=np.array([error for _, error, _ in hands], small),
        hand_score=np.array([score for _, _, score in hands], small),
        face_view=np.array([view for view, _, _ in faces], small),
        face_weights=weights.astype(small), face_basis=basis.astype(small),
        face_mean=mean.astype(small), face_rest=rest.astype(small),
        face_score=np.array([score for _, _, score in faces], small))
    print(f'{len(hands)} hands and {len(faces)} faces of {options.scenes} scenes')


if __name__ == '__main__':
    main()
