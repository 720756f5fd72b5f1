# SPDX-License-Identifier: Apache-2.0
"""An engine that gives way to a better one between two frames, and the process that builds it."""
from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime.protocol import FloatTensor
from ros2_dice.runtime.rung import Choice


class ServingEngine:
    """
    Stands before the engine in use; `offer` puts another in its place.

    A frame that is being inferred ends on the old engine, the next one begins on the new one.
    """

    def __init__(self, choice: Choice) -> None:
        self._lock = threading.Lock()
        self._choice = choice
        self._retired: list[Choice] = []
        self.inputs: Mapping[str, tuple[int, ...]] = choice.engine.inputs
        self.outputs: Mapping[str, tuple[int, ...]] = choice.engine.outputs
        self._buffers = {name: np.zeros(shape, np.float32) for name, shape in self.inputs.items()}

    @property
    def choice(self) -> Choice:
        """Return what serves now, and why."""
        return self._choice

    @property
    def name(self) -> str:
        """Return the kind of the engine in use."""
        return self._choice.engine.name

    @property
    def device(self) -> str:
        """Return where the engine in use runs."""
        return self._choice.engine.device

    @property
    def precision(self) -> str:
        """Return the arithmetic of the engine in use."""
        return self._choice.engine.precision

    def buffer(self, name: str) -> FloatTensor:
        """Return an input's memory; it stays when the engine changes."""
        return self._buffers[name]

    def infer(self, values: Mapping[str, FloatTensor]) -> Mapping[str, FloatTensor]:
        """Run the engine in use; see `Engine.infer`."""
        with self.lent() as choice:
            return choice.engine.infer(values)

    @contextmanager
    def lent(self) -> Iterator[Choice]:
        """Lend what serves: it stays in use meanwhile, and what it gave before is not valid."""
        with self._lock:
            while self._retired:
                self._retired.pop().close()
            yield self._choice

    def offer(self, choice: Choice) -> None:
        """
        Use another engine from the next frame on; waits for the frame in work.

        Raises:
            EngineError: its inputs or outputs are others; the old one goes on.
        """
        if (dict(choice.engine.inputs), dict(choice.engine.outputs)) != (
                dict(self.inputs), dict(self.outputs)):
            raise EngineError(f'{choice.engine.name} {choice.engine.precision}',
                              state='of other shapes', expected='those of the engine in use')
        with self._lock:
            self._retired.append(self._choice)
            self._choice = choice

    def close(self) -> None:
        """Release all engines."""
        with self._lock:
            for choice in (*self._retired, self._choice):
                choice.close()
            self._retired = []


class Builder:
    """
    Builds in a process of its own, so that neither its memory nor a crash is this process' own.

    Args:
        command: prints one JSON object a line: `stage`, `progress`, `detail`, and at the end
            `error` (words) or the words of the result.
        on_progress: called with each of these objects, on the builder's thread.
        on_done: called once at the end with an error or '', on the builder's thread.
    """

    def __init__(self, command: Sequence[str], *,
                 on_progress: Callable[[Mapping[str, object]], None] = lambda row: None,
                 on_done: Callable[[str], None] = lambda error: None) -> None:
        self._command = list(command)
        self._on_progress = on_progress
        self._on_done = on_done
        self._process: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name='engine_builder', daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Give the build up; what is half built is swept away by the next one."""
        self._stopped.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; tell whether it came in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            error = self._follow()
        except OSError as fault:
            error = f'the build could not be started: {fault.strerror or fault}'
        if not self._stopped.is_set():
            self._on_done(error)

    def _follow(self) -> str:
        self._process = process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # Libraries write in any alphabet; who stops reading them stops them.
            errors='replace', stdin=subprocess.DEVNULL)
        if self._stopped.is_set():
            process.kill()
        assert process.stdout is not None
        assert process.stderr is not None
        noise: list[str] = []
        drain = threading.Thread(target=lambda: noise.extend(process.stderr or []), daemon=True)
        drain.start()
        error = ''
        for line in process.stdout:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # a library's own words
            if isinstance(row, dict):
                error = str(row.get('error', ''))
                self._on_progress(row)
        status = process.wait()
        drain.join()
        if status and not error:
            last = noise[-1].strip() if noise else ''
            error = last or (f'the build was killed by signal {-status}' if status < 0
                             else f'the build ended with exit status {status}')
        return error
