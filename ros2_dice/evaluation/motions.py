# SPDX-License-Identifier: Apache-2.0
"""Short motions with known truth: a hand comes, touches, slides, hovers or passes, and leaves."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ros2_dice.bodies import HandState, HeadState
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.evaluation.synthetic import Anatomy, Kind, Scene, SceneSampler
from ros2_dice.types import FloatArray

MotionKind = Literal['touch', 'slide', 'hover', 'pass']
MOTION_KINDS: tuple[MotionKind, ...] = ('touch', 'hover', 'slide', 'hover', 'touch', 'pass')
"""As the samples take turns."""
RATE_HZ = 30.0
MOVE_S, STAY_S, REST_S = (0.3, 0.8), (0.7, 1.6), (0.2, 0.6)
"""How long a hand comes (and goes), stays, and is away before and after."""
START_M = (0.08, 0.25)
"""How far it is away then."""
SWAY_M, SWAY_S = 0.004, 0.4
"""A hand that nothing holds sways so much (one sigma, each axis), so slowly."""
HEAD_SWAY_M, HEAD_SWAY_RAD, HEAD_SWAY_S = 0.006, 0.03, 0.8
"""A head is never still either; a touching hand goes with it."""
SLIDE_M = (0.01, 0.04)
CLEAR_M = 0.003
"""A hovering hand never comes nearer than this."""
_HOLD_M = 0.01
"""A hand on its way to a touch goes with the head from about here on."""
_KEY = 5
"""Every so many frames a sliding hand is put back onto the skin exactly."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Frames of one person and one hand."""

    kind: MotionKind
    scenes: tuple[Scene, ...]
    stamps_ns: tuple[int, ...]

    @property
    def truth(self) -> list[bool]:
        """Tell for each frame whether the hand touches."""
        return [scene.is_touch for scene in self.scenes]


class MotionSampler:
    """
    Draws motions; the same generator state gives the same motion.

    Args:
        sampler: of the moment in the middle.
    """

    def __init__(self, sampler: SceneSampler) -> None:
        self._sampler = sampler

    def sample(self, rng: np.random.Generator, kind: MotionKind, anatomy: Anatomy | None = None,
               *, gap_m: tuple[float, float] | None = None,
               depth_m: tuple[float, float] | None = None) -> Motion:
        """
        Draw a motion at 30 Hz.

        Args:
            rng: of the motion.
            kind: what the hand does when it has come.
            anatomy: None = of a new person.
            gap_m: range of the smallest signed distance while it stays [m].
            depth_m: range of the head's distance from the camera [m].
        """
        at: Kind = 'touch' if kind == 'slide' else kind
        still = self._sampler.sample(rng, at, anatomy, gap_m=gap_m, depth_m=depth_m)
        plan = _Plan.draw(rng, still)
        stamps_ns = tuple(round(n * 1e9 / RATE_HZ) for n in range(plan.frames))
        return Motion(kind, tuple(self._scenes(still, plan, kind, rng)), stamps_ns)

    def _scenes(self, still: Scene, plan: _Plan, kind: MotionKind, rng: np.random.Generator
                ) -> list[Scene]:
        """Return the frames' truth; `still` is the moment in the middle."""
        head_shift = _sway(rng, plan.frames, HEAD_SWAY_M, HEAD_SWAY_S)
        head_turn = _sway(rng, plan.frames, HEAD_SWAY_RAD, HEAD_SWAY_S)
        hand_shift = _sway(rng, plan.frames, SWAY_M, SWAY_S)
        away_m = plan.away_m()
        slide = np.zeros((plan.frames, 3))
        if kind == 'slide':
            slide = self._slide_path(still, plan, away_m, rng)
        scenes = []
        for n in range(plan.frames):
            turn = rotation_matrix(head_turn[n])
            head = replace(still.head, rotation=turn @ still.head.rotation,
                           translation_m=still.head.translation_m + head_shift[n])
            # What touches goes with the head; what is far away does not.
            bound = math.exp(-away_m[n] / _HOLD_M) if kind in ('touch', 'slide') else 0.0
            place = still.hand.translation_m + slide[n] + plan.outward * away_m[n]
            with_head = turn @ (place - still.head.translation_m) + head.translation_m
            hand = replace(
                still.hand, rotation=rotation_matrix(bound * head_turn[n]) @ still.hand.rotation,
                translation_m=bound * with_head + (1.0 - bound) * (place + hand_shift[n]))
            scenes.append(self._cleared(still, hand, head, plan, bound > 0.5))
        return scenes

    def _cleared(self, still: Scene, hand: HandState, head: HeadState, plan: _Plan,
                 touches: bool) -> Scene:
        """Return the scene; a hand that does not touch is moved out of the head."""
        scene = self._placed(still, hand, head)
        for _ in range(4):
            short_m = CLEAR_M - scene.gap_m
            if touches or short_m <= 0.0:
                break
            hand = hand.moved(plan.outward * (1.5 * short_m + 5e-4))
            scene = self._placed(still, hand, head)
        return scene

    def _placed(self, still: Scene, hand: HandState, head: HeadState) -> Scene:
        return self._sampler.scene(still.kind, still.camera, still.anatomy, still.left, hand, head)

    def _slide_path(self, still: Scene, plan: _Plan, away_m: list[float],
                    rng: np.random.Generator) -> FloatArray:
        """Return shifts (frames, 3) [m] along the skin and back while the hand stays."""
        self._sampler.surface.pose(still.head_vertices_m, still.head.rotation,
                                   still.head.translation_m)
        along = np.cross(plan.outward, rng.normal(0.0, 1.0, 3))
        along = along / np.linalg.norm(along) * rng.uniform(*SLIDE_M)
        vertices = still.hand_vertices_m.astype(float)
        stays = np.flatnonzero(np.asarray(away_m) <= 0.0)
        share = (stays - stays[0]) / max(len(stays) - 1, 1)
        keys = np.unique(np.append(np.arange(0, len(stays), _KEY), len(stays) - 1))
        shifts = np.array([self._sampler.slide(
            vertices, along * math.sin(math.pi * share[key]), plan.outward, still.gap_m)[0]
            for key in keys])
        frame = np.arange(plan.frames)
        return np.stack([np.interp(frame, stays[keys], shifts[:, axis]) for axis in range(3)], 1)


@dataclass(frozen=True, eq=False)
class _Plan:
    """When a hand comes and goes, and from where."""

    frames: int
    coming: tuple[float, float]
    """First and last moment of the approach [s]."""
    going: tuple[float, float]
    start_m: float
    outward: FloatArray
    """(3,) unit, from the face to where the hand comes from."""

    @classmethod
    def draw(cls, rng: np.random.Generator, still: Scene) -> _Plan:
        """Draw a motion around a still scene."""
        away = still.hand_vertices_m.mean(0) - still.head_vertices_m.mean(0)
        away = away / max(float(np.linalg.norm(away)), 1e-6) + rng.normal(0.0, 0.3, 3)
        nearest_m = float(still.hand_vertices_m[:, 2].min())
        # Hands come from below and from the front, but not through the camera.
        away = away + (0.0, 0.5, 0.0 if nearest_m < 0.35 else -0.3)
        rest, comes, stays, goes, after = (
            rng.uniform(*span) for span in (REST_S, MOVE_S, STAY_S, MOVE_S, REST_S))
        first, last = rest + comes, rest + comes + stays
        return cls(int((last + goes + after) * RATE_HZ), (rest, first), (last, last + goes),
                   min(rng.uniform(*START_M), max(nearest_m - 0.12, 0.02)),
                   away / np.linalg.norm(away))

    def away_m(self) -> list[float]:
        """Return how far the hand is from where it stays, frame by frame [m]."""
        found = []
        for n in range(self.frames):
            time = n / RATE_HZ
            comes = 1.0 - _eased((time - self.coming[0]) / (self.coming[1] - self.coming[0]))
            goes = _eased((time - self.going[0]) / (self.going[1] - self.going[0]))
            found.append(self.start_m * max(comes, goes))
        return found


def _eased(share: float) -> float:
    """Return the way of a reaching hand: least jerk (Flash and Hogan, 1985)."""
    s = min(max(share, 0.0), 1.0)
    return s * s * s * (10.0 - 15.0 * s + 6.0 * s * s)


def _sway(rng: np.random.Generator, frames: int, sigma: float, memory_s: float) -> FloatArray:
    """Return (frames, 3): noise through two low-passes, so that speeds do not jump."""
    keep = math.exp(-1.0 / (RATE_HZ * memory_s))
    found, value = np.zeros((frames, 3)), rng.normal(0.0, sigma, 3)
    drive = rng.normal(0.0, sigma, 3)
    gain = math.sqrt((1.0 + keep) / (1.0 - keep) * (1.0 + keep) ** 2 / (1.0 + keep * keep))
    for n in range(frames):
        drive = keep * drive + (1.0 - keep) * gain * rng.normal(0.0, sigma, 3)
        value = keep * value + (1.0 - keep) * drive
        found[n] = value
    return found
