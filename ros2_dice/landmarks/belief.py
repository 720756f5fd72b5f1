# SPDX-License-Identifier: Apache-2.0
"""How far to trust a track: new ones must prove themselves, old ones may fail for a moment."""
from __future__ import annotations

SURE = 0.95
"""Quality of a find that needs no further look."""
_GOOD = 0.8
_GOOD_LOOKS = 2
_MEMORY = 0.75
"""Weight of the past in the running mean of scores."""
_MOMENT = 0.8
"""One score may fall to this fraction of the threshold while the mean stays above it."""


def find_threshold(threshold: float, slope: float = 0.3) -> float:
    """
    Return the quality that a find needs, from the threshold for tracks.

    A find is judged on several looks at well chosen places, so it must do better than one look at
    a moving track: with the default threshold of 0.5 and slope 0.3 it needs 0.85.
    """
    return 1.0 - slope * (1.0 - threshold)


class Belief:
    """
    Running judgement of one track.

    Args:
        quality: of the find, 0 to 1.
        proven: it needs no proof by further frames.
    """

    def __init__(self, quality: float, proven: bool) -> None:
        self._mean = quality
        self._good_looks = 0
        self.confirmed = proven

    def add(self, score: float, threshold: float) -> bool:
        """Count one look; return whether it shows the thing."""
        seen = (_MEMORY * self._mean + (1.0 - _MEMORY) * score >= threshold
                and score >= _MOMENT * threshold)
        if not self.confirmed:
            seen = seen and score >= min(_GOOD, find_threshold(threshold))
            self._good_looks += 1
            self.confirmed = seen and self._good_looks >= _GOOD_LOOKS
        if seen:
            self._mean = _MEMORY * self._mean + (1.0 - _MEMORY) * score
        return seen
