# SPDX-License-Identifier: Apache-2.0
"""
Scenes with known truth: an open hand touching, hovering over, or away from an open head.

Hovering hands have the poses of touching ones, only the gap differs: this is the hard case. Hand
size against head size varies by 5 % (one sigma), as between people. `observe` makes the landmarks
that the networks would report, with noise in the picture and, for the metric hand points and the
face's depth, errors of size, tilt and scatter.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import HandState, HeadState, OpenBodies, OpenHand
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.contact.distance import HeadSurface, SkinTables, vertex_normals
from ros2_dice.fitting.camera_rays import ray_rotation
from ros2_dice.landmarks import FaceObservation, HandObservation, PersonObservation, TrackedHand
from ros2_dice.landmarks.regions import face_from_landmarks, hand_from_landmarks
from ros2_dice.types import Camera, FloatArray, Handedness

Kind = Literal['touch', 'hover', 'apart']
KINDS: tuple[Kind, ...] = ('touch', 'hover', 'apart')
GAPS_M = {'touch': (-0.004, 0.0), 'hover': (0.01, 0.05), 'apart': (0.08, 0.20)}
"""Smallest signed distance of hand and head [m]."""
CAMERA = Camera(640, 480, 700.0, 700.0, 320.0, 240.0)
_TOUCHING = ('pad', 'middle', 'base', 'palm')
_TOUCHED = ('forehead', 'brow', 'nose', 'cheek_left', 'cheek_right', 'lips', 'mouth_area', 'chin',
            'jaw_left', 'jaw_right')
_NEAR_M = 0.12
_TRIES = 60


@dataclass(frozen=True)
class Anatomy:
    """What stays the same of one person."""

    identity: FloatArray
    head_log_scale: float
    hand_shape: FloatArray
    hand_log_scale: float


@dataclass(frozen=True, eq=False)
class Scene:
    """One frame's truth."""

    kind: Kind
    camera: Camera
    anatomy: Anatomy
    left: bool
    hand: HandState
    head: HeadState
    hand_vertices_m: npt.NDArray[np.float32]
    head_vertices_m: npt.NDArray[np.float32]
    gap_m: float
    """Smallest signed distance, negative = overlap."""


class SceneSampler:
    """
    Draws scenes; the same generator state gives the same scene.

    Args:
        bodies: the open bodies.
        camera: with the picture that hands have to lie in.
    """

    def __init__(self, bodies: OpenBodies, camera: Camera = CAMERA) -> None:
        self.bodies, self.camera = bodies, camera
        head = bodies.head
        self._surface = HeadSurface(SkinTables(
            head.faces, head.is_skin, head.rest_vertices_m,
            head.regions == head.region_names.index('lips')))
        touched = [head.region_names.index(name) for name in _TOUCHED]
        self._touched = np.flatnonzero(head.is_skin & np.isin(head.regions, touched))
        hand = bodies.hand_right
        touching = [index for index, name in enumerate(hand.region_names)
                    if name.endswith(_TOUCHING)]
        self._touching = np.flatnonzero(np.isin(hand.regions, touching))

    def anatomy(self, rng: np.random.Generator) -> Anatomy:
        """Draw a person."""
        size = rng.normal(0.0, 0.04)
        return Anatomy(rng.normal(0.0, 0.7, self.bodies.head.identity_count), size,
                       rng.normal(0.0, 0.3, 10), size + rng.normal(0.0, 0.05))

    def sample(self, rng: np.random.Generator, kind: Kind,
               anatomy: Anatomy | None = None) -> Scene:
        """Draw a scene; `anatomy` None = of a new person."""
        while True:
            scene = self._try(rng, kind, anatomy or self.anatomy(rng))
            if scene is not None:
                return scene

    def _try(self, rng: np.random.Generator, kind: Kind, anatomy: Anatomy) -> Scene | None:
        head = self._head(rng, anatomy)
        skin = self.bodies.head.vertices(head)
        self._surface.pose(skin, head.rotation, head.translation_m)
        normals = self._surface.normals
        front = self._touched[normals[self._touched, 2] < -0.25]
        left = bool(rng.integers(2))
        body = self.bodies.hand(left)
        rest = HandState(np.eye(3), np.zeros(3), anatomy.hand_log_scale, _pose(rng, body),
                         anatomy.hand_shape)
        vertices = body.vertices(rest).astype(float)
        hand_normals = vertex_normals(vertices, body.faces)
        for _ in range(_TRIES):
            pad, spot = rng.choice(self._touching), rng.choice(front)
            outward = normals[spot]
            rotation = rotation_matrix(rng.normal(0.0, 0.2, 3)) @ rotation_matrix(
                outward * rng.uniform(-math.pi, math.pi)) @ _turn(hand_normals[pad], -outward)
            turned = vertices @ rotation.T
            if turned[pad, 1] > 0.02:
                continue  # forearms come from below: the wrist is not far above the place
            shift = skin[spot] - turned[pad]
            gap = rng.uniform(*GAPS_M[kind])
            shift, found = self._slide(turned, shift, outward, gap)
            if abs(found - gap) > 0.003:
                continue
            if kind == 'apart' and rng.random() < 0.5:
                shift = shift + (rng.choice((-0.1, 0.1)), 0.03, 0.0)
            hand = HandState(rotation, shift, anatomy.hand_log_scale, rest.angles_rad,
                             anatomy.hand_shape)
            placed = body.vertices(hand)
            if not self._in_picture(placed):
                continue
            gap = float(self._surface.distance(placed).signed_m.min())
            return Scene(kind, self.camera, anatomy, left, hand, head, placed, skin, gap)
        return None

    def _head(self, rng: np.random.Generator, anatomy: Anatomy) -> HeadState:
        head = self.bodies.head
        expression = np.zeros(head.expression_count)
        for index in rng.choice(head.expression_count, 4, replace=False):
            if not head.expression_names[index].startswith(('eyeLook', 'tongue')):
                expression[index] = rng.uniform(0.0, 0.7)
        yaw, pitch, roll = rng.normal(0.0, (0.35, 0.2, 0.15))
        rotation = (rotation_matrix(np.array((0.0, yaw, 0.0)))
                    @ rotation_matrix(np.array((pitch, 0.0, 0.0)))
                    @ rotation_matrix(np.array((0.0, 0.0, roll))) @ np.diag((1.0, -1.0, -1.0)))
        place = np.array((rng.normal(0.0, 0.04), rng.normal(0.0, 0.03), rng.uniform(0.45, 0.9)))
        return HeadState(rotation, place, anatomy.head_log_scale, anatomy.identity, expression)

    def _slide(self, vertices: FloatArray, shift: FloatArray, outward: FloatArray,
               gap_m: float) -> tuple[FloatArray, float]:
        """Return the shift along a direction at which the gap is as wanted, and the gap."""
        near = vertices[self._surface.reach(vertices + shift, _NEAR_M) < np.inf] + shift
        low, high, gap = -0.05, 0.30, math.inf
        middle = 0.0
        for _ in range(16):
            if not len(near):
                break
            middle = 0.5 * (low + high)
            gap = float(self._surface.distance(near + outward * middle).signed_m.min())
            low, high = (middle, high) if gap < gap_m else (low, middle)
        return shift + outward * middle, gap

    def _in_picture(self, vertices: FloatArray) -> bool:
        if vertices[:, 2].min() < 0.15:
            return False
        seen = self.camera.project(vertices)
        size = (self.camera.width_px, self.camera.height_px)
        return bool((seen > -60.0).all() and (seen < np.array(size) + 70.0).all())


def observe(scene: Scene, bodies: OpenBodies, rng: np.random.Generator,
            noise_px: float) -> PersonObservation:
    """
    Return what the landmark networks would report.

    Args:
        scene: the truth.
        bodies: those of the scene.
        rng: of the noise.
        noise_px: standard deviation of each picture coordinate [px].
    """
    hand = observe_hand(scene, bodies, rng, noise_px)
    face = observe_face(scene, bodies, rng, noise_px)
    side = Handedness.LEFT if scene.left else Handedness.RIGHT
    return PersonObservation('a0000', face, (TrackedHand('h0000', side, 0.9, hand, True),))


def observe_hand(scene: Scene, bodies: OpenBodies, rng: np.random.Generator,
                 noise_px: float) -> HandObservation:
    """Return the hand's landmarks: metric points with 5 % size, 4.6 deg tilt, 4 mm noise."""
    points = bodies.hand(scene.left).landmarks(scene.hand)
    seen = scene.camera.project(points) + rng.normal(0.0, noise_px, (21, 2))
    ray = ray_rotation(scene.camera, scene.camera.project(points).mean(axis=0))
    world = (points - points.mean(axis=0)) @ ray
    world = world * math.exp(rng.normal(0.0, 0.05) - scene.hand.log_scale)
    world = world @ rotation_matrix(rng.normal(0.0, 0.08, 3)).T + rng.normal(0.0, 0.004, (21, 3))
    depth_px = world[:, 2] * scene.camera.fx_px / points[0, 2]
    return HandObservation(
        seen.astype(np.float32), depth_px.astype(np.float32), world.astype(np.float32), 0.95,
        0.1 if scene.left else 0.9, hand_from_landmarks(seen))


def observe_face(scene: Scene, bodies: OpenBodies, rng: np.random.Generator,
                 noise_px: float) -> FaceObservation:
    """Return the face's landmarks: depth with 10 % size error and twice the picture's noise."""
    points = bodies.head.landmarks(scene.head)
    exact = scene.camera.project(points)
    common = rng.normal(0.0, 0.5 * noise_px, (1, 2))
    seen = exact + common + rng.normal(0.0, noise_px, exact.shape)
    along = points @ ray_rotation(scene.camera, exact.mean(axis=0))[:, 2]
    depth_px = scene.camera.fx_px * (along - along.mean()) / along.mean()
    depth_px = depth_px * math.exp(rng.normal(0.0, 0.1)) + rng.normal(0.0, 2 * noise_px, 468)
    return FaceObservation(seen.astype(np.float32), depth_px.astype(np.float32), 0.99,
                           face_from_landmarks(seen))


def _pose(rng: np.random.Generator, body: OpenHand) -> FloatArray:
    """Draw finger angles within the limits; in half of the hands some fingers are curled."""
    flexion = body.dof_axis == 0
    angles = body.angle_mean + rng.normal(0.0, 0.3, len(flexion)) * np.where(flexion, 1.0, 0.3)
    angles = np.clip(angles, body.angle_low, body.angle_high)
    if rng.random() < 0.5:
        for finger in range(1, 5):
            if rng.random() < 0.4:
                bent = flexion & ((body.dof_joint - 1) // 3 == finger)
                angles[bent] = rng.uniform(0.6, 1.3, int(bent.sum()))
    return angles


def _turn(source: FloatArray, target: FloatArray) -> FloatArray:
    """Return the smallest rotation (3, 3) of one unit vector onto another."""
    axis = np.cross(source, target)
    sine = float(np.linalg.norm(axis))
    return rotation_matrix(axis / max(sine, 1e-9) * math.atan2(sine, float(source @ target)))
