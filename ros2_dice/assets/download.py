# SPDX-License-Identifier: Apache-2.0
"""Let this machine's pip fetch a wheel, as data: indexes, proxies and certificates are pip's."""
from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ros2_dice.assets.manifest import Wheel
from ros2_dice.errors import AssetError

Progress = Callable[[str, int, int], None]
"""Takes a text, what is done and the total; a total of 0 = unknown."""

_POLL_S = 0.1
_STOP_S = 5.0


def no_progress(text: str, done: int, total: int) -> None:
    """Show nothing."""


def download_wheel(wheel: Wheel, folder: Path, progress: Progress = no_progress) -> Path:
    """
    Fetch a wheel into a folder and return its path; nothing of it is installed or run.

    Raises:
        AssetError: there is no pip, or pip could not get the wheel.
    """
    if importlib.util.find_spec('pip') is None:
        raise AssetError('pip is missing in this Python', got=sys.executable,
                         expected='pip, to fetch from the package index',
                         next_step=f'{sys.executable} -m ensurepip, or on Debian and Ubuntu '
                                   f'apt-get install python3-pip, or {offline_hint(wheel)}')
    temporary, dest, log = folder / 'tmp', folder / 'wheel', folder / 'pip.log'
    temporary.mkdir()
    with log.open('wb') as errors:
        process = subprocess.Popen(
            [*pip_command(wheel, python=sys.executable), '--progress-bar', 'off', '--no-input',
             '--disable-pip-version-check', '--dest', str(dest)],
            # pip's own temporary folder lies in ours: its growth is the progress, and it goes
            # with ours when the pull is interrupted.
            env={**os.environ, 'TMPDIR': str(temporary)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            while process.poll() is None:
                progress(f'Fetching {wheel.requirement}',
                         min(_size_bytes(temporary), wheel.size_bytes), wheel.size_bytes)
                _wait(process, _POLL_S)
        finally:
            _stop(process)
    found = sorted(dest.glob('*.whl'))
    if process.returncode or not found:
        raise AssetError(f'pip could not fetch {wheel.requirement}', got=_reason(log),
                         expected='the wheel', next_step=f'check the network and pip config list, '
                                                         f'or {offline_hint(wheel)}')
    progress(f'Fetched {wheel.requirement}', wheel.size_bytes, wheel.size_bytes)
    return found[0]


def pip_command(wheel: Wheel, python: str = 'python3') -> list[str]:
    """Return the command that fetches the wheel on any machine, whatever its Python and CPU."""
    return [python, '-m', 'pip', 'download', '--no-deps', '--only-binary=:all:',
            '--implementation', 'cp', '--python-version', wheel.python,
            '--abi', 'cp' + wheel.python.replace('.', ''), '--platform', wheel.platform,
            wheel.requirement]


def offline_hint(wheel: Wheel) -> str:
    """Return what to do without a network."""
    return (f'on a machine with a network: {" ".join(pip_command(wheel))}; then here: '
            'ros2-dice assets pull --from THE_WHEEL')


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        _wait(process, _STOP_S)
    if process.poll() is None:
        process.kill()
        process.wait()


def _size_bytes(folder: Path) -> int:
    """Return the bytes under a folder in which files come and go."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over folders that are gone, rglob raises
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors='replace').splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith('ERROR:')] or lines
    return errors[-1].removeprefix('ERROR:').strip() if errors else 'no message'
