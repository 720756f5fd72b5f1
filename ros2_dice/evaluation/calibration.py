# SPDX-License-Identifier: Apache-2.0
"""Does a probability mean frequency, and does an interval hold what it says."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import ndtri

from ros2_dice.evaluation.metrics import number
from ros2_dice.types import FloatArray

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers whose probability lies in one part of [0, 1]."""

    low: float
    high: float
    n: int
    mean_probability: float
    frequency: float
    """Share of the answers that are true."""


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram and what sums it up."""

    bins: tuple[Bin, ...]
    """Those that hold answers."""
    n: int
    cannot_tell: int
    """Answers without a probability (NaN); in no bin."""

    @property
    def expected_error(self) -> float:
        """Mean |frequency - probability| over the answers (ECE, Naeini et al. 2015); or NaN."""
        if not self.n:
            return float('nan')
        return sum(b.n * abs(b.frequency - b.mean_probability) for b in self.bins) / self.n

    def as_json(self) -> dict[str, object]:
        """Return the error and the bins."""
        return {'ece': number(self.expected_error), 'n': self.n, 'cannot_tell': self.cannot_tell,
                'bins': [{k: number(v) if isinstance(v, float) else v
                          for k, v in asdict(b).items()} for b in self.bins]}


def calibration(probabilities: Sequence[float] | FloatArray, truth: Sequence[bool],
                bins: int = BINS) -> Calibration:
    """
    Hold probabilities against what was true, in bins of equal width.

    Args:
        probabilities: (N,) in [0, 1], NaN = cannot tell.
        truth: (N,).
    """
    p, true = np.asarray(probabilities, np.float64), np.asarray(truth, bool)
    known = np.isfinite(p)
    p, true = p[known], true[known]
    index = np.minimum((p * bins).astype(int), bins - 1)
    found = tuple(Bin(k / bins, (k + 1) / bins, int(mine.sum()), float(p[mine].mean()),
                      float(true[mine].mean()))
                  for k in range(bins) if (mine := index == k).any())
    return Calibration(found, len(p), int((~known).sum()))


def interval_coverage(values: FloatArray, sigmas: FloatArray, truth: FloatArray,
                      share: float = 0.9) -> float:
    """
    Return how often the truth lies within the normal interval that should hold `share` of it.

    Rows with an unknown value or sigma are left out; NaN when none is left.
    """
    values, sigmas, truth = (np.asarray(v, np.float64) for v in (values, sigmas, truth))
    known = np.isfinite(values) & np.isfinite(sigmas) & np.isfinite(truth)
    if not known.any():
        return float('nan')
    width = float(ndtri(0.5 + 0.5 * share)) * sigmas[known]
    return float((np.abs(values[known] - truth[known]) <= width).mean())
