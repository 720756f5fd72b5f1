# SPDX-License-Identifier: Apache-2.0
"""The demo's three processes: started in order, watched, stopped, whatever happens."""
from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ros2_dice.errors import DiceError
from ros2_dice.parameters import Value
from ros2_dice.ros.domain import DOMAIN_VARIABLE, DomainClaim
from ros2_dice.ros.processes import Process, added_environment, processes, start, stop

START_TIMEOUT_S = 120.0
_SETTLE_S = 20.0
_LOG_LINES = 8
_FULL_BYTES = 64 * 1024
"""With less room than this, a process that ended had probably none left."""


class SessionError(DiceError):
    """A process of the demo ended or hangs."""


@dataclass(frozen=True)
class Plan:
    """What the demo shall run."""

    source: str
    out: Path
    model: str = 'open'
    realtime: bool = False
    transport: str = 'raw'
    max_persons: int = 1
    topic: str = ''
    live: bool = False
    """The source has no end: the first Ctrl-C ends it, and what came so far is the result."""
    parameters: dict[str, Value] = field(default_factory=dict)
    """Further parameters of the node."""


@dataclass
class Outcome:
    """The last words of source and recorder."""

    source: dict[str, Any]
    recorder: dict[str, Any]


class _Child:
    """A process whose stdout is read as lines of JSON and whose stderr goes to a file."""

    def __init__(self, process: Process, log: Path) -> None:
        self.name, self.log = process.name, log
        self.state: dict[str, Any] = {}
        with log.open('wb') as errors:
            self.popen = start(process, stdout=subprocess.PIPE, stderr=errors,
                               stdin=subprocess.DEVNULL)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self.log.open('ab') as other:
            for line in self.popen.stdout or ():
                try:
                    state = json.loads(line)
                except ValueError:
                    state = None
                if isinstance(state, dict):
                    self.state = state
                else:
                    other.write(line)
                    other.flush()

    def wait_for_last_words(self) -> None:
        self._thread.join(5)

    def tail(self, found: str = '') -> str:
        """Return the last lines of the log, or those that hold a text."""
        lines = [line for line in self.log.read_text(errors='replace').splitlines()
                 if line.strip() and found in line]
        if not found and shutil.disk_usage(self.log.parent).free < _FULL_BYTES:
            # What the process had to say about it is not in its log.
            lines.append(f'no room is left in {self.log.parent.parent}')
        return '\n'.join('  ' + line for line in lines[-_LOG_LINES:])


class Session:
    """
    Runs a plan.

    Args:
        progress: called some ten times a second with the states of source and recorder.
    """

    def __init__(self, plan: Plan, progress: Callable[[dict[str, Any], dict[str, Any]], None]
                 ) -> None:
        self._plan = plan
        self._progress = progress
        self._children: list[_Child] = []
        self._asked: list[int] = []
        self._logs = plan.out / 'log'
        self._domain = DomainClaim()
        self.domain_id = self._domain.id

    @property
    def recorded(self) -> dict[str, int]:
        """Return how many messages of each topic are in the recording, as last heard."""
        states = [child.state for child in self._children if child.name == 'recorder']
        return states[0].get('recorded', {}) if states else {}

    def run(self) -> Outcome:
        """
        Start everything, wait until the source is through, stop everything.

        Raises:
            SessionError: a process ended early or does not come up; its last lines are in it.
            KeyboardInterrupt: a signal asked for the end; everything is stopped.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        with _interruptible() as self._asked:
            try:
                return self._run()
            finally:
                # The recorder completes its file first, the node may end after it.
                for child in reversed(self._children):
                    stop([child.popen], grace_s=15.0 if child.name == 'recorder' else 5.0)
                    child.wait_for_last_words()
                self._domain.close()

    def _run(self) -> Outcome:
        node = self._begin(self._node())
        recorder = self._begin(self._recorder())
        self._wait(lambda: recorder.state.get('ready'), START_TIMEOUT_S, 'the node to come up')
        source = self._begin(self._source())
        self._wait(lambda: source.popen.poll() is not None, float('inf'), '', ends=source)
        source.wait_for_last_words()
        if source.popen.returncode:
            raise SessionError(f'the source ended with status {source.popen.returncode}:\n'
                               f'{source.tail() or node.tail()}')
        give_up_s = time.monotonic() + _SETTLE_S
        while not self._settled(source.state, recorder.state) and time.monotonic() < give_up_s:
            self._step()
        stop([recorder.popen], grace_s=20.0)
        recorder.wait_for_last_words()
        if recorder.popen.returncode or not recorder.state.get('last'):
            raise SessionError(f'the recorder ended with status {recorder.popen.returncode} before'
                               f' its file was complete:\n{recorder.tail()}')
        return Outcome(source.state, recorder.state)

    def _settled(self, source: dict[str, Any], recorder: dict[str, Any]) -> bool:
        """Tell whether the node's last statistics and all results have been recorded."""
        counts = recorder.get('statistics', {})
        results = recorder.get('recorded', {}).get('/dice/hand_face_meshes', 0)
        known = counts.get('processed', -1) + counts.get('dropped', 0)
        return (counts.get('pending') == 0 and known == counts.get('received')
                and counts.get('published') == results and results >= source.get('results', 0)
                and (self._plan.realtime or known == source.get('sent')))

    def _begin(self, process: Process) -> _Child:
        child = _Child(process, self._logs / f'{process.name}.log')
        self._children.append(child)
        return child

    def _wait(self, done: Callable[[], object], timeout_s: float, what: str,
              ends: _Child | None = None) -> None:
        give_up_s = time.monotonic() + timeout_s
        while not done():
            for child in self._children:
                if child is not ends and child.popen.poll() is not None:
                    raise SessionError(f'the {child.name} ended with status '
                                       f'{child.popen.returncode}:\n{child.tail()}')
            # Once images flow, a frame that failed is one of the results, and says so in the log.
            failed = '' if ends else self._children[0].tail(' failed: ')
            if failed:
                raise SessionError(f'the node did not come up:\n{failed}')
            if time.monotonic() > give_up_s:
                raise SessionError(f'waited {timeout_s:g} s for {what}; its last lines:\n'
                                   f'{self._children[0].tail()}')
            self._step(ends)

    def _step(self, ends: _Child | None = None) -> None:
        """Show how far it is; pass the first Ctrl-C on to a running source without an end."""
        states = {child.name: child.state for child in self._children}
        self._progress(states.get('source', {}), states.get('recorder', {}))
        if self._asked:
            passed_on = self._asked == [signal.SIGINT] and self._plan.live
            if not (passed_on and ends is not None and ends.state.get('sent')):
                raise KeyboardInterrupt
            self._asked.clear()
            ends.popen.send_signal(signal.SIGINT)
        time.sleep(0.1)

    def _environment(self) -> dict[str, str]:
        profile = str(_profile())
        return {**added_environment(), DOMAIN_VARIABLE: str(self.domain_id),
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                'FASTRTPS_DEFAULT_PROFILES_FILE': profile,
                'FASTDDS_DEFAULT_PROFILES_FILE': profile,
                'ROS_LOG_DIR': str(self._logs / 'ros'), 'PYTHONUNBUFFERED': '1'}

    def _node(self) -> Process:
        node, = processes({'model': self._plan.model, 'image_transport': self._plan.transport,
                           'respawn': 'false'})
        paced: dict[str, Value] = {} if self._plan.realtime else {
            'input.reliable': True, 'input.queue_depth': 10, 'tracking.deterministic_ids': True}
        # The images of a bag have the stamps of the day on which it was recorded.
        age: dict[str, Value] = {} if self._plan.live else {'input.max_age': 0.0}
        chosen: dict[str, Value] = {
            **paced, **age, 'detection.max_persons': self._plan.max_persons,
            **self._plan.parameters}
        return dataclasses.replace(node, parameters=(*node.parameters, chosen),
                                   environment=self._environment())

    def _recorder(self) -> Process:
        return Process('recorder_node', 'recorder', environment=self._environment(), parameters=({
            'path': str((self._plan.out / 'recording.mcap').resolve()),
            'image_transport': self._plan.transport,
            'reliable_images': not self._plan.realtime},))

    def _source(self) -> Process:
        return Process(
            'source_node', 'source', environment=self._environment(),
            remappings=(('results', '/dice/hand_face_meshes'),),
            parameters=({'source': self._plan.source, 'topic': self._plan.topic,
                         'realtime': self._plan.realtime, 'subscribers': 2},))


def _profile() -> Path:
    from ros2_dice.share import share_folder

    return share_folder() / 'config' / 'fast_ci.xml'


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """
    Collect Ctrl-C, SIGTERM and a closed terminal in a list that the session looks at.

    An exception out of a handler could come up where nobody can pass it on.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, lambda got, _: asked.append(got))
              for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
