# SPDX-License-Identifier: Apache-2.0
"""The peer beside us: MediaPipe in its own Python, fed the same frames through one mapped file."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ros2_dice.errors import EstimatorError, why

_SCRIPT = Path(__file__).with_name('peer_mediapipe.py')
_ROS_TRAPS = ('_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'LD_LIBRARY_PATH', 'PYTHONPATH', 'PYTHONHOME')
"""Set by the ROS wheels' bootstrap for this Python; another Python must not inherit them."""


@dataclass(frozen=True)
class PeerBlock:
    """The peer's answer to some frames."""

    times_s: list[float]
    face: list[bool]
    hands: list[int]


class Peer:
    """
    MediaPipe's legacy face mesh and hands in a process of their own.

    Args:
        python: an interpreter with mediapipe installed.
        frames_file: raw RGB frames.
        shape: (frames, height, width, 3) of that file.
        max_hands: hands that the peer may follow. With 2 and one hand in view it looks for the
            second in every frame, which costs it a palm detection.

    Raises:
        EstimatorError: it does not start.
    """

    def __init__(self, python: str | Path, frames_file: Path, shape: tuple[int, ...],
                 max_hands: int = 1) -> None:
        environment = {name: value for name, value in os.environ.items()
                       if name not in _ROS_TRAPS}
        environment['GLOG_minloglevel'] = '2'
        # A file, since a pipe that nobody reads could fill up.
        self._complaints = tempfile.TemporaryFile('w+')  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [str(python), str(_SCRIPT), str(frames_file), *map(str, shape),
                 '--max-hands', str(max_hands)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
                text=True, env=environment)
        except OSError as error:
            raise EstimatorError(f"the peer's Python {python} does not start: {why(error)}",
                                 expected='an interpreter with mediapipe',
                                 next_step=_INSTALL) from error
        self.description = self._answer()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def process(self, frames: Sequence[int]) -> PeerBlock:
        """
        Run the peer on frames of the file, by number.

        Raises:
            EstimatorError: the process ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({'frames': list(frames)}) + '\n')
        self._process.stdin.flush()
        answer = self._answer()
        return PeerBlock(answer['times_s'], answer['face'], answer['hands'])

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)
        self._complaints.close()

    def _answer(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            self._complaints.seek(0)
            last = (self._complaints.read().strip().splitlines() or ['no message'])[-1]
            raise EstimatorError('the peer', got=last, expected='an answer',
                                 next_step=_INSTALL)
        return json.loads(line)


_INSTALL = 'python3 -m venv peer && peer/bin/pip install "mediapipe==0.10.21" "numpy<2"'
