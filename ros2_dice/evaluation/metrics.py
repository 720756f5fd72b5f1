# SPDX-License-Identifier: Apache-2.0
"""Error measures for meshes and for yes-or-no answers."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.types import FloatArray


def align_similarity(points: FloatArray, target: FloatArray) -> npt.NDArray[np.float64]:
    """
    Return the points (N, 3) turned, moved and scaled so that they lie closest to the target.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 13(4), 1991; reflections are not allowed.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    source_mean, target_mean = points.mean(0), target.mean(0)
    source, goal = points - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(goal.T @ source)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * signs) @ vt
    scale = (singular * signs).sum() / max(float((source ** 2).sum()), 1e-30)
    return scale * source @ rotation.T + target_mean


def vertex_error_m(vertices_m: FloatArray, truth_m: FloatArray, *, aligned: bool) -> float:
    """
    Return the mean distance of matching vertices [m].

    Args:
        aligned: after a similarity alignment (PA-PVE), which forgives pose and size.
    """
    found = align_similarity(vertices_m, truth_m) if aligned else np.asarray(vertices_m)
    return float(np.linalg.norm(found - truth_m, axis=1).mean())


def rms_motion_m(track_m: FloatArray) -> float:
    """Return how far vertices (frames, V, 3) stray from their own mean: RMS over all [m]."""
    track = np.asarray(track_m, np.float64)
    stray = track - track.mean(0)
    return float(np.sqrt((stray ** 2).sum(2).mean()))


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


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; or NaN."""
    a, b = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    if not len(a) or not len(b):
        return float('nan')
    difference = a[:, None] - b[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def lag_s(times_s: FloatArray, track: FloatArray, truth: FloatArray,
          longest_s: float = 0.2) -> float:
    """
    Return the delay [s] at which a delayed truth matches a track best.

    The truth (frames, D) is shifted in time by linear interpolation; frames whose shifted time
    lies before the first are left out.

    Args:
        times_s: (frames,) rising.
        track, truth: (frames, D).
        longest_s: largest delay that is tried; the step is 0.5 ms.
    """
    delays_s = np.arange(0.0, longest_s, 0.0005)
    use = times_s >= times_s[0] + longest_s
    errors = []
    for delay_s in delays_s:
        shifted = np.stack([np.interp(times_s[use] - delay_s, times_s, column)
                            for column in np.asarray(truth).T], 1)
        errors.append(((np.asarray(track)[use] - shifted) ** 2).sum())
    return float(delays_s[int(np.argmin(errors))])
