# SPDX-License-Identifier: Apache-2.0
"""Touches over time: when they begin and end, against when they should."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ros2_dice.evaluation.metrics import number


@dataclass(frozen=True)
class EventScore:
    """Delays of touches that were found, and how many were not, or were invented."""

    enter_s: tuple[float, ...]
    """Begin that is said, less the true one; negative = too early."""
    leave_s: tuple[float, ...]
    """End that is said, less the true one."""
    missed: int
    """True touches in which none was said."""
    invented: int
    """Touches that were said while there was none."""

    def __add__(self, other: EventScore) -> EventScore:
        return EventScore(self.enter_s + other.enter_s, self.leave_s + other.leave_s,
                          self.missed + other.missed, self.invented + other.invented)

    def as_json(self) -> dict[str, float | int | None]:
        """Return median and 90th percentile of the delays [ms], and the counts."""
        found: dict[str, float | int | None] = {}
        for name, delays_s in (('enter', self.enter_s), ('leave', self.leave_s)):
            for what, rank in (('median', 50), ('p90', 90)):
                value = 1e3 * float(np.percentile(delays_s, rank)) if delays_s else float('nan')
                found[f'{name}_{what}_ms'] = number(value)
            found[f'{name}_n'] = len(delays_s)
        return {**found, 'missed': self.missed, 'invented': self.invented}


NO_EVENTS = EventScore((), (), 0, 0)


def runs(said: Sequence[bool]) -> list[tuple[int, int]]:
    """Return first and one past the last index of each run of True."""
    steps = np.diff(np.concatenate([[0], np.asarray(said, np.int8), [0]]))
    return [(int(a), int(b)) for a, b in zip(np.flatnonzero(steps == 1),
                                             np.flatnonzero(steps == -1))]


def score_events(times_s: Sequence[float], truth: Sequence[bool], said: Sequence[bool], *,
                 tolerance_s: float = 0.0) -> EventScore:
    """
    Match the touches that are said to the true ones.

    A true touch is found if one is said while it lasts; its begin is that of the first touch that
    is said in it, its end that of the last. Touches that last from the first or to the last frame
    have no begin or end to compare. Delays shorter than the tolerance are 0, others lose it.

    Args:
        times_s: (N,) rising.
        truth, said: (N,).
        tolerance_s: how far off the true ends may be.
    """
    spoken, last = runs(said), len(truth)
    enter, leave, missed, matched = [], [], 0, set()
    for first, end in runs(truth):
        inside = [n for n, (a, b) in enumerate(spoken) if a < end and b > first]
        matched |= set(inside)
        if not inside:
            missed += 1
            continue
        begun, ended = spoken[inside[0]][0], spoken[inside[-1]][1]
        if first > 0 and begun > 0:
            enter.append(_beyond(times_s[begun] - times_s[first], tolerance_s))
        if end < last and ended < last:
            leave.append(_beyond(times_s[ended] - times_s[end], tolerance_s))
    return EventScore(tuple(enter), tuple(leave), missed, len(spoken) - len(matched))


def _beyond(delay_s: float, tolerance_s: float) -> float:
    size = max(abs(delay_s) - tolerance_s, 0.0)
    return size if delay_s >= 0 else -size
