# SPDX-License-Identifier: Apache-2.0
"""
The engine of a running estimator: quickly one that works, later a better one that was built.

Nothing is built in this process. What is missing is built by `ros2-dice build-engine` in a process
of its own; when it is done, the better engine takes over between two frames.
"""
from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from ros2_dice.dice.rungs import DiceNetworks, Weights
from ros2_dice.errors import DiceError, EngineError
from ros2_dice.parameters import Settings
from ros2_dice.runtime import Engine, usable_threads
from ros2_dice.runtime.batching import SIZES, Batches
from ros2_dice.runtime.cache import EngineCache, Say, cache_folder
from ros2_dice.runtime.ladder import BUILD_COMMAND, Cancelled, Ladder, Wish
from ros2_dice.runtime.processor import cuda_driver
from ros2_dice.runtime.protocol import on_device
from ros2_dice.runtime.rung import Choice, Progress, silent
from ros2_dice.runtime.serving import Builder, ServingEngine

Report = Mapping[str, object]
_KEPT_LINES = 20
"""What is said before anybody listens."""


def wish_of(settings: Settings) -> Wish:
    """
    Return what `backend.*` asks for.

    Raises:
        ConfigError: the device is none.
    """
    return Wish(settings.text('backend.name'), settings.text('backend.device'),
                settings.text('backend.precision'))


def make_ladder(weights: Weights, settings: Settings, say: Say = lambda line: None,
                ) -> tuple[Ladder, DiceNetworks]:
    """
    Return the ladder of a network for a batch of 1, and the network.

    Raises:
        EngineError: others than the user may write into the cache.
    """
    cache = EngineCache(cache_folder(settings.text('backend.cache_directory')), say=say)
    networks = DiceNetworks(weights, cache,
                            settings.integer('backend.threads') or usable_threads())
    device = settings.text('backend.device')
    limit_mib = settings.integer('backend.memory_limit')
    if limit_mib and device != 'cpu' and cuda_driver():
        from ros2_dice.runtime.torch_engine import limit_memory

        limit_memory(_gpu(device), limit_mib)
    return ladder_for(networks, device, 1), networks


def ladder_for(networks: DiceNetworks, device: str, batch: int) -> Ladder:
    """
    Return the ladder of a network for a batch.

    Args:
        device: as parameter `backend.device`.
    """
    return Ladder(networks.rungs(device=_gpu(device), batch=batch), cache=networks.cache,
                  identity=networks.identity, referee=networks.referee)


def _gpu(device: str) -> str:
    return device if device.startswith('cuda') else 'cuda:0'


def like(choice: Choice) -> Wish:
    """Return the wish for an engine of the same kind, device and precision."""
    return Wish(choice.verdict.name, choice.verdict.device, choice.verdict.precision)


class Upgrade(ServingEngine):
    """
    The engine in use, and the building of better ones.

    Args:
        weights: of the network.
        settings: `backend.*` and `model.*` are read.

    Raises:
        ConfigError: `backend.device` is none.
        EngineError: nothing that is asked for can run, or what is forced is not built and
            `backend.build_if_missing` is false.
    """

    def __init__(self, weights: Weights, settings: Settings) -> None:
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._listener: Say | None = None
        self._settings = settings
        self._ladder, self._networks = make_ladder(weights, settings, self._say)
        self._wish = wish_of(settings)
        self._starting = threading.Lock()
        self._changing = threading.Lock()
        self._builder: Builder | None = None
        self._progress = ''
        self._error = ''
        super().__init__(self._in_batches(self._first()))
        self._say(self.choice.text())

    @property
    def report(self) -> Report:
        """Return what serves, how far it is from fp32, and what is being built, for people."""
        choice = self.choice
        return {'engine': f'{choice.engine.name} {choice.engine.precision}',
                'device': choice.engine.device, 'engine_id': choice.engine_id,
                'reason': choice.text(), 'building': self._progress, 'build_error': self._error,
                **(choice.verdict.difference or {})}

    def listen(self, say: Say) -> None:
        """Hand on, a line each and from any thread, what happened and what happens from now."""
        self._listener = say
        while self._said:
            say(self._said.popleft())

    def start_building(self) -> None:
        """Build what is missing in a process of its own, if the parameters allow it."""
        with self._starting:
            if self._builder is not None or not self.choice.to_build:
                return
            if not self._settings.flag('backend.build_if_missing'):
                self._say(f'a better engine is not built: {BUILD_COMMAND}')
                return
            self._progress = 'a better engine is being built'
            self._say(f'{self._progress}; this one serves meanwhile')
            self._builder = Builder(build_command(self._settings), on_progress=self._built_part,
                                    on_done=self._built)
            self._builder.start()

    def wait_for_build(self, timeout_s: float) -> bool:
        """Wait for the process that builds; tell whether there is none any more."""
        return self._builder is None or self._builder.wait(timeout_s)

    def close(self) -> None:
        """Give the build up and release the engines."""
        with self._starting:
            if self._builder is not None:
                self._builder.stop()
        super().close()

    def _say(self, line: str) -> None:
        if self._listener is not None:
            self._listener(line)
        else:
            self._said.append(line)

    def _first(self) -> Choice:
        """Return an engine that is there, also beside one that is forced and not built yet."""
        try:
            return self._ladder.choose(self._wish, build=False)
        except EngineError as error:
            missing = self._ladder.missing(self._wish)
            if not missing or not self._settings.flag('backend.build_if_missing'):
                raise
            self._say(f'{error.text()}; it is built now')
            choice = self._ladder.choose(Wish(), build=False)
            return Choice(choice.engine, choice.verdict, (*missing, choice.verdict),
                          choice.engine_id)

    def _in_batches(self, choice: Choice) -> Choice:
        """
        Return a choice with engines like it for several crops at once, where that is quicker.

        On a CPU it is not: one crop keeps all cores busy.
        """
        if on_device(choice.engine) is None:
            return choice
        wish = like(choice)

        def make(size: int) -> Engine:
            return ladder_for(self._networks, wish.device, size).choose(wish, build=False).engine

        batches = Batches(make, single=choice.engine, say=self._say)
        batches.prepare()
        return replace(choice, batches=batches)

    def _built_part(self, row: Report) -> None:
        words = ' '.join(str(row[name]) for name in ('stage', 'detail') if row.get(name))
        if words:
            self._progress = f'building: {words.lower()}'

    def _built(self, error: str) -> None:
        """Take what was built into use, on the builder's thread."""
        if error:
            self._progress, self._error = '', error
            self._say(f'the better engine was not built: {error}')
            return
        self._change_over()

    def take_built(self) -> None:
        """Look for a better engine that another process built; returns at once."""
        threading.Thread(target=self._change_over, name='engine_loader', daemon=True).start()

    def _change_over(self) -> None:
        """Take the best engine that is there, if it is not in use already."""
        try:
            with self._changing:
                choice = self._ladder.choose(self._wish, build=False)
                if (choice.engine_id, choice.verdict) == (
                        self.choice.engine_id, self.choice.verdict):
                    choice.close()
                    self._say(f'nothing better was found: {choice.text()}')
                else:
                    self.offer(self._in_batches(choice))
                    self._say(f'changed over to {choice.text()}')
        except DiceError as fault:
            self._error = fault.text()
            self._say(f'the engine that was built is not used: {self._error}')
        finally:
            self._progress = ''


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


def build_process(settings: Settings, force: bool, on_progress: Callable[[Report], None],
                  on_done: Callable[[str], None]) -> Builder:
    """Return the process that builds what these parameters ask for; see `Builder`."""
    return Builder(build_command(settings) + ['--force'] * force, on_progress=on_progress,
                   on_done=on_done)


def build(weights: Weights, settings: Settings, *, force: bool = False,
          progress: Progress = silent, say: Say = lambda line: None,
          done: Callable[[Choice], None] = lambda choice: None) -> Choice:
    """
    Build here and now what is missing on the way to the best engine.

    On a GPU the same is built for several crops at once, too.

    Args:
        force: build also what is there.
        done: called with the choice before its engine is released.

    Raises:
        EngineError: nothing that is asked for can run or be built.
    """
    ladder, networks = make_ladder(weights, settings, say)
    choice = ladder.choose(wish_of(settings), build=True, force=force, progress=progress)
    if choice.engine_id and on_device(choice.engine) is not None:
        try:
            larger = ladder_for(networks, choice.engine.device, SIZES[-1])
            larger.choose(like(choice), build=True, force=force, progress=progress).close()
        except Cancelled:
            raise
        except EngineError as error:
            say(f'hands are asked one after another: {error.text()}')
    done(choice)
    choice.close()
    return choice
