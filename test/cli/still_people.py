# SPDX-License-Identifier: Apache-2.0
"""A made-up estimator and people, for tests that need results and no network."""
from __future__ import annotations

import math

import numpy as np
from standins import StandIn, joints_at, pose_at

from ros2_dice.bodies import Part, Side, Topology, make_topology
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

CUBE_M = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32) * 0.1
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7],
                  [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])


def cube(part: Part, side: Side = Side.NONE) -> Topology:
    """Return a cube of 10 cm with a coarser level that leaves out vertex 0."""
    return make_topology('test', part, side, FACES, CUBE_M, np.zeros(8, np.uint8), ('all',), 'CC0',
                         coarser_faces=(FACES[2:4], FACES[2:3]))


FACE, LEFT, RIGHT = cube(Part.FACE), cube(Part.HAND, Side.LEFT), cube(Part.HAND, Side.RIGHT)


def body(topology: Topology, offset_m: tuple[float, float, float], touched: int | None = None,
         dent_m: float = 0.0) -> BodyEstimate:
    """Return a cube in front of the camera, one vertex of it touched and pushed in along z."""
    contact = np.zeros(8, np.float32)
    deformation_m = np.zeros((8, 3), np.float32)
    if touched is not None:
        contact[touched] = 0.9
        deformation_m[touched, 2] = dent_m
    vertices_m = CUBE_M + np.array(offset_m, np.float32)
    return BodyEstimate(topology.topology_id, vertices_m, 0.8, contact, deformation_m)


def person(person_id: str = 'a0000') -> tuple[HandFaceEstimate, ...]:
    """Return a face that two hands touch; of the second, much is unknown."""
    pose = pose_at(0.0, 0.0, 0.6)
    touch = RegionContact('index_pad', 'cheek_l', 0.9, np.array([0.0, 0.0, 0.6]),
                          np.array([0.0, 0.0, -1.0]), 1e-4, 0.002, -0.001, math.nan)
    joints = joints_at(0.0, 0.0, 0.0)
    return (
        HandFaceEstimate(
            person_id, 'h0000', Handedness.RIGHT, 0.97, State.MEASURED, ScaleSource.PRIOR, 0.02,
            Roi(1, 2, 30, 40), pose, pose, body(RIGHT, (0.05, 0, 0.5)),
            body(FACE, (-0.05, -0.05, 0.6), 1, 0.002), 0.9, -0.001, 0.003, 0.002, joints,
            (touch,)),
        HandFaceEstimate(
            person_id, 'h0001', Handedness.LEFT, 0.6, face_pose=pose,
            hand=body(LEFT, (-0.15, 0, 0.5)), face=body(FACE, (-0.05, -0.05, 0.6), 2, 0.001),
            max_deformation_m=0.001),
        HandFaceEstimate('b0001', face=body(FACE, (0.2, 0, 0.9))),
        HandFaceEstimate('c0002', 'h0002', hand=body(LEFT, (0.2, -0.2, 0.9))),
    )


class FakeEstimator(StandIn):
    """Finds the same people in every picture that isn't dark."""

    topologies = (LEFT, RIGHT, FACE)

    def look(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """Return everybody, or nobody in the dark."""
        return person() if frame.pixels.mean() > 10 else ()
