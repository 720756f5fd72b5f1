# SPDX-License-Identifier: Apache-2.0
"""All ways to run the network of DICE, side by side in one run."""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ros2_dice.dice.choosing import make_ladder
from ros2_dice.dice.rungs import DiceNetworks, Weights
from ros2_dice.dice.stored import LIMITS
from ros2_dice.errors import EngineError
from ros2_dice.evaluation.rung_child import REFERENCE, SIMPLIFIED, way_of
from ros2_dice.parameters import Settings
from ros2_dice.runtime.ladder import Ladder
from ros2_dice.runtime.rung import Rung

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often."""

    threads: int = 2
    device: str = 'auto'
    runs: int = 20
    """Of each engine at batch 1."""
    batches: tuple[int, ...] = (1, 2, 4)
    """Sizes whose throughput is measured; 1 always is."""
    model: str = ''
    """Name of an imported model, empty = weights by formula."""
    directory: str = ''
    """Parameter `model.directory`."""
    cache_directory: str = ''
    """Parameter `backend.cache_directory`."""
    fresh: bool = False
    """Build everything anew, so that first starts are measured too."""


class Way:
    """
    A child process that runs the network in one way.

    Args:
        name: as for `rung_child`.
        plan: of the run.

    Raises:
        EngineError: the process ended or refused; its own words are in it.
    """

    def __init__(self, name: str, plan: Plan) -> None:
        self.name = name
        # A file, since a pipe that nobody reads could fill up.
        self._complaints = tempfile.TemporaryFile('w+')  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'ros2_dice.evaluation.rung_child', name,
             '--started', repr(time.time()), '--threads', str(plan.threads),
             '--device', plan.device, '--cache-directory', plan.cache_directory,
             '--model', plan.model, '--directory', plan.directory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True)

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._complaints.close()

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({'do': do, **words}) + '\n')
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ''
        row = json.loads(line) if line else {'error': self._last_words()}
        if 'error' in row:
            raise EngineError(self.name, got=row['error'], expected='an answer')
        return row

    def _last_words(self) -> str:
        self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().strip().splitlines()
        return lines[-1] if lines else f'exit status {self._process.returncode}'


def measure_ways(plan: Plan, wanted: Sequence[str] = (), say: Say = lambda line: None,
                 ) -> dict[str, Any]:
    """
    Time every way that runs here.

    The published network in eager fp32 stays loaded; it is timed right before and right after each
    other way, so that a ratio compares neighbours in time. Its own figures are of all its runs.

    Args:
        plan: what to measure.
        wanted: names of ways; empty = all. `REFERENCE` is always there.
        say: gets what is being done.

    Returns:
        `rungs` by name, see docs/performance.md; `passed_over`, name to reason; `auto`, what the
        parameter `auto` would take; `limits`.
    """
    rungs, ladder, networks = _rungs(plan)
    passed_over = {}
    ways = [SIMPLIFIED]
    for rung in rungs:
        obstacle = _obstacle(rung)
        if obstacle:
            passed_over[way_of(rung)] = obstacle
        elif way_of(rung) != 'torch-fp32':  # the same as SIMPLIFIED
            ways.append(way_of(rung))
    unknown = set(wanted) - {REFERENCE, *ways, *passed_over}
    if unknown:
        raise EngineError('--rungs', got=', '.join(sorted(unknown)),
                          expected=f'some of {", ".join((REFERENCE, *ways, *passed_over))}')
    ways = [name for name in ways if not wanted or name in wanted]
    results: dict[str, dict[str, Any]] = {}
    reference_s: list[float] = []
    with Way(REFERENCE, plan) as reference:
        say(f'{REFERENCE}: loading')
        first = reference.ask('start')
        reference.ask('time', runs=1)
        for name in ways:
            if plan.fresh:
                _forget(rungs, ladder, networks, name)
            try:
                results[name] = _measure(name, plan, reference, reference_s, say)
            except EngineError as error:
                passed_over[name] = error.text()
                say(error.text())
        if not reference_s:
            reference_s += reference.ask('time', runs=plan.runs)['times_s']
        own = {**_row(reference_s), 'first_start_s': round(first['first_result_s'], 3),
               'cached_start_s': None, 'memory_mib': round(reference.ask('time', runs=1)
                                                           ['memory_mib']),
               'max_difference': reference.ask('differences')['outputs'],
               'ratio_to_reference': 1.0}
    return {'rungs': {REFERENCE: own, **results}, 'passed_over': passed_over, 'limits': LIMITS,
            'auto': auto_choice(rungs, results)}


def auto_choice(rungs: Sequence[Rung], results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the first rung, best first, that was measured and is within the limits."""
    for rung in rungs:
        name = way_of(rung) if way_of(rung) != 'torch-fp32' else SIMPLIFIED
        row = results.get(name)
        if row and all(row['difference'][key] <= limit for key, limit in LIMITS.items()):
            return way_of(rung)
    return ''


def _measure(name: str, plan: Plan, reference: Way, reference_s: list[float],
             say: Say) -> dict[str, Any]:
    say(f'{name}: first start')
    row: dict[str, Any] = {}
    with Way(name, plan) as way:
        first = way.ask('start')
    say(f'{name}: cached start')
    with Way(name, plan) as way:
        cached = way.ask('start')
        before_s = reference.ask('time', runs=3)['times_s']
        say(f'{name}: timing')
        timing = way.ask('time', runs=plan.runs)
        after_s = reference.ask('time', runs=3)['times_s']
        reference_s += before_s + after_s
        told = way.ask('differences')
        row.update(_row(timing['times_s']))
        row['first_start_s'] = round(first['first_result_s'], 3) if (
            first['built'] or name == SIMPLIFIED) else None
        row['cached_start_s'] = round(cached['first_result_s'], 3)
        row['memory_mib'] = round(timing['memory_mib'])
        if timing['device_memory_mib']:
            row['device_memory_mib'] = round(timing['device_memory_mib'])
        row['max_difference'] = told['outputs']
        row['difference'] = told['difference']
        row['ratio_to_reference'] = round(
            float(np.median(before_s + after_s) / np.median(timing['times_s'])), 3)
        for size in plan.batches:
            if size > 1:
                say(f'{name}: batch {size}')
                times_s = way.ask('batch', size=size, runs=max(3, plan.runs // size))['times_s']
                row['throughput_hz'][str(size)] = round(size / float(np.median(times_s)), 3)
        row['frame_to_meshes_ms'] = {}
        for size in sorted({1, max(plan.batches)}):
            say(f'{name}: 1280x720 frame to meshes, {size} crops')
            times_s = way.ask('path', size_px=(1280, 720), batch=size,
                              runs=max(3, plan.runs // size))['times_s']
            row['frame_to_meshes_ms'][str(size)] = _row(times_s)['latency_ms']
    return row


def _row(times_s: Sequence[float]) -> dict[str, Any]:
    times_ms = 1e3 * np.asarray(times_s)
    return {'latency_ms': {'p50': round(float(np.median(times_ms)), 3),
                           'p95': round(float(np.percentile(times_ms, 95)), 3),
                           'min': round(float(times_ms.min()), 3)},
            'throughput_hz': {'1': round(1e3 / float(np.median(times_ms)), 3)}}


def _rungs(plan: Plan) -> tuple[tuple[Rung, ...], Ladder, DiceNetworks]:
    """Return all rungs, for their names and obstacles; no weights are read for made-up ones."""
    weights = Weights.by_formula() if not plan.model else _imported(plan)
    ladder, networks = make_ladder(weights, Settings({
        'backend.threads': plan.threads, 'backend.device': plan.device,
        'backend.cache_directory': plan.cache_directory}))
    rungs = networks.rungs(
        device=plan.device if plan.device.startswith('cuda') else 'cuda:0', every=True)
    if plan.device != 'auto':
        rungs = tuple(rung for rung in rungs if rung.device == plan.device)
    return rungs, ladder, networks


def _imported(plan: Plan) -> Weights:
    from ros2_dice.dice.folder import model_folder
    from ros2_dice.dice.imported import load_imported

    return Weights.of(load_imported(model_folder(plan.model, plan.directory)))


def _forget(rungs: Sequence[Rung], ladder: Ladder, networks: DiceNetworks, name: str) -> None:
    """Remove the built engine of a way."""
    for rung in rungs:
        if rung.built and way_of(rung) == name:
            networks.cache.remove(ladder.key(rung))


def _obstacle(rung: Rung) -> str:
    try:
        return rung.obstacle()
    except Exception as error:  # a library may raise anything when it is imported
        return f'{type(error).__name__}: {error}'
