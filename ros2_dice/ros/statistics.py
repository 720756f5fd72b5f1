# SPDX-License-Identifier: Apache-2.0
"""Counters, rates and times over a sliding window."""
from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from std_msgs.msg import Header

from ros2_dice.msg import Statistics
from ros2_dice.ros.worker import Counters

WINDOW_S = 5.0
"""Rates, latencies and stage times are taken over so long [s]."""


@dataclass
class _Frame:
    published_s: float
    latency_s: float
    stages_s: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """The node's figures as of one moment."""

    counters: Counters
    published: int
    failed_input: int
    failed_estimator: int
    failed_input_row: int
    """Frames failed in a row for their picture."""
    failed_estimator_row: int
    """Frames failed in a row in the estimator."""
    last_failure: str
    input_rate_hz: float
    output_rate_hz: float
    drop_rate: float
    """Dropped share of the frames that arrived in the window [0, 1]."""
    stale_drops: int
    """Frames dropped for their age in the window."""
    latency_s: tuple[float, float, float]
    """Median, 95th percentile, largest; NaN = none."""
    stages_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Mean and 95th percentile of each stage, in order."""


class StatisticsWindow:
    """Collects what happens to frames; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin anew, at activation."""
        with self._lock:
            self._frames: deque[_Frame] = deque()
            self._arrivals: deque[tuple[float, int, int, int]] = deque()
            self._published = 0
            self._failed = {'input': 0, 'estimator': 0}
            self._row = {'input': 0, 'estimator': 0}
            self._last_failure = ''

    def add(self, latency_s: float, stages_s: Mapping[str, float], failed: str = '',
            reason: str = '') -> None:
        """
        Count a published frame.

        Args:
            latency_s: from its stamp to publication, NaN = no stamp.
            stages_s: time of each stage.
            failed: '' or 'input' or 'estimator'.
            reason: of the failure.
        """
        with self._lock:
            self._published += 1
            for kind in self._failed:
                if kind == failed:
                    self._failed[kind] += 1
                    self._row[kind] += 1
                    self._last_failure = reason
                elif not failed:
                    self._row[kind] = 0
            self._frames.append(_Frame(time.monotonic(), latency_s, dict(stages_s)))

    def summary(self, counters: Counters) -> Summary:
        """Return the figures; called about once a second."""
        now_s = time.monotonic()
        dropped = counters.dropped_overrun + counters.dropped_stale
        with self._lock:
            while self._frames and self._frames[0].published_s < now_s - WINDOW_S:
                self._frames.popleft()
            frames = list(self._frames)
            self._arrivals.append((now_s, counters.received, dropped, counters.dropped_stale))
            while len(self._arrivals) > 2 and self._arrivals[1][0] < now_s - WINDOW_S:
                self._arrivals.popleft()
            first_s, first_received, first_dropped, first_stale = self._arrivals[0]
            published, failed, row = self._published, dict(self._failed), dict(self._row)
            last_failure = self._last_failure
        span_s = max(now_s - first_s, 1e-9)
        arrived = counters.received - first_received
        # The span of n messages holds n - 1 periods.
        busy_s = frames[-1].published_s - frames[0].published_s if len(frames) > 1 else 0.0
        latencies = np.array([f.latency_s for f in frames], float)
        latencies = latencies[np.isfinite(latencies)]
        return Summary(
            counters, published, failed['input'], failed['estimator'], row['input'],
            row['estimator'], last_failure,
            input_rate_hz=arrived / span_s if len(self._arrivals) > 1 else 0.0,
            output_rate_hz=(len(frames) - 1) / busy_s if busy_s > 0.0 else 0.0,
            drop_rate=(dropped - first_dropped) / arrived if arrived else 0.0,
            stale_drops=counters.dropped_stale - first_stale,
            latency_s=_percentiles(latencies), stages_s=_stage_times(frames))


def statistics_message(summary: Summary, header: Header, model_id: str,
                       engine: Mapping[str, object]) -> Statistics:
    """
    Return the message for a summary; backend and precision are read off the model's id.

    Args:
        engine: what is known of the engine, empty where none is built.
    """
    backend, _, precision = model_id.partition('/')[2].rpartition('-')
    counters = summary.counters
    p50, p95, largest = summary.latency_s
    return Statistics(
        header=header, window=WINDOW_S, received=counters.received,
        processed=counters.processed, published=summary.published,
        dropped_overrun=counters.dropped_overrun, dropped_stale=counters.dropped_stale,
        failed_input=summary.failed_input, failed_estimator=summary.failed_estimator,
        pending=counters.pending, input_rate=summary.input_rate_hz,
        output_rate=summary.output_rate_hz, latency_p50=p50, latency_p95=p95,
        latency_max=largest, stage_names=list(summary.stages_s),
        stage_mean=[mean for mean, _ in summary.stages_s.values()],
        stage_p95=[p95 for _, p95 in summary.stages_s.values()],
        backend=backend,
        device=str(engine.get('device') or ('cpu' if backend == 'openvino' else '')),
        precision=precision, engine_id=str(engine.get('engine_id', '')),
        max_vertex_error=_measured(engine, 'vertices_m'),
        max_contact_error=_measured(engine, 'contact'),
        memory_rss=resident_bytes(), memory_device=device_bytes())


def resident_bytes() -> int:
    """Return the memory that this process holds [byte], 0 = unknown."""
    try:
        with open('/proc/self/statm') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    except OSError:
        return 0


def device_bytes() -> int:
    """Return what torch holds for this process on all GPUs [byte], 0 = unknown or nothing."""
    cuda = getattr(sys.modules.get('torch'), 'cuda', None)  # who did not import it holds nothing
    if cuda is None or not cuda.is_available():
        return 0
    return sum(int(cuda.memory_reserved(number)) for number in range(cuda.device_count()))


def _measured(engine: Mapping[str, object], name: str) -> float:
    value = engine.get(name)
    return float(value) if isinstance(value, (int, float)) else math.nan


def _percentiles(values: np.ndarray) -> tuple[float, float, float]:
    if not values.size:
        return math.nan, math.nan, math.nan
    return (float(np.percentile(values, 50)), float(np.percentile(values, 95)),
            float(values.max()))


def _stage_times(frames: list[_Frame]) -> dict[str, tuple[float, float]]:
    names: dict[str, list[float]] = {}
    for frame in frames:
        for name, spent_s in frame.stages_s.items():
            names.setdefault(name, []).append(spent_s)
    return {name: (float(np.mean(values)), float(np.percentile(values, 95)))
            for name, values in names.items()}
