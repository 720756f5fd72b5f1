# SPDX-License-Identifier: Apache-2.0
"""
Which engine runs: the best that is there, can run, proves itself and is fine enough.

Every rung is tried behind a guard: a library that raises when it is imported, a broken cache and a
driver of another version cost that rung, never the start. What is forced is never replaced.
"""
from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ros2_dice.errors import ConfigError, DiceError, EngineError
from ros2_dice.runtime.cache import EngineCache
from ros2_dice.runtime.engine_file import Entry, Sample
from ros2_dice.runtime.protocol import Engine, OutOfMemory
from ros2_dice.runtime.rung import (
    Choice,
    Progress,
    Referee,
    Rung,
    Stage,
    State,
    TooCoarse,
    Verdict,
    head_of,
    silent,
)

AUTO = 'auto'
BUILD_COMMAND = 'ros2-dice build-engine'
_COARSE = 'too_coarse'
PROOF_COUNT = 1
"""Inputs that a cached engine answers before it is trusted: one, so that a start stays quick."""


@dataclass(frozen=True)
class Wish:
    """Parameters `backend.name`, `backend.device` and `backend.precision`; auto = any."""

    name: str = AUTO
    device: str = AUTO
    precision: str = AUTO

    def __post_init__(self) -> None:
        kind, _, number = self.device.partition(':')
        if self.device not in (AUTO, 'cpu') and not (
                kind == 'cuda' and number.isascii() and number.isdigit()):
            raise ConfigError('parameter backend.device', got=self.device,
                              expected='auto, cpu or cuda:N')

    def admits(self, rung: Rung) -> bool:
        """Tell whether a rung is among what is wanted."""
        return all(wanted in (AUTO, found) for wanted, found in (
            (self.name, rung.name), (self.device, rung.device),
            (self.precision, rung.precision)))


class Ladder:
    """
    Chooses among rungs.

    Args:
        rungs: best first.
        cache: where built engines lie.
        identity: what every engine depends on beside its library: weights, network version.
        referee: says how far an engine is from fp32.
    """

    def __init__(self, rungs: Sequence[Rung], *, cache: EngineCache,
                 identity: Mapping[str, str], referee: Referee) -> None:
        self._rungs = rungs
        self._cache = cache
        self._identity = identity
        self._referee = referee

    def choose(self, wish: Wish, *, build: bool, force: bool = False,
               progress: Progress = silent) -> Choice:
        """
        Return the best engine.

        Args:
            build: build what is missing on the way down; False = take only what is built or needs
                no building, quickly.
            force: build also what is there already.

        Raises:
            EngineError: nothing that is wanted can run; the message says why for each.
        """
        wanted = [rung for rung in self._rungs if wish.admits(rung)]
        if not wanted:
            raise self._refusal(wish, 'no engine of this package is of that kind')
        verdicts: list[Verdict] = []
        choice: Choice | None = None
        for rung in wanted:
            if choice is not None:
                verdicts.append(_verdict(rung, State.LOWER))
                continue
            verdict, engine = self._try(rung, wish, build, force, progress)
            verdicts.append(verdict)
            if engine is not None:
                choice = Choice(engine, verdict, (), self._engine_id(rung))
        if choice is None:
            raise self._refusal(wish, '; '.join(verdict.text() for verdict in verdicts))
        return replace(choice, verdicts=tuple(verdicts))

    def survey(self, rungs: Sequence[Rung]) -> list[dict[str, str]]:
        """Return of each rung whether it can run here and is built, without loading it."""
        rows = []
        for rung in rungs:
            try:
                state = rung.obstacle() or self._known(rung)
            except Exception as error:  # a library may raise anything
                state = _reason(error)
            rows.append({'engine': rung.name, 'precision': rung.precision,
                         'variant': rung.variant, 'device': rung.device, 'state': state})
        return rows

    def _known(self, rung: Rung) -> str:
        if not rung.built:
            return 'can run, needs no building'
        entry = self._cache.find(self.key(rung))
        if entry is None:
            return f'can run, not built ({BUILD_COMMAND})'
        if _COARSE in entry.facts:
            return str(entry.facts[_COARSE])
        difference = _difference(entry)
        words = ', '.join(f'{name} differ by {value:.3g}' for name, value in difference.items())
        over = self._referee.excess(difference)
        return f'{"too coarse for auto" if over else "built"}: {words}'

    def build_one(self, rung: Rung, progress: Progress = silent) -> tuple[
            Engine, Mapping[str, float] | None]:
        """
        Return one rung's engine, built and kept whatever its difference to fp32.

        Raises:
            EngineError: it can't be built or loaded.
        """
        if not rung.built:
            return rung.load(memoryview(b'')), None
        with self._cache.locked(self.key(rung)):
            verdict, engine = self._build(rung, self.key(rung), True, progress)
        if engine is None:
            raise EngineError(f'{rung.name} {rung.precision} {rung.variant}'.rstrip(),
                              state=f'not built: {verdict.reason}', expected='an engine')
        return engine, verdict.difference

    def missing(self, wish: Wish) -> tuple[Verdict, ...]:
        """Return what could run here but is not built."""
        found: list[Verdict] = []
        for rung in self._rungs:
            with contextlib.suppress(Exception):  # a library may raise anything
                if wish.admits(rung) and rung.built and not rung.obstacle() \
                        and not self._cache.path(self.key(rung)).exists():
                    found.append(_verdict(rung, State.MISSING, BUILD_COMMAND))
        return tuple(found)

    def key(self, rung: Rung) -> dict[str, str]:
        """Return everything that makes a built engine of a rung valid."""
        return {**self._identity, **rung.versions(), 'engine': rung.name,
                'precision': rung.precision, 'variant': rung.variant, 'device': rung.device,
                'batch': f'b{rung.batch}'}

    def _engine_id(self, rung: Rung) -> str:
        return self._cache.path(self.key(rung)).stem if rung.built else ''

    def _try(self, rung: Rung, wish: Wish, build: bool, force: bool,
             progress: Progress) -> tuple[Verdict, Engine | None]:
        """Return what became of a rung, and its engine if that is chosen."""
        forced = wish.precision != AUTO
        try:
            obstacle = rung.obstacle()
            if obstacle:
                return _verdict(rung, State.UNAVAILABLE, obstacle), None
            if rung.built:
                return self._try_built(rung, forced, build, force, progress)
            engine = rung.load(memoryview(b''))
            if rung.exact:
                return _verdict(rung, State.CHOSEN, '', dict.fromkeys(
                    self._referee.limits, 0.0)), engine
            difference, _ = self._referee.compare(engine)
            return self._judge(rung, engine, difference, forced)
        except Cancelled:
            raise
        except Exception as error:  # a library may raise anything, also when it is imported
            return _verdict(rung, State.FAILED, _reason(error)), None

    def _try_built(self, rung: Rung, forced: bool, build: bool, force: bool,
                   progress: Progress) -> tuple[Verdict, Engine | None]:
        key = self.key(rung)
        if not force:
            found = self._from_cache(rung, key, forced)
            if found is not None:
                return found
        if not build:
            return _verdict(rung, State.MISSING, BUILD_COMMAND), None
        progress(Stage.EXPORTING, 0.0, f'{rung.name} {rung.precision}')
        with self._cache.locked(key, lambda waited_s: progress(
                Stage.BUILDING, 0.0, f'another process builds it, since {waited_s:.0f} s')):
            # Another process may have built it while this one waited.
            found = None if force else self._from_cache(rung, key, forced)
            return found or self._build(rung, key, forced, progress)

    def _from_cache(self, rung: Rung, key: Mapping[str, str],
                    forced: bool) -> tuple[Verdict, Engine | None] | None:
        """Return a proven engine of the cache, or what is known against it; None = build it."""
        entry = self._cache.find(key)
        if entry is None:
            return None
        if _COARSE in entry.facts and not forced:
            return _verdict(rung, State.COARSE, str(entry.facts[_COARSE])), None
        difference = _difference(entry)
        over = self._referee.excess(difference)
        if over and not forced:
            return _verdict(rung, State.COARSE, over, difference), None
        if not entry.payload or entry.proof is None:
            return None  # known to be too coarse, and wanted all the same
        try:
            engine = rung.load(entry.payload)
            change = self._referee.excess(self._referee.compare(engine, entry.proof)[0])
            if change:
                raise EngineError('its answer to the stored input', state=f'another one: {change}',
                                  expected='the stored one')
        except OutOfMemory:
            raise  # no fault of the file
        except Exception as error:
            self._cache.quarantine(key, f'cached engine of {rung.name} {rung.precision} did not '
                                        f'prove itself: {_reason(error)}')
            return None
        return self._judge(rung, engine, difference, forced)

    def _build(self, rung: Rung, key: Mapping[str, str], forced: bool,
               progress: Progress) -> tuple[Verdict, Engine | None]:
        began_s = time.monotonic()
        try:
            payload = memoryview(rung.build(progress))
        except TooCoarse as error:
            self._cache.store(Entry(key, memoryview(b''), None, {_COARSE: error.text()}))
            return _verdict(rung, State.COARSE, error.text()), None
        progress(Stage.VERIFYING, 0.0, f'{rung.name} {rung.precision}')
        engine = rung.load(payload)
        difference, outputs = self._referee.compare(engine)
        verdict, chosen = self._judge(rung, engine, difference, forced)
        progress(Stage.SAVING, 0.0, f'{rung.name} {rung.precision}')
        facts = {'difference': difference, 'build_s': round(time.monotonic() - began_s, 3)}
        proof = head_of(Sample(self._referee.reference.inputs, outputs), PROOF_COUNT)
        self._cache.store(Entry(key, payload if chosen else memoryview(b''),
                                proof if chosen else None, facts))
        return verdict, chosen

    def _judge(self, rung: Rung, engine: Engine, difference: Mapping[str, float],
               forced: bool) -> tuple[Verdict, Engine | None]:
        """Take an engine that is within the limits, or whose precision was asked for."""
        over = self._referee.excess(difference)
        if over and not forced:
            engine.close()
            return _verdict(rung, State.COARSE, over, difference), None
        return _verdict(rung, State.CHOSEN, over, difference), engine

    def _refusal(self, wish: Wish, reasons: str) -> EngineError:
        for name, value in (('precision', wish.precision), ('name', wish.name),
                            ('device', wish.device)):
            if value != AUTO:
                return EngineError(f'parameter backend.{name}', got=value,
                                   expected='an engine that can run here', next_step=reasons)
        return EngineError('no engine can run here', expected='at least one',
                           next_step=reasons)


class Cancelled(EngineError):
    """The build was given up on demand."""


def _difference(entry: Entry) -> dict[str, float]:
    stored = entry.facts.get('difference')
    return {str(name): float(value) for name, value in stored.items()} \
        if isinstance(stored, dict) else {}


def _verdict(rung: Rung, state: State, reason: str = '',
             difference: Mapping[str, float] | None = None) -> Verdict:
    return Verdict(rung.name, rung.precision, rung.variant, rung.device, state, reason,
                   difference)


def _reason(error: BaseException) -> str:
    """Return an error in one line."""
    if isinstance(error, DiceError):
        return error.text()
    lines = str(error).splitlines()
    return f'{type(error).__name__}: {lines[0]}'[:300] if lines else type(error).__name__
