# SPDX-License-Identifier: Apache-2.0
"""Warnings that repeat are counted and said again only now and then."""
from __future__ import annotations

import math
import re
import time
from typing import Protocol

from ros2_dice.errors import DiceError

PERIOD_S = 5.0
MAX_KEYS = 100
"""Of which it is known when they were logged; what was said longest ago is forgotten first."""


class Logger(Protocol):
    """What rclpy's loggers can do."""

    def warning(self, message: str, /) -> object:
        """Log a warning."""
        ...


class Throttle:
    """Warns at most every five seconds for each key, and says how often it happened."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._last: dict[str, tuple[float, int]] = {}

    def warning(self, key: str, message: str) -> None:
        """
        Log the message unless this key was logged a moment ago; then count it.

        Numbers in a key do not tell it from others: a size may differ with each image.
        """
        now_s = time.monotonic()
        key = re.sub('[0-9]+', '#', key)
        last_s, suppressed = self._last.pop(key, (-math.inf, 0))
        if len(self._last) >= MAX_KEYS:
            del self._last[next(iter(self._last))]
        if now_s - last_s < PERIOD_S:
            self._last[key] = (last_s, suppressed + 1)
            return
        self._last[key] = (now_s, 0)
        more = f' ({suppressed} more since the last warning)' if suppressed else ''
        self._logger.warning(message + more)


def error_text(error: BaseException) -> str:
    """Return an error as one line; one that is not ours with its type."""
    return error.text() if isinstance(error, DiceError) else f'{type(error).__name__}: {error}'
