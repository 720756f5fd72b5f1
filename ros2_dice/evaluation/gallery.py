# SPDX-License-Identifier: Apache-2.0
"""Pictures of the worst cases, small, kept until a report wants them."""
from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

_LONGER_PX = 480
_QUALITY = 80


@dataclass(frozen=True)
class Card:
    """One case: what went wrong, and a picture of it."""

    kind: str
    title: str
    badness: float
    jpeg: bytes

    def data_uri(self) -> str:
        """Return the picture as text that a page can hold."""
        return 'data:image/jpeg;base64,' + base64.b64encode(self.jpeg).decode()


class Gallery:
    """
    Keeps the worst cases of each kind.

    Args:
        most: of each kind.
    """

    def __init__(self, most: int = 12) -> None:
        self._most = most
        self._cards: dict[str, list[Card]] = {}

    def offer(self, kind: str, title: str, badness: float,
              draw: Callable[[], npt.NDArray[np.uint8]]) -> None:
        """Keep a case if it is bad enough; only then its picture (H, W, 3) BGR is drawn."""
        cards = self._cards.setdefault(kind, [])
        if len(cards) >= self._most and badness <= cards[-1].badness:
            return
        cards.append(Card(kind, title, badness, _small_jpeg(draw())))
        cards.sort(key=lambda card: (-card.badness, card.title))
        del cards[self._most:]

    def cards(self, kind: str) -> tuple[Card, ...]:
        """Return the cases of a kind, worst first."""
        return tuple(self._cards.get(kind, ()))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of cases that there are."""
        return tuple(sorted(self._cards))


def _small_jpeg(picture_bgr: npt.NDArray[np.uint8]) -> bytes:
    scale = min(1.0, _LONGER_PX / max(picture_bgr.shape[:2]))
    small = picture_bgr if scale == 1.0 else cv2.resize(
        picture_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
