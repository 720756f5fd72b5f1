# SPDX-License-Identifier: Apache-2.0
"""Errors and plausibility of meshes, frame after frame, against truth."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.evaluation.metrics import centred_error_m, number, vertex_error_m
from ros2_dice.evaluation.plausibility import TOLERANCE_M, FramePlausibility, Plausibility
from ros2_dice.evaluation.signed_distance import signed_distances_m
from ros2_dice.types import FloatArray


@dataclass(frozen=True, eq=False)
class FrameMeshes:
    """One frame's geometry, all in one frame of coordinates; None or NaN = not there."""

    head_m: FloatArray | None = None
    """(V, 3) [m], deformed."""
    hand_m: FloatArray | None = None
    """(W, 3) [m]."""
    head_faces: npt.NDArray[np.integer] | None = None
    """(T, 3) counter-clockwise seen from outside."""
    joints_m: FloatArray | None = None
    """(J, 3) [m]."""

    def plausibility(self) -> FramePlausibility | None:
        """Judge the hand against the head, if both are there."""
        head, hand = _known(self.head_m), _known(self.hand_m)
        if head is None or hand is None or self.head_faces is None:
            return None
        return FramePlausibility.of(
            signed_distances_m(hand, head, self.head_faces, within_m=2 * TOLERANCE_M))


class MeshSums:
    """Adds up frames."""

    def __init__(self) -> None:
        self._errors_m: dict[str, list[float]] = {name: [] for name in (
            'pve_mm', 'pve_centred_mm', 'mpjpe_mm', 'pa_mpjpe_mm', 'pa_mpjpe_mirrored_mm')}
        self._frames: list[FramePlausibility] = []
        self._touches: list[bool] = []

    def add(self, found: FrameMeshes, truth: FrameMeshes, touches: bool | None) -> None:
        """
        Add a frame.

        Errors of vertices need as many vertices as the truth has; plausibility needs none of the
        truth but whether it touches: by the published rule where it has meshes, else as given.

        Args:
            found: of the system.
            truth: of the same frame.
            touches: what labels say; None = nothing.
        """
        head, hand = _pair(found.head_m, truth.head_m), _pair(found.hand_m, truth.hand_m)
        if head and hand:
            both = np.concatenate([head[0], hand[0]])
            true = np.concatenate([head[1], hand[1]])
            self._put('pve_mm', vertex_error_m(both, true, aligned=False))
            self._put('pve_centred_mm', centred_error_m(head[0], hand[0], head[1], hand[1]))
        joints = _pair(found.joints_m, truth.joints_m)
        if joints:
            self._put('mpjpe_mm', vertex_error_m(*joints, aligned=False))
            self._put('pa_mpjpe_mm', vertex_error_m(*joints, aligned=True))
            self._put('pa_mpjpe_mirrored_mm', vertex_error_m(*joints, aligned=True,
                                                             reflection=True))
        judged = found.plausibility()
        if judged is None:
            return
        true_judged = truth.plausibility()
        answer = touches if true_judged is None else true_judged.touches
        if answer is not None:
            self._frames.append(judged)
            self._touches.append(answer)

    def errors(self) -> dict[str, float | None]:
        """Return mean PVE, PVE*, MPJPE and PA-MPJPE [mm]; None where there are none."""
        return {name: number(1e3 * float(np.mean(values))) if values else None
                for name, values in self._errors_m.items()}

    def plausibility(self) -> dict[str, float | int | None] | None:
        """Return the published ratios, or None without any frame."""
        return Plausibility.of(self._frames, self._touches).as_json() if self._frames else None

    def _put(self, name: str, error_m: float) -> None:
        self._errors_m[name].append(error_m)


def _known(points: FloatArray | None) -> FloatArray | None:
    return None if points is None or not np.isfinite(points).all() else points


def _pair(found: FloatArray | None, truth: FloatArray | None
          ) -> tuple[FloatArray, FloatArray] | None:
    own, true = _known(found), _known(truth)
    if own is None or true is None or own.shape != true.shape:
        return None
    return own, true
