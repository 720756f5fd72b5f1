# SPDX-License-Identifier: Apache-2.0
"""A picture of a benchmark: the median time of every engine, with its ratio to the reference."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 1000, 44, 290, 150, 50
_BAR, _GREY, _INK = (178, 114, 0), (150, 150, 150), (40, 40, 40)  # B, G, R
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(rows: Mapping[str, Mapping[str, Any]]) -> bytes:
    """
    Return a PNG with one bar for each engine, the slowest on top.

    Args:
        rows: as `rungs` of the report.
    """
    order = sorted(rows, key=lambda name: -rows[name]['latency_ms']['p50'])
    most_ms = rows[order[0]]['latency_ms']['p50']
    picture = np.full((_TOP + _ROW * len(order) + 16, _WIDTH, 3), 255, np.uint8)
    _write(picture, 'DICE, one picture: median ms (times faster than published, eager, fp32)',
           16, 30, 0.6)
    for number, name in enumerate(order):
        row = rows[name]
        top = _TOP + _ROW * number
        value_ms = row['latency_ms']['p50']
        right = _LEFT + max(2, int((_WIDTH - _LEFT - _RIGHT) * value_ms / most_ms))
        cv2.rectangle(picture, (_LEFT, top + 6), (right, top + _ROW - 8),
                      _GREY if name.endswith('eager') else _BAR, cv2.FILLED)
        _write(picture, name, 16, top + 28, 0.55)
        _write(picture, f'{value_ms:.0f} ({row["ratio_to_reference"]:.1f}x)', right + 8,
               top + 28, 0.55)
    done, data = cv2.imencode('.png', picture)
    assert done
    return data.tobytes()


def _write(picture: np.ndarray, text: str, x: int, y: int, size: float) -> None:
    cv2.putText(picture, text, (x, y), _FONT, size, _INK, 1, cv2.LINE_AA)
