# SPDX-License-Identifier: Apache-2.0
"""An estimator against the clock, frame after frame, beside a peer in alternating blocks."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ros2_dice.estimator import Estimator
from ros2_dice.evaluation.clips import Clip
from ros2_dice.evaluation.peer import Peer

BLOCK = 30
"""Frames that one side processes before the other's turn: long enough to reach warm caches."""


@dataclass(frozen=True)
class Spread:
    """Median, 95th percentile and largest of some times [ms]."""

    median_ms: float
    p95_ms: float
    max_ms: float

    @classmethod
    def of(cls, times_s: Sequence[float]) -> Spread:
        """Summarize times [s]; NaN without any."""
        if not times_s:
            return cls(math.nan, math.nan, math.nan)
        times_ms = 1e3 * np.asarray(times_s)
        return cls(*(float(v) for v in (np.median(times_ms), np.percentile(times_ms, 95),
                                        times_ms.max())))

    def as_json(self) -> dict[str, float]:
        """Return the three figures, to a microsecond."""
        return {'median_ms': round(self.median_ms, 3), 'p95_ms': round(self.p95_ms, 3),
                'max_ms': round(self.max_ms, 3)}


@dataclass
class Timing:
    """What a run measured."""

    total_s: list[float] = field(default_factory=list)
    stages_s: dict[str, list[float]] = field(default_factory=dict)
    with_face: int = 0
    with_hand: int = 0
    with_contact: int = 0
    peer_s: list[float] = field(default_factory=list)
    peer_with_face: int = 0
    peer_with_hand: int = 0

    @property
    def total(self) -> Spread:
        """The estimator's time per frame."""
        return Spread.of(self.total_s)

    @property
    def peer(self) -> Spread:
        """The peer's time per frame."""
        return Spread.of(self.peer_s)

    @property
    def ratio(self) -> float:
        """Our median over the peer's."""
        return self.total.median_ms / self.peer.median_ms


def there_and_back(length: int) -> Iterator[int]:
    """Yield frame numbers to the clip's end and back for ever, so that no cut gets in."""
    if length == 1:
        while True:
            yield 0
    while True:
        yield from range(length - 1)
        yield from range(length - 1, 0, -1)


def measure(estimator: Estimator, clip: Clip, frames: int, *, warmup: int = 30,
            threshold: float = 0.5, peer: Peer | None = None,
            progress: Callable[[int], None] = lambda count: None) -> Timing:
    """
    Run an estimator over a clip and time it.

    The clip is played there and back until there are enough frames. With a peer the two take turns
    after `BLOCK` frames; each keeps following its own stream. The first `warmup` frames of both
    are processed and not counted.

    Args:
        threshold: contact probability from which a frame counts as a touch.
        progress: called with the number of frames done after each block.
    """
    timing = Timing()
    numbers = there_and_back(len(clip))
    done = -warmup
    stamp = 0
    while done < frames:
        size = min(BLOCK, -done if done < 0 else frames - done)
        block = [next(numbers) for _ in range(size)]
        for number in block:
            _one_frame(estimator, clip, number, stamp, threshold, timing if done >= 0 else None)
            stamp += 1
        if peer is not None:
            answer = peer.process(block)
            if done >= 0:
                timing.peer_s += answer.times_s
                timing.peer_with_face += sum(answer.face)
                timing.peer_with_hand += sum(count > 0 for count in answer.hands)
        done += size
        if done > 0:
            progress(done)
    return timing


def _one_frame(estimator: Estimator, clip: Clip, number: int, stamp: int, threshold: float,
               timing: Timing | None) -> None:
    frame = clip.frame(number, stamp_number=stamp)
    frame.pixels.max()  # read the picture in, so that no page fault is timed
    start_s = time.perf_counter()
    estimates = estimator.estimate(frame)
    spent_s = time.perf_counter() - start_s
    if timing is None:
        return
    timing.total_s.append(spent_s)
    for stage, value_s in estimator.stage_times_s.items():
        timing.stages_s.setdefault(stage, []).append(value_s)
    timing.with_face += any(e.face is not None for e in estimates)
    timing.with_hand += any(e.hand is not None for e in estimates)
    timing.with_contact += any(e.contact_probability >= threshold for e in estimates)


def node_report(measured: Mapping[str, Any]) -> dict[str, Any]:
    """
    Summarize what `ros2_dice.ros.overhead` measured; the first tenth of the frames is left out.

    Returns:
        `stages` with the spread of each, `message_byte` {median, max}, `received`, `frames`,
        `model`.
    """
    frames = measured['stages_s'][len(measured['stages_s']) // 10:]
    times_s: dict[str, list[float]] = {}
    for frame in frames:
        for name, spent_s in frame.items():
            if name != 'total':  # the node's own stage `estimate` is the same
                times_s.setdefault(name, []).append(spent_s)
    sizes = measured['sizes_byte']
    return {
        'model': measured['model'], 'frames': len(frames), 'received': len(sizes),
        'stages': {name: {**Spread.of(values).as_json(), 'frames': len(values)}
                   for name, values in times_s.items()},
        'message_byte': {'median': int(np.median(sizes)) if sizes else 0,
                         'max': max(sizes, default=0)},
    }
