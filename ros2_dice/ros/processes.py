# SPDX-License-Identifier: Apache-2.0
"""
What runs, as plain data: the launch file and the command line's runner read the same list.

There is no wheel of `launch`, so this module also starts, watches and stops the processes:

    python -m ros2_dice.ros.processes image:=/camera/image_raw model:=open

Parameter values come, lowest first, from the table in `ros2_dice.parameters`, from the profile,
from params_file, and from the arguments that were given. An argument that is not given sets
nothing.
"""
from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ros2_dice.errors import ConfigError, DiceError, install_hint
from ros2_dice.parameters import Value
from ros2_dice.ros.arguments import (
    ARGUMENTS,
    check_arguments,
    existing_file,
    parameter_value,
    parse_words,
)
from ros2_dice.ros.children import end_with_parent
from ros2_dice.share import share_folder

REFUSED = 2
"""Exit status of a process that refuses its arguments or parameters."""
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Where Fast DDS looks for its profile: up to release 2, and from release 3 on."""


@dataclass(frozen=True)
class Process:
    """One process, described so that launch and this module start the same thing."""

    executable: str
    """File in lib/<package>."""
    name: str
    """Name of the node."""
    namespace: str = ''
    package: str = 'ros2_dice'
    remappings: tuple[tuple[str, str], ...] = ()
    parameters: tuple[Path | Mapping[str, Value], ...] = ()
    """Files and values; later ones win."""
    arguments: tuple[str, ...] = ()
    """Words before --ros-args."""
    log_level: str = ''
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that are added."""
    respawn: bool = False
    quiet: bool = False
    """Its stdout is for programs, not for people."""


def processes(given: Mapping[str, str] | None = None) -> list[Process]:
    """
    Return the processes for launch arguments: the node, and RViz if wanted.

    Args:
        given: the arguments that were given; an empty value counts as not given.

    Raises:
        ConfigError: an unknown argument, a value that is not allowed, a missing file.
    """
    words = check_arguments(given or {})
    argument = {name: words.get(name, row.default) for name, row in ARGUMENTS.items()}

    values: dict[str, Value] = {}
    for row in ARGUMENTS.values():
        if row.parameter and row.name in words:
            values[row.parameter] = parameter_value(row.parameter, words[row.name])
    if 'depth' in words:
        values['depth.enabled'] = True
    sim_time: dict[str, Value] = {}
    if 'use_sim_time' in words:
        sim_time['use_sim_time'] = words['use_sim_time'] == 'true'
    layers: list[Path | Mapping[str, Value]] = [{'autostart': True}]
    if argument['params_profile'] != 'none':
        layers.append(share_folder() / 'config' / f'{argument["params_profile"]}.yaml')
    if 'params_file' in words:
        layers.append(existing_file('params_file', words['params_file']))
    values.update(sim_time)
    if values:
        layers.append(override_file(values, argument['namespace'], argument['name'])
                      if 'params_file' in words else values)

    remappings = [(row.topic, words[row.name]) for row in ARGUMENTS.values()
                  if row.topic and row.name in words]
    # A remapping holds for one exact name, not for what lies under it.
    if 'image' in words:
        remappings.append(('image/compressed', f'{words["image"]}/compressed'))

    found = [Process(
        'dice_node', argument['name'], argument['namespace'], remappings=tuple(remappings),
        parameters=tuple(layers), log_level=argument['log_level'],
        environment=added_environment(), respawn=argument['respawn'] == 'true')]
    if argument['rviz'] == 'true':
        found.append(rviz(found[0], sim_time))
    return found


def override_file(values: Mapping[str, Value], namespace: str, name: str) -> Path:
    """
    Write values to a parameter file that beats any block of an earlier file.

    rcl gives a node the blocks that match its name in the order in which their KEYS first came up,
    so `-p` (which means the key /**) after a file that names the node in full would lose. A file
    with every key that may match wins in each order. It is deleted when this program ends.

    Args:
        values: parameter names and values.
        namespace: of the node.
        name: of the node.
    """
    full = '/' + '/'.join(filter(None, (namespace.strip('/'), name)))
    keys = dict.fromkeys(('/**', f'/**/{name}', full))
    handle, path = tempfile.mkstemp(prefix='ros2_dice_', suffix='.yaml')
    with open(handle, 'w', encoding='utf-8') as file:
        for key in keys:
            file.write(f'{key}:\n  ros__parameters:\n')
            file.writelines(f'    {item}: {_word(value)}\n' for item, value in values.items())
    atexit.register(Path(path).unlink, missing_ok=True)
    return Path(path)


def rviz(node: Process, sim_time: Mapping[str, Value]) -> Process:
    """Return RViz with this package's layout, looking at the topics of a node."""
    prefix = '/' + '/'.join(filter(None, (node.namespace.strip('/'), node.name)))
    shown = ('markers', 'overlay', 'overlay/compressed')
    return Process(
        'rviz2', 'dice_rviz', package='rviz2',
        remappings=tuple((f'/dice/{topic}', f'{prefix}/{topic}') for topic in shown
                         if prefix != '/dice'),
        parameters=(sim_time,) if sim_time else (),
        arguments=('-d', str(share_folder() / 'config' / 'dice.rviz')),
        environment=node.environment)


def added_environment(profile: str = 'fastdds_shm.xml') -> dict[str, str]:
    """
    Return the variables that the processes need beyond those of this one.

    Args:
        profile: file in config/; fastdds_shm.xml for robots, fast_ci.xml for one machine alone.
    """
    added: dict[str, str] = {}
    if not any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        path = str(share_folder() / 'config' / profile)
        added.update(dict.fromkeys(PROFILE_VARIABLES, path))
    if not os.environ.get('AMENT_PREFIX_PATH') and Path(
            sys.prefix, 'share', 'ament_index').is_dir():
        added['AMENT_PREFIX_PATH'] = sys.prefix
    return added


def executable(name: str, package: str = 'ros2_dice') -> str:
    """
    Return the path of an installed executable: as ROS looks, then beside this Python.

    Raises:
        ConfigError: it is not installed.
    """
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    for prefix in filter(None, prefixes):
        path = Path(prefix, 'lib', package, name)
        if os.access(path, os.X_OK):
            return str(path)
    raise ConfigError(f'executable {name} of package {package}', expected='to be installed',
                      next_step=f"{install_hint('ros')}, or source the workspace's setup.bash"
                      if package == 'ros2_dice' else f'apt install ros-$ROS_DISTRO-{package}')


def command(process: Process) -> list[str]:
    """
    Return the command line of a process.

    Raises:
        ConfigError: its executable is not installed.
    """
    words = [executable(process.executable, process.package), *process.arguments, '--ros-args',
             '-r', f'__node:={process.name}']
    if process.namespace.strip('/'):
        words += ['-r', f'__ns:=/{process.namespace.strip("/")}']
    for source, target in process.remappings:
        words += ['-r', f'{source}:={target}']
    for layer in process.parameters:
        if isinstance(layer, Path):
            words += ['--params-file', str(layer)]
        else:
            for name, value in layer.items():
                words += ['-p', f'{name}:={_word(value)}']
    if process.log_level:
        words += ['--log-level', process.log_level]
    return words


def _word(value: Value) -> str:
    """Return a value so that the YAML reader behind -p gives it the right type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float):
        return format(value, '.17g') if '.' in format(value, '.17g') else f'{value:.1f}'
    return str(value)


def start(process: Process, **options: Any) -> subprocess.Popen[Any]:
    """
    Start a process in a session of its own; it ends when this one does, even if that is killed.

    So a terminal's Ctrl-C reaches only this program, which passes it on once.

    Args:
        options: for subprocess.Popen, for example stdout and stderr.

    Raises:
        ConfigError: its executable is not installed.
    """
    options.setdefault('start_new_session', True)
    options.setdefault('preexec_fn', end_with_parent)
    if process.quiet:
        options.setdefault('stdout', subprocess.DEVNULL)
    return subprocess.Popen(
        command(process), env={**os.environ, **process.environment}, **options)


def stop(running: Iterable[subprocess.Popen[Any]], grace_s: float = 5.0) -> None:
    """Send SIGINT, then SIGTERM, then SIGKILL, with `grace_s` seconds for each, and reap."""
    running = list(running)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for process in running:
            if process.poll() is None:
                process.send_signal(number)
        end_s = time.monotonic() + grace_s
        while time.monotonic() < end_s:
            if all(process.poll() is not None for process in running):
                return
            time.sleep(0.02)


def watch(wanted: Sequence[Process], asked: Callable[[], object], *,
          respawn_delay_s: float = 1.0, settle_s: float = 0.0) -> int:
    """
    Run processes until `asked` returns true or the first one ends; then stop the others.

    A process with `respawn` that crashes is started again; one that refused what it was asked
    for would only refuse it again.

    Args:
        wanted: the first one is the main one; the others may end when they like.
        asked: called some 20 times a second.
        respawn_delay_s: between a crash and the next start [s].
        settle_s: between the end of the first process and that of the others [s].

    Returns:
        0 when asked, else the exit status of the first process.
    """
    running: list[subprocess.Popen[Any]] = []
    due_s: dict[int, float] = {}
    told: set[int] = set()
    try:
        running.extend(start(process) for process in wanted)
        while not asked():
            now_s = time.monotonic()
            for index, process in enumerate(wanted):
                status = running[index].poll()
                if status is not None and index not in told and (
                        line := _not_again(process, status)):
                    told.add(index)
                    print(line, file=sys.stderr, flush=True)
                if status in (None, 0, REFUSED) or not process.respawn:
                    continue
                if now_s >= due_s.setdefault(index, now_s + respawn_delay_s):
                    del due_s[index]
                    running[index] = start(process)
            if running[0].poll() is not None and 0 not in due_s:
                time.sleep(settle_s)
                return running[0].returncode
            time.sleep(0.05)
        return 0
    finally:
        stop(running)


def _not_again(process: Process, status: int) -> str:
    """Return why a process that has ended is not started again; empty = it is, or ended well."""
    if status == REFUSED and process.respawn:
        return f'{process.name} refused its arguments or parameters: not started again'
    if status and not process.respawn:
        how = f'was killed by signal {-status}' if status < 0 else f'ended with status {status}'
        return f'{process.name} {how}: not started again (respawn is false)'
    return ''


def run(make: Callable[[], Sequence[Process]], *, settle_s: float = 0.0) -> int:
    """
    Make and run processes until they end, or Ctrl-C, SIGTERM or a closed terminal ends this one.

    Returns:
        The exit status: 2 = what was asked for is wrong, and stderr says why.
    """
    try:
        wanted = make()
        asked: list[bool] = []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: asked.append(True))
        return watch(wanted, lambda: asked, settle_s=settle_s)
    except DiceError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


def main(words: Sequence[str] | None = None) -> int:
    """Run what NAME:=VALUE words ask for until interrupted; return the exit status."""
    given = parse_words(words, 'python -m ros2_dice.ros.processes',
                        'Run the node without the launch system. Arguments of dice.launch.py:')
    return run(lambda: processes(given))


if __name__ == '__main__':
    sys.exit(main())
