# SPDX-License-Identifier: Apache-2.0
"""One thread that works on the newest frame, beside the executor's, and counts what it drops."""
from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar('Item')


@dataclass(frozen=True)
class Counters:
    """received = processed + dropped_overrun + dropped_stale + pending, in every copy of it."""

    received: int = 0
    processed: int = 0
    dropped_overrun: int = 0
    dropped_stale: int = 0
    pending: int = 0


class Worker(Generic[Item]):
    """
    Takes items from a bounded queue whose oldest entry gives way to a new one.

    Args:
        process: called with each item, on the thread. It must not raise; what it lets through
            ends the thread's current item only and is handed to `on_crash`.
        is_stale: asked before an item is taken up; True drops it.
        on_crash: called with an exception that `process` let through.
        queue_depth: items that wait; 1 = newest wins.
    """

    def __init__(self, process: Callable[[Item], None], is_stale: Callable[[Item], bool],
                 on_crash: Callable[[Exception], object], queue_depth: int = 1) -> None:
        self._process = process
        self._is_stale = is_stale
        self._on_crash = on_crash
        self._depth = queue_depth
        self._condition = threading.Condition()
        self._items: deque[Item] = deque()
        self._jobs: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._working = False
        self._received = self._processed = self._overrun = self._stale = 0
        self._next_start_s = 0.0
        self._min_period_s = 0.0

    def start(self) -> None:
        """Start the thread; counters begin at zero."""
        self._stopping = False
        self._received = self._processed = self._overrun = self._stale = 0
        self._next_start_s = 0.0
        self._thread = threading.Thread(target=self._run, name='dice_worker', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the item in work end, count the waiting ones as dropped, end the thread."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
        with self._condition:
            self._thread = None  # only now does a job run at once
            self._overrun += len(self._items)
            self._items.clear()
            jobs = list(self._jobs)
            self._jobs.clear()
        for job in jobs:
            self._guard(job)

    def set_max_rate(self, rate_hz: float) -> None:
        """Take items up no faster than this, 0 = as fast as possible; the newest one waits."""
        with self._condition:
            self._min_period_s = 1.0 / rate_hz if rate_hz > 0.0 else 0.0
            # Who waits by a slower rate of before shall not do so to its end.
            self._next_start_s = min(self._next_start_s, time.monotonic() + self._min_period_s)
            self._condition.notify()

    def put(self, item: Item) -> None:
        """Queue an item; the oldest waiting one is dropped when the queue is full."""
        with self._condition:
            if self._stopping or self._thread is None:
                return
            self._received += 1
            if len(self._items) >= self._depth:
                self._items.popleft()
                self._overrun += 1
            self._items.append(item)
            self._condition.notify()

    def between_items(self, job: Callable[[], None]) -> None:
        """Run a job on the thread before its next item; at once when the thread is not there."""
        with self._condition:
            if self._thread is not None:
                self._jobs.append(job)
                self._condition.notify()
                return
        job()

    def run_between_items(self, job: Callable[[], None]) -> None:
        """Like `between_items`, but wait for the job, and raise what it raises."""
        done = threading.Event()
        errors: list[Exception] = []

        def run() -> None:
            try:
                job()
            except Exception as error:
                errors.append(error)
            finally:
                done.set()

        self.between_items(run)
        done.wait()
        if errors:
            raise errors[0]

    def counters(self) -> Counters:
        """Return all counters as of one moment."""
        with self._condition:
            return Counters(self._received, self._processed, self._overrun, self._stale,
                            len(self._items) + self._working)

    def _run(self) -> None:
        while True:
            with self._condition:
                item = self._wait()
                jobs = list(self._jobs)
                self._jobs.clear()
            for job in jobs:
                self._guard(job)
            if item is None:
                if self._stopping:
                    return
                continue
            if self._is_stale(item):
                with self._condition:
                    self._working = False
                    self._stale += 1
                continue
            self._guard(lambda item=item: self._process(item))
            with self._condition:
                self._working = False
                self._processed += 1

    def _wait(self) -> Item | None:
        """Return the next item, marked as in work, or None for jobs and at the end."""
        while not self._stopping and not self._jobs:
            now_s = time.monotonic()
            delay_s = self._next_start_s - now_s
            if self._items and delay_s <= 0.0:
                self._working = True
                # Keep the beat where the thread keeps up with it.
                beat_s = self._next_start_s + self._min_period_s
                self._next_start_s = beat_s if beat_s > now_s else now_s + self._min_period_s
                return self._items.popleft()
            self._condition.wait(delay_s if self._items else None)
        return None

    def _guard(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self._on_crash(error)
