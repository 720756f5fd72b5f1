# SPDX-License-Identifier: Apache-2.0
"""Error measures for meshes and for yes-or-no answers."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.types import FloatArray


def align_similarity(points: FloatArray, target: FloatArray, *,
                     reflection: bool = False) -> npt.NDArray[np.float64]:
    """
    Return the points (N, 3) turned, moved and scaled so that they lie closest to the target.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 13(4), 1991.

    Args:
        reflection: also mirrored, if they lie closer so. DICE and Decaf don't allow it: the
            smallest singular direction changes its sign where the rotation would mirror.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    source_mean, target_mean = points.mean(0), target.mean(0)
    source, goal = points - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(goal.T @ source)
    signs = np.array([1.0, 1.0, 1.0 if reflection else np.sign(np.linalg.det(u @ vt))])
    rotation = (u * signs) @ vt
    scale = (singular * signs).sum() / max(float((source ** 2).sum()), 1e-30)
    return scale * source @ rotation.T + target_mean


def vertex_error_m(vertices_m: FloatArray, truth_m: FloatArray, *, aligned: bool,
                   reflection: bool = False) -> float:
    """
    Return the mean distance of matching points [m]: PVE of vertices, MPJPE of joints.

    Args:
        aligned: after a similarity alignment (PA-PVE, PA-MPJPE), which forgives pose and size.
        reflection: the alignment may mirror, see `align_similarity`.
    """
    found = align_similarity(vertices_m, truth_m, reflection=reflection) if aligned \
        else np.asarray(vertices_m)
    return float(np.linalg.norm(found - truth_m, axis=1).mean())


def centred_error_m(head_m: FloatArray, hand_m: FloatArray, true_head_m: FloatArray,
                    true_hand_m: FloatArray) -> float:
    """
    Return the mean distance of matching vertices of both meshes, the heads' centres put together.

    This is the published, starred PVE: both pairs are moved so that the mean of the head's
    vertices is the origin; the mean runs over all vertices of head and hand (decaf_spec.md,
    section 4), so that where the hand is against the head counts.
    """
    shift = np.mean(true_head_m, 0, dtype=np.float64) - np.mean(head_m, 0, dtype=np.float64)
    found = np.concatenate([head_m, hand_m]) + shift
    return vertex_error_m(found, np.concatenate([true_head_m, true_hand_m]), aligned=False)


@dataclass(frozen=True)
class Score:
    """Counts of a yes-or-no question."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    @classmethod
    def of(cls, said: Iterable[bool], truth: Iterable[bool]) -> Score:
        """Count answers against the truth."""
        a = np.array(list(said), bool)
        b = np.array(list(truth), bool)
        return cls(*(int(np.count_nonzero(x)) for x in (a & b, a & ~b, ~a & b, ~a & ~b)))

    def __add__(self, other: Score) -> Score:
        return Score(self.true_positive + other.true_positive,
                     self.false_positive + other.false_positive,
                     self.false_negative + other.false_negative,
                     self.true_negative + other.true_negative)

    @property
    def precision(self) -> float:
        """Share of the said that is true; NaN when nothing was said."""
        said = self.true_positive + self.false_positive
        return self.true_positive / said if said else float('nan')

    @property
    def recall(self) -> float:
        """Share of the true that was said; NaN when nothing is true."""
        true = self.true_positive + self.false_negative
        return self.true_positive / true if true else float('nan')

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN when nothing is true and nothing was said."""
        wrong = self.false_positive + self.false_negative
        total = 2 * self.true_positive + wrong
        return 2 * self.true_positive / total if total else float('nan')

    @property
    def false_alarm_rate(self) -> float:
        """Share of the untrue that was said; NaN when nothing is untrue."""
        untrue = self.false_positive + self.true_negative
        return self.false_positive / untrue if untrue else float('nan')

    @property
    def n(self) -> int:
        """Answers that were counted."""
        return (self.true_positive + self.false_positive + self.false_negative
                + self.true_negative)

    def as_json(self) -> dict[str, float | int | None]:
        """Return rates and counts; a rate that does not exist is None, since NaN is no JSON."""
        rates = {name: number(getattr(self, name))
                 for name in ('precision', 'recall', 'f1', 'false_alarm_rate')}
        return {**rates, 'n': self.n, **asdict(self)}


def number(value: float) -> float | None:
    """Return a figure as JSON has it: rounded, None where it does not exist."""
    return round(float(value), 6) if math.isfinite(value) else None


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; or NaN."""
    a, b = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    if not len(a) or not len(b):
        return float('nan')
    difference = a[:, None] - b[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
