# SPDX-License-Identifier: Apache-2.0
"""The worker: newest wins, nothing is lost from the books."""
import threading
import time

import pytest

from ros2_dice.ros.worker import Counters, Worker


class Bench:
    """A worker that records and can be held up."""

    def __init__(self, depth=1, stale=lambda item: False):
        self.done, self.crashes = [], []
        self.gate = threading.Event()
        self.gate.set()
        self.worker = Worker(self.process, stale, self.crashes.append, depth)

    def process(self, item):
        self.gate.wait(10)
        if isinstance(item, Exception):
            raise item
        self.done.append(item)


@pytest.fixture
def bench():
    made = []

    def make(**options):
        made.append(Bench(**options))
        made[-1].worker.start()
        return made[-1]

    yield make
    for bench in made:
        bench.gate.set()
        bench.worker.stop()


def balanced(counters: Counters) -> bool:
    return counters.received == (counters.processed + counters.dropped_overrun
                                 + counters.dropped_stale + counters.pending)


def hold(bench, wait_until, first):
    """Let the worker take `first` and keep it."""
    bench.gate.clear()
    bench.worker.put(first)
    assert wait_until(lambda: bench.worker.counters().pending == 1 and not bench.worker._items)


def test_the_newest_wins(bench, wait_until):
    b = bench()
    hold(b, wait_until, 0)
    for item in (1, 2, 3):
        b.worker.put(item)
    assert b.worker.counters() == Counters(4, 0, 2, 0, 2)
    b.gate.set()
    assert wait_until(lambda: b.done == [0, 3])
    assert wait_until(lambda: b.worker.counters() == Counters(4, 2, 2, 0, 0))


def test_a_queue_keeps_the_order(bench, wait_until):
    b = bench(depth=3)
    hold(b, wait_until, 0)
    for item in range(1, 6):
        b.worker.put(item)
    b.gate.set()
    assert wait_until(lambda: b.done == [0, 3, 4, 5])
    assert b.worker.counters().dropped_overrun == 2


def test_stale_items_are_counted(bench, wait_until):
    b = bench(depth=10, stale=lambda item: item % 2)
    for item in range(6):
        b.worker.put(item)
    assert wait_until(lambda: b.worker.counters() == Counters(6, 3, 0, 3, 0))
    assert b.done == [0, 2, 4]


def test_a_crash_ends_one_item_only(bench, wait_until):
    b = bench(depth=10)
    b.worker.put(ValueError('odd'))
    b.worker.put(1)
    assert wait_until(lambda: b.done == [1])
    assert wait_until(lambda: b.worker.counters() == Counters(2, 2, 0, 0, 0))
    assert isinstance(b.crashes[0], ValueError)


def test_jobs_run_between_items_on_the_workers_thread(bench, wait_until):
    b = bench(depth=10)
    hold(b, wait_until, 0)
    seen = []
    b.worker.between_items(lambda: seen.append((list(b.done), threading.current_thread().name)))
    b.worker.put(1)
    b.gate.set()
    assert wait_until(lambda: b.done == [0, 1])
    assert seen == [([0], 'dice_worker')]


def test_a_job_can_be_waited_for_and_raises_where_it_was_asked(bench):
    b = bench()
    seen = []
    b.worker.run_between_items(lambda: seen.append(1))
    assert seen == [1]

    def fail():
        raise ValueError('odd')

    with pytest.raises(ValueError, match='odd'):
        b.worker.run_between_items(fail)


def test_stop_counts_what_waited_and_runs_jobs(bench, wait_until):
    b = bench()
    hold(b, wait_until, 0)
    b.worker.put(1)
    seen = []
    b.worker.between_items(lambda: seen.append(1))
    threading.Timer(0.05, b.gate.set).start()
    b.worker.stop()
    counters = b.worker.counters()
    assert balanced(counters)
    assert counters.pending == 0
    assert seen == [1]
    b.worker.put(2)  # after the end nothing is taken
    assert b.worker.counters() == counters
    b.worker.between_items(lambda: seen.append(2))  # at once
    assert seen == [1, 2]


def test_a_restart_counts_anew(bench, wait_until):
    b = bench()
    b.worker.put(0)
    assert wait_until(lambda: b.done == [0])
    b.worker.stop()
    b.worker.start()
    assert b.worker.counters() == Counters()
    b.worker.put(1)
    assert wait_until(lambda: b.done == [0, 1])


def test_the_books_balance_at_every_moment(bench, wait_until):
    b = bench(stale=lambda item: item % 5 == 0)
    for item in range(3000):
        b.worker.put(item)
        if item % 10 == 0:
            assert balanced(b.worker.counters())
            time.sleep(0.0002)
    assert wait_until(lambda: b.worker.counters().pending == 0)
    counters = b.worker.counters()
    assert balanced(counters)
    assert counters.received == 3000
    assert len(b.done) == counters.processed


def test_a_job_that_comes_while_the_worker_stops_waits_for_the_item_in_work(bench, wait_until):
    """A model that is swapped then must not be closed under the frame that uses it."""
    b = bench()
    hold(b, wait_until, 0)
    stopping = threading.Thread(target=b.worker.stop)
    stopping.start()
    assert wait_until(lambda: b.worker._stopping)
    seen = []
    asking = threading.Thread(
        target=lambda: b.worker.run_between_items(lambda: seen.append(list(b.done))))
    asking.start()
    asking.join(0.1)
    assert not seen
    b.gate.set()
    stopping.join(10)
    asking.join(10)
    assert seen == [[0]]


def test_a_job_that_fails_at_the_end_costs_no_other_job(bench, wait_until):
    b = bench()
    hold(b, wait_until, 0)
    seen = []

    def fail():
        raise ValueError('odd')

    b.worker.between_items(fail)
    b.worker.between_items(lambda: seen.append(1))
    threading.Timer(0.05, b.gate.set).start()
    b.worker.stop()
    assert seen == [1]
    assert [str(error) for error in b.crashes] == ['odd']


def test_a_rate_that_is_lifted_holds_nothing_up(bench, wait_until):
    b = bench()
    b.worker.set_max_rate(0.001)
    b.worker.put(0)
    assert wait_until(lambda: b.done == [0])
    b.worker.put(1)
    b.worker.set_max_rate(0.0)
    assert wait_until(lambda: b.done == [0, 1])
