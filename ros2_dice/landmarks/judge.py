# SPDX-License-Identifier: Apache-2.0
"""Whether a find is real: several looks, each where the last saw it, every other in a mirror."""
from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ros2_dice.landmarks.belief import SURE
from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.regions import distance_over_size

QUICK_LOOKS = 4
PATIENT_LOOKS = 7
_HOPELESS = 0.04
"""Score of a look after which another one is not worth its time."""
_DOUBTFUL = 0.3
"""The same for the second and later looks, where time is short."""
_DISAGREE = 0.1
"""Distance of the squares that two looks lead to (of their size), from which they differ."""

Look = TypeVar('Look', FaceObservation, HandObservation)


def judge(look: Callable[[Region], Look], refine: Callable[[Look], Region], square: Region,
          needed: float, most_looks: int) -> tuple[Look, float] | None:
    """
    Return the best look at a square's content and its quality, or None where there is nothing.

    The quality is the mean score of two looks in a row, one of them in a mirror: chance finds
    seldom score twice, and seldom in the same place. The look returned is the one that is
    mirrored as `refine` asked first.

    Args:
        look: shows a region to the network.
        refine: gives the region for the next look.
        needed: quality from which no further looks are made.
        most_looks: at most so many, at least 3.
    """
    seen = look(square)
    region = refine(seen)
    if seen.score < _HOPELESS or not region.is_sane():
        return None
    favoured, seen = region.mirrored, look(region)
    hopeless = _DOUBTFUL if most_looks <= QUICK_LOOKS else _HOPELESS
    best: tuple[Look, float] | None = None
    for count in range(3, most_looks + 1):
        region = refine(seen)
        if seen.score < hopeless or not region.is_sane():
            break
        previous, seen = seen, look(region._replace(mirrored=not seen.roi.mirrored))
        quality = 0.5 * (seen.score + previous.score)
        agree = distance_over_size(region, refine(seen)) <= _DISAGREE
        if agree and (best is None or quality > best[1]):
            best = (seen if seen.roi.mirrored == favoured else previous), quality
        # The third look is still moving to its place: only a very good one may be the last.
        if best is not None and best[1] >= (max(needed, SURE) if count == 3 else needed):
            break
    return best
