# SPDX-License-Identifier: Apache-2.0
"""An estimator that finds what it is told to, for tests of everything around estimators."""
from __future__ import annotations

import threading
import time

import numpy as np
from standins import StandIn, joints_at, pose_at

from ros2_dice.bodies import Part, Side, Topology, make_topology
from ros2_dice.errors import AssetError, EstimatorError
from ros2_dice.parameters import Settings
from ros2_dice.types import (
    BodyEstimate,
    Frame,
    Handedness,
    HandFaceEstimate,
    RegionContact,
    Roi,
    ScaleSource,
    State,
)

REGIONS = ('first', 'second')


def strip(family: str, part: Part, side: Side, count: int, *, shared: bool = True) -> Topology:
    """A strip of triangles over `count` vertices, with two coarser levels."""
    first = np.arange(count - 2, dtype=np.uint32)
    faces = np.stack([first, first + 1, first + 2], axis=1)
    rest = np.random.default_rng(int(part)).normal(0.0, 0.05, (count, 3)).astype(np.float32)
    coarser = tuple(faces[::step] for step in (2, 4))
    return make_topology(family, part, side, faces, rest, np.arange(count) % 2, REGIONS, 'CC0-1.0',
                         may_be_shared=shared, coarser_faces=coarser)


HAND = strip('fake', Part.HAND, Side.RIGHT, 60)
FACE = strip('fake', Part.FACE, Side.NONE, 90)


def estimate_of(stamp_ns: int, *, touch: float = 0.9, person_id: str = 'aaaaa',
                hand_id: str = 'bbbbb') -> HandFaceEstimate:
    """One hand on one face; the vertices depend on the stamp."""
    offset = np.array([0.0, 0.0, 0.6 + (stamp_ns % 1000) * 1e-6], np.float32)
    contact = np.zeros(FACE.vertex_count, np.float32)
    contact[:10] = touch
    deformation = np.zeros((FACE.vertex_count, 3), np.float32)
    deformation[:10, 2] = 0.002 * touch
    region = RegionContact('index_tip', 'left_cheek', touch, np.array([0.01, 0.02, 0.6]),
                           np.array([0.0, 0.0, -1.0]), 1e-4, 0.002, -0.002, 0.004)
    joints = joints_at(0.1, 0.0, 0.6, radius_m=0.01, state=3)
    pose = pose_at(0.1, 0.0, 0.6)
    return HandFaceEstimate(
        person_id, hand_id, Handedness.RIGHT, 0.9, State.MEASURED, ScaleSource.PRIOR, 0.05,
        Roi(10, 20, 30, 40), pose, pose,
        BodyEstimate(HAND.topology_id, HAND.rest_vertices_m + offset, 0.8,
                     np.zeros(HAND.vertex_count, np.float32)),
        BodyEstimate(FACE.topology_id, FACE.rest_vertices_m + offset, 0.7, contact,
                     deformation if touch else None, has_deformation=True),
        touch, -0.002, 0.004, 0.002 * touch, joints, (region,))


class FakeEstimator(StandIn):
    """Finds one hand on one face in every picture, after a delay, unless told to fail."""

    topologies = (HAND, FACE)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.delay_s = 0.0
        self.error: Exception | None = None
        self.nobody = False
        self.gate = threading.Event()
        self.gate.set()

    def estimate(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """Wait until it may look."""
        self.gate.wait(20)
        time.sleep(self.delay_s)
        return super().estimate(frame)

    def look(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """Return the one estimate."""
        if self.error is not None:
            raise self.error
        return () if self.nobody else (estimate_of(frame.stamp_ns),)


class Factory:
    """Makes fake estimators and remembers them; refuses the ids that it is told to."""

    def __init__(self) -> None:
        self.made: list[FakeEstimator] = []
        self.gate = threading.Event()
        self.gate.set()
        self.asset_error: AssetError | None = None

    @property
    def newest(self) -> FakeEstimator:
        """The estimator that was made last."""
        return self.made[-1]

    def __call__(self, settings: Settings) -> FakeEstimator:
        self.gate.wait(20)
        if self.asset_error is not None:
            raise self.asset_error
        if settings.text('model.id') not in ('open', 'other'):
            raise EstimatorError('parameter model.id', got=settings.text('model.id'),
                                 expected='open or other')
        self.made.append(FakeEstimator(settings))
        return self.made[-1]
