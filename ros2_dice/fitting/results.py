# SPDX-License-Identifier: Apache-2.0
"""What fitting hands on: bodies in their frame, with what is needed to doubt them."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import HandState, HeadState, OpenHand, OpenHead
from ros2_dice.fitting.hand import HandFit
from ros2_dice.fitting.head import HeadFit
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.fitting.scale import Ratio
from ros2_dice.types import Camera, Handedness, HandJoints, Pose, ScaleSource, State

if TYPE_CHECKING:
    from ros2_dice.landmarks import FaceObservation, HandObservation


@dataclass(frozen=True, eq=False)
class FittedHead:
    """One head in one frame."""

    body: OpenHead
    state: HeadState
    """Filtered, or predicted."""
    measured: State
    confidence: float
    fit: HeadFit | None
    """Of this frame, not filtered; None when predicted."""
    observation: FaceObservation | None
    """Of this frame; None when predicted."""
    identity_settled: bool = False

    @cached_property
    def vertices_m(self) -> npt.NDArray[np.float32]:
        """(V, 3) [m], optical frame."""
        return self.body.vertices(self.state)

    @cached_property
    def pose(self) -> Pose:
        """The face frame of REP-155."""
        return self.body.face_pose(self.state)


@dataclass(frozen=True, eq=False)
class FittedHand:
    """One hand in one frame."""

    hand_id: str
    handedness: Handedness
    """The person's own side."""
    handedness_confidence: float
    body: OpenHand
    """The side that it looks like in the picture; the other one in a mirror image."""
    state: HandState
    """Filtered, or predicted."""
    measured: State
    confidence: float
    fit: HandFit | None
    """Of this frame, not filtered; cost under `prior`. None when predicted."""
    observation: HandObservation | None
    """Of this frame; None when predicted."""
    prior: SizePrior
    """Of the size, as wide as people differ."""
    camera: Camera = field(repr=False)
    shape_settled: bool = False

    @cached_property
    def vertices_m(self) -> npt.NDArray[np.float32]:
        """(V, 3) [m], optical frame."""
        return self.body.vertices(self.state)

    @cached_property
    def joints(self) -> HandJoints:
        """The 26 OpenXR joints."""
        return self.body.joints(self.state)

    @property
    def wrist_pose(self) -> Pose:
        """The OpenXR wrist."""
        return self.body.wrist_pose(self.state)

    def with_state(self, state: HandState) -> FittedHand:
        """Return the same hand in another state; vertices, joints and wrist follow."""
        return replace(self, state=state)


@dataclass(frozen=True, eq=False)
class FittedPerson:
    """One person in one frame; a head, hands, or both."""

    person_id: str
    head: FittedHead | None
    hands: tuple[FittedHand, ...]
    """Sorted by hand_id."""
    ratio: Ratio
    """Hand against head size, as known beforehand."""
    scale_source: ScaleSource
    depth_stddev_m: float
    """One sigma [m] along z, common to head and hands."""
