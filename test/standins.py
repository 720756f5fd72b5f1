# SPDX-License-Identifier: Apache-2.0
"""What estimators that only pretend have in common, for tests that need no network."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from ros2_dice.bodies import Topology
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame, HandFaceEstimate, HandJoints, Pose


def pose_at(x_m: float, y_m: float, z_m: float) -> Pose:
    """Return a pose that is not turned."""
    return Pose(np.array([x_m, y_m, z_m]), np.array([0.0, 0.0, 0.0, 1.0]))


def joints_at(x_m: float, y_m: float, z_m: float, radius_m: float = 0.0,
              state: int = 0) -> HandJoints:
    """Return 26 joints in one place."""
    return HandJoints(np.tile([x_m, y_m, z_m], (26, 1)), np.tile([0.0, 0.0, 0.0, 1.0], (26, 1)),
                      np.full(26, radius_m), np.full(26, state, np.uint8))


class StandIn(ABC):
    """An estimator that notes what it is given; what it finds, a subclass says."""

    topologies: tuple[Topology, ...]

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.model_id = f'{self.settings.text("model.id")}/fake-fp32'
        self.stage_times_s: Mapping[str, float] = {'fit': 0.001}
        self.frames: list[Frame] = []
        self.resets = 0
        self.closed = False

    def estimate(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """Note the frame, and return who is in it."""
        self.frames.append(frame)
        return self.look(frame)

    @abstractmethod
    def look(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """Return who is in the picture."""

    def apply(self, settings: Settings) -> None:
        """Keep the settings."""
        self.settings = settings

    def reset(self) -> None:
        """Count."""
        self.resets += 1

    def close(self) -> None:
        """Remember."""
        self.closed = True
