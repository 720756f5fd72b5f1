# SPDX-License-Identifier: Apache-2.0
"""
Scenes with known truth: an open hand touching, hovering over, passing or away from an open head.

Hovering hands have the poses of touching ones, only the gap differs: this is the hard case. Hand
size against head size varies by 5 % (one sigma), as between people. `observe` makes landmarks with
plain noise of a given size in the picture and, for the metric hand points and the face's depth,
errors of size, tilt and scatter; `network_noise` has the errors that the networks really make.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import HandState, HeadState, OpenBodies, OpenHand
from ros2_dice.bodies.rotation import rotation_between, rotation_matrix
from ros2_dice.contact.distance import HeadSurface, SkinTables, vertex_normals
from ros2_dice.fitting.camera_rays import ray_rotation
from ros2_dice.landmarks import FaceObservation, HandObservation, PersonObservation, TrackedHand
from ros2_dice.landmarks.regions import face_from_landmarks, hand_from_landmarks
from ros2_dice.types import Camera, FloatArray, Handedness

Kind = Literal['touch', 'hover', 'pass', 'apart']
KINDS: tuple[Kind, ...] = ('touch', 'hover', 'apart')
CAMERA = Camera(640, 480, 700.0, 700.0, 320.0, 240.0)
TOUCH_GAP_M = 0.001
"""Hand and skin closer than this touch."""
_NEAR_M = 0.12
_TRIES = 60
_APART_M = 0.05
_CROP = 0.4
"""How far the middle of the lens is from that of a cropped picture, in widths and heights."""
_SLIDES, _SLIDE_M = 12, 2e-4
_PASS_M = (0.08, 0.35)
"""How far before the face a passing hand is."""
_NEAREST_M = 0.12
"""To the camera."""


@dataclass(frozen=True)
class Spread:
    """What scenes are drawn from."""

    gaps_m: Mapping[str, tuple[float, float]]
    """By kind: smallest signed distance of hand and head [m], negative = indentation."""
    depth_m: tuple[float, float]
    """From the camera to the head [m]."""
    touched: Mapping[str, float]
    """How often each face region is meant, against the others."""
    touching: Mapping[str, float]
    """Likewise hand regions, by the ends of their names."""
    fov_rad: tuple[float, float] | None = None
    """Of the camera along the picture's longer side; None = one camera for all scenes."""
    cut_px: float = 60.0
    """So far may a hand reach out of the picture."""
    head_turn_rad: tuple[float, float, float] = (0.35, 0.2, 0.15)
    """Spread of yaw, pitch and roll."""
    cropped: float = 0.0
    """Share of pictures that are cut out of a larger one, often through the face."""


_FACE = ('forehead', 'brow', 'nose', 'cheek_left', 'cheek_right', 'lips', 'mouth_area', 'chin',
         'jaw_left', 'jaw_right')
BENCH = Spread(
    {'touch': (-0.004, 0.0), 'hover': (0.01, 0.05), 'apart': (0.08, 0.20)}, (0.45, 0.9),
    dict.fromkeys(_FACE, 1.0), {'pad': 1.0, 'middle': 1.0, 'base': 1.0, 'palm': 1.0})
"""The scenes that the prototype was scored on."""
PEOPLE = Spread(
    {'touch': (-0.004, 0.0), 'hover': (0.005, 0.08), 'pass': (0.01, 0.05), 'apart': (0.08, 0.20)},
    (0.25, 1.5),
    {**dict.fromkeys(_FACE, 1.0), 'eye_left': 0.5, 'eye_right': 0.5, 'ear_left': 0.5,
     'ear_right': 0.5, 'neck': 0.3, 'scalp': 0.5},
    {'pad': 5.0, 'middle': 1.5, 'base': 1.0, 'palm': 1.5, 'back': 0.5, 'nail_side': 0.5},
    (math.radians(40.0), math.radians(90.0)), 120.0, (0.45, 0.25, 0.2), 0.35)
"""Every kind of touch, and cameras from a phone at arm's length to one across a table."""
_PICTURES_PX = ((640, 480), (1280, 720), (480, 640))


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
    hand_region: str = ''
    """Of the hand's vertex that is nearest to the head."""
    face_region: str = ''
    """Of the skin there."""

    @property
    def is_touch(self) -> bool:
        """Tell whether the hand touches the head."""
        return self.gap_m <= TOUCH_GAP_M

    @property
    def log_ratio(self) -> float:
        """Natural logarithm of the hand's size against the head's, 0 = mean anatomy."""
        return self.hand.log_scale - self.head.log_scale


class SceneSampler:
    """
    Draws scenes; the same generator state gives the same scene.

    Args:
        bodies: the open bodies.
        camera: with the picture that hands have to lie in, where the spread has no lens.
        spread: what is drawn from.
    """

    def __init__(self, bodies: OpenBodies, camera: Camera = CAMERA, spread: Spread = BENCH
                 ) -> None:
        self.bodies, self.camera, self.spread = bodies, camera, spread
        head = bodies.head
        self.surface = HeadSurface(SkinTables(
            head.faces, head.is_skin, head.rest_vertices_m,
            head.regions == head.region_names.index('lips')))
        """Of the last scene's head."""
        self._touched = _grouped(head.regions, head.region_names, spread.touched, head.is_skin)
        hand = bodies.hand_right
        self._touching = _grouped(hand.regions, hand.region_names, spread.touching)

    def anatomy(self, rng: np.random.Generator) -> Anatomy:
        """Draw a person."""
        size = rng.normal(0.0, 0.04)
        return Anatomy(rng.normal(0.0, 0.7, self.bodies.head.identity_count), size,
                       rng.normal(0.0, 0.3, 10), size + rng.normal(0.0, 0.05))

    def sample(self, rng: np.random.Generator, kind: Kind, anatomy: Anatomy | None = None, *,
               gap_m: tuple[float, float] | None = None,
               depth_m: tuple[float, float] | None = None) -> Scene:
        """
        Draw a scene.

        Args:
            rng: of the scene.
            kind: of the scene.
            anatomy: None = of a new person.
            gap_m: range of the smallest signed distance [m], instead of the spread's.
            depth_m: range of the head's distance [m], likewise.
        """
        while True:
            scene = self._try(rng, kind, anatomy or self.anatomy(rng),
                              gap_m or self.spread.gaps_m[kind], depth_m or self.spread.depth_m)
            if scene is not None:
                return scene

    def _try(self, rng: np.random.Generator, kind: Kind, anatomy: Anatomy,
             gaps_m: tuple[float, float], depths_m: tuple[float, float]) -> Scene | None:
        camera = self._camera(rng)
        head = self._head(rng, anatomy, depths_m)
        skin = self.bodies.head.vertices(head)
        self.surface.pose(skin, head.rotation, head.translation_m)
        normals = self.surface.normals
        # "Front" is what faces the camera from here, not what faces along its axis.
        rays = skin / np.linalg.norm(skin, axis=1, keepdims=True)
        facing = (normals * rays).sum(1) < -0.25
        left = bool(rng.integers(2))
        body = self.bodies.hand(left)
        rest = HandState(np.eye(3), np.zeros(3), anatomy.hand_log_scale, _pose(rng, body),
                         anatomy.hand_shape)
        vertices = body.vertices(rest).astype(float)
        hand_normals = vertex_normals(vertices, body.faces)
        for _ in range(_TRIES):
            pad, spot = _drawn(rng, self._touching), _drawn(rng, self._touched, facing)
            outward = normals[spot]
            rotation = rotation_matrix(rng.normal(0.0, 0.2, 3)) @ rotation_matrix(
                outward * rng.uniform(-math.pi, math.pi)) @ rotation_between(
                    hand_normals[pad], -outward)
            turned = vertices @ rotation.T
            if turned[pad, 1] > 0.02:
                continue  # forearms come from below: the wrist is not far above the place
            gap = rng.uniform(*gaps_m)
            shift = skin[spot] - turned[pad]
            if kind != 'pass' and not self._in_picture(turned + shift, camera):
                continue  # before the dear part
            shift, found = self.slide(turned, shift, outward, gap)
            if abs(found - gap) > 0.003:
                continue
            if kind == 'apart' and rng.random() < 0.5:
                shift = shift + (rng.choice((-0.1, 0.1)), 0.03, 0.0)
            if kind == 'pass':
                shift = _towards_camera(rng, turned, shift)
            hand = HandState(rotation, shift, anatomy.hand_log_scale, rest.angles_rad,
                             anatomy.hand_shape)
            if not self._in_picture(body.vertices(hand), camera):
                continue
            scene = self.scene(kind, camera, anatomy, left, hand, head)
            if kind in ('touch', 'hover') or scene.gap_m > _APART_M:
                return scene
        return None

    def scene(self, kind: Kind, camera: Camera, anatomy: Anatomy, left: bool, hand: HandState,
              head: HeadState) -> Scene:
        """Return the scene of two posed bodies, with the distance between them."""
        body = self.bodies.hand(left)
        placed, skin = body.vertices(hand), self.bodies.head.vertices(head)
        self.surface.pose(skin, head.rotation, head.translation_m)
        distance = self.surface.distance(placed)
        nearest = int(distance.signed_m.argmin())
        return Scene(
            kind, camera, anatomy, left, hand, head, placed, skin,
            float(distance.signed_m[nearest]), body.region_names[body.regions[nearest]],
            self.bodies.head.region_names[self.bodies.head.regions[distance.vertex[nearest]]])

    def _camera(self, rng: np.random.Generator) -> Camera:
        if self.spread.fov_rad is None:
            return self.camera
        width, height = _PICTURES_PX[rng.integers(len(_PICTURES_PX))]
        lens = Camera.from_fov(width, height, rng.uniform(*self.spread.fov_rad))
        shift = np.zeros(2)
        if rng.random() < self.spread.cropped:
            shift = rng.uniform(-_CROP, _CROP, 2) * (width, height)
        return replace(lens, cx_px=lens.cx_px + shift[0], cy_px=lens.cy_px + shift[1],
                       calibrated=True)

    def _head(self, rng: np.random.Generator, anatomy: Anatomy, depths_m: tuple[float, float]
              ) -> HeadState:
        head = self.bodies.head
        expression = np.zeros(head.expression_count)
        for index in rng.choice(head.expression_count, 4, replace=False):
            if not head.expression_names[index].startswith(('eyeLook', 'tongue')):
                expression[index] = rng.uniform(0.0, 0.7)
        yaw, pitch, roll = rng.normal(0.0, self.spread.head_turn_rad)
        rotation = (rotation_matrix(np.array((0.0, yaw, 0.0)))
                    @ rotation_matrix(np.array((pitch, 0.0, 0.0)))
                    @ rotation_matrix(np.array((0.0, 0.0, roll))) @ np.diag((1.0, -1.0, -1.0)))
        depth = rng.uniform(*depths_m)
        place = np.array((rng.normal(0.0, 0.06), rng.normal(0.0, 0.045), 1.0)) * depth
        return HeadState(rotation, place, anatomy.head_log_scale, anatomy.identity, expression)

    def slide(self, vertices: FloatArray, shift: FloatArray, outward: FloatArray,
              gap_m: float) -> tuple[FloatArray, float]:
        """Return the shift along a direction at which the gap is as wanted, and the gap."""
        near = vertices[self.surface.reach(vertices + shift, _NEAR_M) < np.inf] + shift
        way, gap = 0.0, math.inf
        for _ in range(_SLIDES):
            if not len(near):
                break
            signed = self.surface.distance(near + outward * way).signed_m
            gap = float(signed.min())
            if abs(gap - gap_m) < _SLIDE_M:
                break
            near = near[signed < gap + 2.0 * abs(gap - gap_m) + 0.02]
            way += gap_m - gap  # distances change no faster than the way: never too far
        return shift + outward * way, gap

    def _in_picture(self, vertices: FloatArray, camera: Camera) -> bool:
        if vertices[:, 2].min() < _NEAREST_M:
            return False
        seen, cut = camera.project(vertices), self.spread.cut_px
        size = np.array((camera.width_px, camera.height_px))
        return bool((seen > -cut).all() and (seen < size + cut).all())


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


def _towards_camera(rng: np.random.Generator, vertices: FloatArray, shift: FloatArray
                    ) -> FloatArray:
    """Return the shift of a hand that passes before the face on its way to the camera."""
    center = vertices.mean(0) + shift
    distance = float(np.linalg.norm(center))
    nearer = min(rng.uniform(*_PASS_M), max(0.5 * distance, distance - 2.0 * _NEAREST_M))
    return shift - center / distance * nearer


def _grouped(regions: npt.NDArray[np.integer], names: tuple[str, ...],
             weights: Mapping[str, float], allowed: npt.NDArray[np.bool_] | None = None
             ) -> list[tuple[float, npt.NDArray[np.int64]]]:
    """Return the weight and the vertices of each region that a key of `weights` ends."""
    found = []
    for index, name in enumerate(names):
        weight = max((w for end, w in weights.items() if name.endswith(end)), default=0.0)
        chosen = (regions == index) if allowed is None else (regions == index) & allowed
        if weight and chosen.any():
            found.append((weight, np.flatnonzero(chosen)))
    return found


def _drawn(rng: np.random.Generator, groups: list[tuple[float, npt.NDArray[np.int64]]],
           allowed: npt.NDArray[np.bool_] | None = None) -> int:
    """Draw a region by its weight, then a vertex of it that is allowed."""
    if allowed is not None:
        groups = [(weight, vertex[allowed[vertex]]) for weight, vertex in groups]
        groups = [(weight, vertex) for weight, vertex in groups if len(vertex)]
    weights = np.array([weight for weight, _ in groups])
    return int(rng.choice(groups[rng.choice(len(groups), p=weights / weights.sum())][1]))
