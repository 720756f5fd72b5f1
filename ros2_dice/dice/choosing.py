# SPDX-License-Identifier: Apache-2.0
"""
The engine of a running estimator: quickly one that works, later a better one that was built.

Nothing is built in this process. What is missing is built by `ros2-dice build-engine` in a process
of its own; when it is done, the better engine takes over between two frames.
"""
from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping

from ros2_dice.dice.rungs import DiceNetworks, Weights
from ros2_dice.errors import DiceError, EngineError
from ros2_dice.parameters import Settings
from ros2_dice.runtime import usable_threads
from ros2_dice.runtime.cache import EngineCache, Say, cache_folder
from ros2_dice.runtime.ladder import AUTO, Ladder, Wish
from ros2_dice.runtime.rung import Choice, Progress, silent
from ros2_dice.runtime.serving import Builder, ServingEngine

Report = Mapping[str, object]


def wish_of(settings: Settings) -> Wish:
    """
    Return what `backend.*` asks for.

    Raises:
        ConfigError: the device is none.
    """
    return Wish(settings.text('backend.name'), settings.text('backend.device'),
                settings.text('backend.precision'))


def make_ladder(weights: Weights, settings: Settings, say: Say = lambda line: None, *,
                batch: int = 1) -> tuple[Ladder, DiceNetworks]:
    """
    Return the ladder of a network, and the network.

    Raises:
        EngineError: others than the user may write into the cache.
    """
    cache = EngineCache(cache_folder(settings.text('backend.cache_directory')), say=say)
    networks = DiceNetworks(weights, cache,
                            settings.integer('backend.threads') or usable_threads())
    device = settings.text('backend.device')
    rungs = networks.rungs(device=device if device.startswith('cuda') else 'cuda:0', batch=batch)
    return Ladder(rungs, cache=cache, identity=networks.identity,
                  referee=networks.referee), networks


class Upgrade:
    """
    An engine in use, and the building of better ones.

    Args:
        weights: of the network.
        settings: `backend.*` and `model.*` are read.
        say: gets what happens, a line each, from any thread.

    Raises:
        EngineError: nothing that is asked for can run, or what is forced is not built and
            `backend.build_if_missing` is false.
    """

    def __init__(self, weights: Weights, settings: Settings,
                 say: Say = lambda line: None) -> None:
        self._say = say
        self._settings = settings
        self._ladder, _ = make_ladder(weights, settings, say)
        self._wish = wish_of(settings)
        self._lock = threading.Lock()
        self._builder: Builder | None = None
        self._progress = ''
        self._error = ''
        self.engine = ServingEngine(self._first())

    @property
    def report(self) -> Report:
        """Return what serves, how far it is from fp32, and what is being built, for people."""
        choice = self.engine.choice
        difference = choice.verdict.difference or {}
        return {'engine': f'{choice.engine.name} {choice.engine.precision}',
                'device': choice.engine.device, 'engine_id': choice.engine_id,
                'reason': choice.text(), 'building': self._progress,
                'build_error': self._error, **difference}

    def start_building(self) -> None:
        """Build what is missing in a process of its own, if the parameters allow it."""
        with self._lock:
            if self._builder is not None or not self.engine.choice.to_build:
                return
            if not self._settings.flag('backend.build_if_missing'):
                return
            self._progress = 'a better engine is being built'
            self._say(f'{self._progress}; meanwhile: {self.engine.choice.text()}')
            self._builder = Builder(build_command(self._settings), on_progress=self._built_part,
                                    on_done=self._built)
            self._builder.start()

    def close(self) -> None:
        """Give the build up and release the engines."""
        with self._lock:
            if self._builder is not None:
                self._builder.stop()
        self.engine.close()

    def _first(self) -> Choice:
        """Return an engine that is there, also beside one that is forced and not built yet."""
        try:
            return self._ladder.choose(self._wish, build=False)
        except EngineError as error:
            forced = self._wish != Wish(AUTO, self._wish.device, AUTO)
            missing = self._ladder.missing(self._wish)
            if not forced or not missing or not self._settings.flag('backend.build_if_missing'):
                raise
            self._say(f'{error.text()}; it is built now')
            choice = self._ladder.choose(Wish(device=AUTO), build=False)
            return Choice(choice.engine, choice.verdict, (*missing, choice.verdict),
                          choice.engine_id)

    def _built_part(self, row: Report) -> None:
        words = ' '.join(str(row[name]) for name in ('stage', 'detail') if row.get(name))
        self._progress = f'building: {words.lower()}'

    def _built(self, error: str) -> None:
        """Take what was built into use, on the builder's thread."""
        self._progress = ''
        self._error = error
        if error:
            self._say(f'the better engine was not built: {error}')
            return
        with contextlib.suppress(DiceError):
            choice = self._ladder.choose(self._wish, build=False)
            before = self.engine.choice
            if choice.verdict == before.verdict:
                choice.engine.close()
                self._say(f'nothing better was found: {choice.text()}')
                return
            self.engine.offer(choice)
            self._say(f'changed over to {choice.text()}')


def build_command(settings: Settings) -> list[str]:
    """Return the command line that builds what these parameters ask for."""
    words = [sys.executable, '-m', 'ros2_dice.cli.main', 'build-engine', '--background']
    for option, name in (('--model', 'model.id'), ('--directory', 'model.directory'),
                         ('--backend', 'backend.name'), ('--device', 'backend.device'),
                         ('--precision', 'backend.precision'),
                         ('--cache-directory', 'backend.cache_directory')):
        if settings.text(name):
            words += [option, settings.text(name)]
    if settings.integer('backend.threads'):
        words += ['--threads', str(settings.integer('backend.threads'))]
    return words


def build(weights: Weights, settings: Settings, *, force: bool = False,
          progress: Progress = silent, say: Say = lambda line: None,
          done: Callable[[Choice], None] = lambda choice: None) -> Choice:
    """
    Build here and now what is missing on the way to the best engine.

    Args:
        force: build also what is there.
        done: called with the choice before its engine is released.

    Raises:
        EngineError: nothing that is asked for can run or be built.
    """
    ladder, _ = make_ladder(weights, settings, say)
    choice = ladder.choose(wish_of(settings), build=True, force=force, progress=progress)
    done(choice)
    choice.engine.close()
    return choice
