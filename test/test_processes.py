# SPDX-License-Identifier: Apache-2.0
"""The list of processes, their command lines, and the runner."""
from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from parameter_files import flat_parameters

from ros2_dice.errors import ConfigError
from ros2_dice.parameters import PARAMETERS, Settings
from ros2_dice.ros.arguments import ARGUMENTS, BOOLEAN
from ros2_dice.ros.processes import (
    PROFILE_VARIABLES,
    Process,
    command,
    executable,
    main,
    processes,
    start,
    stop,
    watch,
)

ROOT = Path(__file__).resolve().parents[1]

def merged(process: Process) -> dict[str, Any]:
    """Return the parameters as the node sees them."""
    values: dict[str, Any] = {}
    for layer in process.parameters:
        values.update(flat_parameters(layer) if isinstance(layer, Path) else layer)
    return values


def words_of(process: Process) -> list[str]:
    """Return the command line without the first word, the executable."""
    return command(process)[1:]


# --- the list ---

def test_nothing_given_sets_only_autostart():
    found, = processes()
    assert merged(found) == {'autostart': True}
    assert (found.name, found.namespace, found.remappings) == ('dice', '', ())
    assert found.respawn


def test_every_parameter_argument_reaches_its_parameter():
    given = {'model': 'dice', 'backend': 'openvino', 'device': 'cuda:0', 'precision': 'fp16',
             'image_transport': 'compressed', 'autostart': 'false'}
    assert {name for name, row in ARGUMENTS.items() if row.parameter} == set(given)
    values = merged(processes(given)[0])
    assert values == {ARGUMENTS[name].parameter: {'false': False}.get(word, word)
                      for name, word in given.items()}
    Settings(values)


def test_arguments_beat_file_beats_profile_beats_table(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**:\n  ros__parameters:\n    backend:\n      threads: 3\n'
                    '      device: "cuda:1"\n    autostart: false\n')
    values = merged(processes({'params_profile': 'cpu', 'params_file': str(file)})[0])
    assert values['backend.name'] == 'openvino'   # profile over table
    assert values['backend.threads'] == 3          # file over profile
    assert values['backend.device'] == 'cuda:1'
    assert values['autostart'] is False            # file over the launch default
    values = merged(processes({'params_profile': 'cpu', 'params_file': str(file),
                               'device': 'cpu', 'autostart': 'true'})[0])
    assert values['backend.device'] == 'cpu'       # argument over file
    assert values['autostart'] is True


@pytest.mark.parametrize('profile', ['cpu', 'gpu', 'jetson', 'network'])
def test_every_profile_exists_and_is_valid(profile):
    Settings(merged(processes({'params_profile': profile})[0]))


def test_topics_are_remapped_only_when_given():
    found = processes({'image': '/camera/image_raw'})[0]
    assert dict(found.remappings) == {
        'image': '/camera/image_raw', 'image/compressed': '/camera/image_raw/compressed'}
    found = processes({'depth': 'd', 'depth_camera_info': 'i', 'camera_info': 'c'})[0]
    assert dict(found.remappings) == {
        'camera_info': 'c', 'depth': 'd', 'depth/camera_info': 'i'}
    assert merged(found)['depth.enabled'] is True


def test_rviz_follows_name_and_namespace():
    node, rviz = processes({'rviz': 'true', 'namespace': '/robot/', 'name': 'eyes',
                            'use_sim_time': 'true'})
    assert rviz.executable == 'rviz2'
    assert ('/dice/markers', '/robot/eyes/markers') in rviz.remappings
    assert merged(rviz) == {'use_sim_time': True}
    assert merged(node)['use_sim_time'] is True
    assert Path(rviz.arguments[1]).is_file()
    assert processes({'rviz': 'true'})[1].remappings == ()


def test_the_rviz_layout_shows_the_nodes_topics():
    import yaml

    layout = yaml.safe_load((ROOT / 'config' / 'dice.rviz').read_text())
    shown = {display['Topic']['Value'] for display in layout['Visualization Manager']['Displays']
             if 'Topic' in display}
    assert shown == {'/dice/markers', '/dice/overlay'}


def test_the_foxglove_layout_is_whole():
    data = json.loads((ROOT / 'config' / 'foxglove.json').read_text())

    def panels(node: Any) -> set[str]:
        return {node} if isinstance(node, str) else panels(node['first']) | panels(node['second'])

    assert panels(data['layout']) == set(data['configById'])


@pytest.mark.parametrize(('given', 'named'), [
    ({'imag': 'x'}, 'imag'), ({'rviz': 'maybe'}, 'rviz'), ({'precision': 'fp8'}, 'precision'),
    ({'params_profile': 'tpu'}, 'tpu'), ({'params_file': 'no.yaml'}, 'no.yaml'),
    ({'log_level': 'loud'}, 'log_level'), ({'autostart': 'yes'}, 'autostart')])
def test_wrong_arguments_are_refused_by_name(given, named):
    with pytest.raises(ConfigError, match=named):
        processes(given)


def test_choices_are_in_the_descriptions():
    for row in ARGUMENTS.values():
        assert row.choices == BOOLEAN or all(word in row.description for word in row.choices)


def test_an_empty_argument_counts_as_not_given():
    assert processes(dict.fromkeys(ARGUMENTS, '')) == processes()


def test_the_shared_memory_profile_is_set_unless_the_user_has_one(monkeypatch):
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    environment = processes()[0].environment
    assert {Path(environment[v]).name for v in PROFILE_VARIABLES} == {'fastdds_shm.xml'}
    monkeypatch.setenv(PROFILE_VARIABLES[0], 'mine.xml')
    assert not set(PROFILE_VARIABLES) & set(processes()[0].environment)


@pytest.mark.parametrize(('name', 'loopback'), [('fastdds_shm', False), ('fast_ci', True)])
def test_the_profiles_have_room_for_images(name, loopback):
    tree = ElementTree.parse(ROOT / 'config' / f'{name}.xml')
    text = ElementTree.tostring(tree.getroot(), encoding='unicode')
    assert '33554432' in text
    assert 'UDPv4' in text
    assert ('127.0.0.1' in text) is loopback


def test_names_of_parameters_in_the_arguments_exist():
    assert {row.parameter for row in ARGUMENTS.values()} - {''} <= set(PARAMETERS)


# --- the command line ---

def test_values_keep_their_types_on_the_command_line(monkeypatch):
    monkeypatch.setattr('ros2_dice.ros.processes.executable', lambda name, package: f'/{name}')
    process = Process('n', 'dice', 'a/b', parameters=({
        'flag': True, 'whole': 3, 'double': 5.0, 'tiny': 1e-5, 'huge': 1e22,
        'text': "it's", 'digits': '1'}, Path('/p.yaml')), remappings=(('image', 'x'),),
        arguments=('-d', 'f'), log_level='warn')
    words = command(process)
    assert words[:4] == ['/n', '-d', 'f', '--ros-args']
    assert '__node:=dice' in words
    assert '__ns:=/a/b' in words
    assert 'image:=x' in words
    assert {'flag:=true', 'whole:=3', 'double:=5.0', "text:='it''s'", "digits:='1'"} <= set(words)
    for name, value in (('tiny', 1e-5), ('huge', 1e22)):
        word = next(word for word in words if word.startswith(name)).partition(':=')[2]
        assert '.' in word
        assert float(word) == value
    assert words.index('flag:=true') < words.index('/p.yaml')
    assert words[-2:] == ['--log-level', 'warn']


def test_a_missing_executable_names_the_next_step():
    with pytest.raises(ConfigError, match='rviz2'):
        executable('rviz2_that_is_not_there', 'rviz2')


LISTENER = """
import json, sys
import rclpy
from rclpy.node import Node
rclpy.init(args=sys.argv)
node = Node('x', automatically_declare_parameters_from_overrides=True)
print(json.dumps({name: value.value for name, value in node.get_parameters_by_prefix('').items()}))
print(node.get_fully_qualified_name(), node.resolve_topic_name('image'))
"""


@pytest.mark.parametrize(('key', 'namespace'), [
    ('/**', 'robot'), ('/**/dice', 'robot'), ('/robot/dice', 'robot'), ('dice', ''),
    ('/dice', '')])
def test_a_real_node_reads_the_layers_in_order(tmp_path, monkeypatch, key, namespace):
    """Whatever key the user's file has: rcl's own order of keys is not the order of files."""
    pytest.importorskip('rclpy')
    monkeypatch.setattr('ros2_dice.ros.processes.executable', lambda *_: 'x')
    file = tmp_path / 'mine.yaml'
    file.write_text(f'{key}:\n  ros__parameters:\n    autostart: false\n'
                    '    backend: {threads: 3, device: "cuda:1"}\n')
    process = processes({
        'params_profile': 'cpu', 'params_file': str(file), 'device': 'cuda:0',
        'namespace': namespace, 'image': '/cam/image'})[0]
    done = subprocess.run([sys.executable, '-c', LISTENER, *words_of(process)], text=True,
                          capture_output=True, check=True)
    values, names = done.stdout.splitlines()
    seen = json.loads(values)
    assert seen['backend.name'] == 'openvino'
    assert seen['backend.threads'] == 3
    assert seen['backend.device'] == 'cuda:0'
    assert seen['autostart'] is False
    assert names == f'/{namespace}/dice /cam/image'.replace('//', '/')


# --- the runner ---

def script(monkeypatch: pytest.MonkeyPatch, **codes: str) -> dict[str, Process]:
    """Return processes that run Python code instead of nodes."""
    monkeypatch.setattr(
        'ros2_dice.ros.processes.command',
        lambda process: [sys.executable, '-c', codes[process.executable]])
    return {name: Process(name, name) for name in codes}


def test_stop_ends_even_what_ignores_signals(monkeypatch):
    stubborn = ('import signal, time\nfor n in (signal.SIGINT, signal.SIGTERM):\n'
                '    signal.signal(n, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(60)')
    made = script(monkeypatch, stubborn=stubborn, polite='input()')
    running = [start(made['stubborn'], stdout=subprocess.PIPE),
               start(made['polite'], stdin=subprocess.PIPE)]
    assert running[0].stdout is not None
    assert running[1].stdin is not None
    running[0].stdout.readline()
    stop(running, grace_s=0.5)
    assert running[0].returncode == -signal.SIGKILL
    assert running[1].returncode not in (None, 0)
    running[0].stdout.close()
    running[1].stdin.close()


def test_watch_ends_when_the_first_process_ends(monkeypatch, capfd):
    made = script(monkeypatch, first='raise SystemExit(3)', other='import time; time.sleep(60)')
    assert watch([made['first'], made['other']], lambda: False) == 3
    said = capfd.readouterr().err
    assert said.count('first ended with status 3: not started again (respawn is false)\n') == 1


def test_watch_says_once_that_a_helper_has_crashed(monkeypatch, tmp_path, capfd):
    crash = f'import os, pathlib\npathlib.Path({str(tmp_path / "gone")!r}).touch()\nos.abort()'
    wait = ('import pathlib, time\n'
            f'while not pathlib.Path({str(tmp_path / "end")!r}).exists():\n    time.sleep(0.01)')
    made = script(monkeypatch, main=wait, helper=crash)
    calls = itertools.count()

    def asked():
        if (tmp_path / 'gone').exists() and next(calls) > 20:
            (tmp_path / 'end').touch()

    assert watch([made['main'], made['helper']], asked) == 0
    assert capfd.readouterr().err.count('helper was killed by signal 6: not started again') == 1


def test_watch_starts_a_crashed_process_again(monkeypatch, tmp_path):
    log = tmp_path / 'log'
    code = (f'import os\nf = open({str(log)!r}, "a+"); f.write("x"); f.flush(); f.seek(0)\n'
            'os._exit(0 if len(f.read()) == 3 else 9)')
    made = script(monkeypatch, flaky=code)
    process = Process('flaky', 'flaky', respawn=True)
    assert made['flaky'].respawn is False
    assert watch([process], lambda: False, respawn_delay_s=0.01) == 0
    assert log.read_text() == 'xxx'


def test_watch_does_not_repeat_what_was_refused(monkeypatch, tmp_path, capfd):
    log = tmp_path / 'log'
    script(monkeypatch, strict=f'open({str(log)!r}, "a").write("x"); raise SystemExit(2)')
    process = Process('strict', 'strict', respawn=True)
    assert watch([process], lambda: False, respawn_delay_s=0.01) == 2
    assert log.read_text() == 'x'
    assert 'strict refused its arguments or parameters' in capfd.readouterr().err


def test_watch_stops_everything_when_asked(monkeypatch):
    made = script(monkeypatch, first='import time; time.sleep(60)')
    calls = iter([False, False, True])
    assert watch([made['first']], lambda: next(calls)) == 0


def test_a_process_that_cannot_start_leaves_none_behind(monkeypatch):
    made = script(monkeypatch, first='import time; time.sleep(60)')
    begun: list[subprocess.Popen[Any]] = []

    def begin(process: Process) -> subprocess.Popen[Any]:
        if begun:
            raise ConfigError('executable rviz2', expected='to be installed')
        begun.append(start(process))
        return begun[0]

    monkeypatch.setattr('ros2_dice.ros.processes.start', begin)
    with pytest.raises(ConfigError, match='rviz2'):
        watch([made['first'], Process('second', 'second')], lambda: False)
    assert begun[0].poll() is not None


@pytest.mark.parametrize('number', [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_runner(tmp_path, wait_until, number):
    noted = tmp_path / 'pid'
    child = (f'import os, pathlib, time\npathlib.Path({str(noted)!r}).write_text(str(os.getpid()))'
             '\ntime.sleep(60)')
    code = ('import sys\nfrom ros2_dice.ros import processes\n'
            f'processes.command = lambda process: [sys.executable, "-c", {child!r}]\n'
            'sys.exit(processes.run(lambda: [processes.Process("first", "first")]))')
    runner = subprocess.Popen([sys.executable, '-c', code])
    try:
        assert wait_until(lambda: noted.is_file() and noted.read_text())
        runner.send_signal(number)
        assert runner.wait(60) == (-number if number == signal.SIGKILL else 0)
        assert wait_until(lambda: not alive(int(noted.read_text())))
    finally:
        runner.kill()
        runner.wait()


def alive(pid: int) -> bool:
    """Tell whether a process is there and is more than a remainder without a parent's wait."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


@pytest.mark.parametrize('words', [['rviz:=maybe'], ['imag:=x'], ['params_file:=no.yaml']])
def test_the_runner_says_what_is_wrong(words, capsys):
    assert main(words) == 2
    assert words[0].partition(':=')[0] in capsys.readouterr().err


def test_the_runner_lists_the_arguments():
    done = subprocess.run([sys.executable, '-m', 'ros2_dice.ros.processes', '--help'], cwd=ROOT,
                          text=True, capture_output=True, check=True)
    assert all(name in done.stdout for name in ARGUMENTS)
