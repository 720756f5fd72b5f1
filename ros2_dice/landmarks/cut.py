# SPDX-License-Identifier: Apache-2.0
"""Tells a cut to another scene from motion within one."""
from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ros2_dice.types import Frame

_CELLS = 24
_CHANGE = 0.13
"""Mean change of brightness (0 to 1) between two frames that motion rarely reaches."""


class CutDetector:
    """Compares a few hundred pixels with those of the frame before."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None
        self._size_px = (0, 0)

    def is_cut(self, frame: Frame) -> bool:
        """
        Return whether this frame shows another scene than the last one.

        The first frame does, and one of another size: places in the last one mean nothing in it.
        """
        rows = (np.arange(_CELLS) + 0.5) * (frame.height_px / _CELLS)
        columns = (np.arange(_CELLS) + 0.5) * (frame.width_px / _CELLS)
        cells = frame.pixels[rows.astype(int)[:, None], columns.astype(int)]
        now = cells.mean(axis=2, dtype=np.float32) / np.float32(255.0)
        last, self._last = self._last, now
        size_px, self._size_px = self._size_px, (frame.width_px, frame.height_px)
        if last is None or size_px != self._size_px:
            return True
        return float(np.abs(now - last).mean()) > _CHANGE

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None
