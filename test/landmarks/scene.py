# SPDX-License-Identifier: Apache-2.0
"""A scene of known faces and hands, and networks that see it: no pixels, no files."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.networks import Networks
from ros2_dice.landmarks.regions import distance_over_size
from ros2_dice.landmarks.ssd import Detection
from ros2_dice.types import Frame

_RNG = np.random.default_rng(5)
FACE = _RNG.uniform(-0.5, 0.5, (468, 2))
FACE[33], FACE[263] = (-0.3, -0.1), (0.3, -0.1)
FACE[[0, 1]] = (-0.5, -0.5), (0.5, 0.5)
HAND = np.array([
    (0, .5), (-.2, .4), (-.35, .25), (-.45, .1), (-.5, 0), (-.2, 0), (-.22, -.2), (-.24, -.35),
    (-.25, -.5), (0, -.05), (0, -.25), (0, -.4), (0, -.55), (.15, 0), (.17, -.2), (.18, -.35),
    (.2, -.5), (.3, .08), (.33, -.05), (.36, -.18), (.38, -.3)])
HAND_LENGTH_M = 0.19
"""Of a hand from wrist to fingertips; a face of the same size in pixels is as far away then."""


@dataclass
class Thing:
    """A face or hand: centre and size in pixels."""

    x: float
    y: float
    size: float
    right: float = 0.95
    score: float = 0.99
    found: bool = True
    """False = detectors pass it over; tracks still see it."""
    detected: float = 0.9
    """Score of the detectors."""


@dataclass
class Scene:
    """What there is to see now, and how often the networks looked."""

    faces: list[Thing] = field(default_factory=list)
    hands: list[Thing] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        """Count a call."""
        self.calls[name] = self.calls.get(name, 0) + 1

    def networks(self) -> Networks:
        """Return networks that see this scene."""
        return Networks(
            cast(Any, FakeDetector(self, 'near', self.face_detection, lambda: self.faces)),
            cast(Any, FakeDetector(self, 'far', self.face_detection, list)),
            cast(Any, FakeDetector(self, 'palm', self.palm_detection, lambda: self.hands)),
            cast(Any, FakeBodies(self)), cast(Any, FakeFace(self)), cast(Any, FakeHand(self)),
            'fake', 'fp32')

    @staticmethod
    def face_detection(thing: Thing) -> Detection:
        """Return a box with the eyes at the right places."""
        half = 0.5 * thing.size
        box = np.array([thing.x - half, thing.y - half, thing.x + half, thing.y + half])
        points = np.array([[-.3, -.1], [.3, -.1], [0, 0], [0, .2], [-.5, 0], [.5, 0]])
        return Detection(thing.detected, box, points * thing.size + (thing.x, thing.y))

    @staticmethod
    def palm_detection(thing: Thing) -> Detection:
        """Return a palm whose square lies on the hand."""
        half = 0.3 * thing.size
        y = thing.y + 0.2 * thing.size
        box = np.array([thing.x - half, y - half, thing.x + half, y + half])
        return Detection(thing.detected, box,
                         HAND[[0, 5, 9, 13, 17, 1, 2]] * thing.size + (thing.x, thing.y))


def nearest(things: list[Thing], region: Region) -> Thing | None:
    """Return the thing that a region shows."""
    seen = [thing for thing in things if distance_over_size(
        region, Region(thing.x, thing.y, thing.size, 0.0)) < 0.4
        and 0.5 < region.size_px / thing.size < 6.0]
    return min(seen, key=lambda thing: math.hypot(thing.x - region.cx_px, thing.y - region.cy_px),
               default=None)


class Fake:
    """Counts and closes."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def close(self) -> None:
        """Count the end."""
        self.scene.count('close')


class FakeDetector(Fake):
    """Finds what lies in the region."""

    def __init__(self, scene: Scene, name: str, make: Any, things: Any) -> None:
        super().__init__(scene)
        self.name, self.make, self.things = name, make, things

    def detect(self, frame: Frame, region: Region, threshold: float) -> list[Detection]:
        """Return the things whose centre lies in the region."""
        self.scene.count(self.name)
        half = 0.5 * region.size_px
        return [self.make(thing) for thing in self.things() if thing.found
                and abs(thing.x - region.cx_px) < half and abs(thing.y - region.cy_px) < half]


class FakeBodies(Fake):
    """Sees no bodies."""

    def hand_squares(self, frame: Frame, region: Region, most: int) -> list[Region]:
        """Return nothing."""
        self.scene.count('body')
        return []


class FakeFace(Fake):
    """Sees the nearest face."""

    def observe(self, frame: Frame, region: Region, *, doubt: bool = False) -> FaceObservation:
        """Return its landmarks, or nonsense with a low score."""
        self.scene.count('face')
        thing = nearest(self.scene.faces, region)
        if thing is None:
            points = FACE * region.size_px / 1.5 + (region.cx_px, region.cy_px)
            return FaceObservation(points.astype(np.float32), np.zeros(468, np.float32), 0.0,
                                   region)
        points = FACE * (-1 if region.mirrored else 1, 1) * thing.size + (thing.x, thing.y)
        return FaceObservation(points.astype(np.float32), np.zeros(468, np.float32), thing.score,
                               region)


class FakeHand(Fake):
    """Sees the nearest hand."""

    def observe(self, frame: Frame, region: Region) -> HandObservation:
        """Return its landmarks, or nonsense with a low score."""
        self.scene.count('hand')
        thing = nearest(self.scene.hands, region)
        x, y, size, score, right = (thing.x, thing.y, thing.size, thing.score, thing.right) \
            if thing else (region.cx_px, region.cy_px, region.size_px / 2, 0.0, 0.5)
        side = 1.0 if right >= 0.5 else -1.0
        flat = HAND * (side, 1)
        points = flat * size + (x, y)
        world = HAND_LENGTH_M * np.pad(flat, ((0, 0), (0, 1)))
        return HandObservation(points.astype(np.float32), np.zeros(21, np.float32),
                               world.astype(np.float32), score, right, region)
