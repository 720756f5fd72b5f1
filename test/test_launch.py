# SPDX-License-Identifier: Apache-2.0
"""
The launch files.

Where the launch system is installed they are read by it. Everywhere they are read by stand-ins
that take exactly the arguments of the classes they stand for, as of ROS 2 Jazzy.
"""
from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from script_module import load_script

from ros2_dice.ros.arguments import ARGUMENTS
from ros2_dice.ros.processes import processes

ROOT = Path(__file__).resolve().parents[1]

try:
    # The folder launch/ of this tree would satisfy a plain `import launch`.
    importlib.import_module('launch.actions')
    HAS_LAUNCH = True
except ImportError:
    HAS_LAUNCH = False


class LaunchDescription_:
    """As launch.LaunchDescription."""

    def __init__(self, initial_entities=None):
        self.entities = list(initial_entities or [])


class DeclareLaunchArgument:
    """As launch.actions.DeclareLaunchArgument."""

    def __init__(self, name, *, default_value=None, description=None, choices=None):
        assert isinstance(default_value, str)
        assert description
        self.name, self.default_value = name, default_value


class OpaqueFunction:
    """As launch.actions.OpaqueFunction."""

    def __init__(self, *, function, args=None, kwargs=None):
        self.function = function


class Shutdown:
    """As launch.actions.Shutdown."""

    def __init__(self, *, reason='reason not given'):
        self.reason = reason


class TimerAction:
    """As launch.actions.TimerAction."""

    def __init__(self, *, period, actions, cancel_on_shutdown=False):
        self.period, self.actions = period, actions


class LaunchConfiguration:
    """As launch.substitutions.LaunchConfiguration."""

    def __init__(self, variable_name, *, default=None):
        self.name = variable_name

    def perform(self, context):
        return context[self.name]


class ParameterValue:
    """As launch_ros.parameter_descriptions.ParameterValue."""

    def __init__(self, value, *, value_type: type = str):
        assert isinstance(value, value_type)
        self.value = value


class Node:
    """As launch_ros.actions.Node, with what it hands on to ExecuteProcess."""

    def __init__(self, *, executable, package=None, name=None, namespace=None, exec_name=None,
                 parameters=None, remappings=None, ros_arguments=None, arguments=None,
                 additional_env=None, respawn=False, respawn_delay=None, output='log',
                 on_exit=None, sigterm_timeout=None):
        assert isinstance(parameters, list)
        assert namespace is None or namespace
        self.__dict__.update(locals())


@pytest.fixture
def stand_ins(monkeypatch):
    """Put the stand-ins where `import launch` looks."""
    def module(name: str, **content: Any) -> None:
        made = types.ModuleType(name)
        made.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, made)

    module('launch', LaunchDescription=LaunchDescription_, LaunchContext=dict)
    module('launch.actions', DeclareLaunchArgument=DeclareLaunchArgument,
           OpaqueFunction=OpaqueFunction, Shutdown=Shutdown, TimerAction=TimerAction)
    module('launch.substitutions', LaunchConfiguration=LaunchConfiguration)
    module('launch_ros')
    module('launch_ros.actions', Node=Node)
    module('launch_ros.parameter_descriptions', ParameterValue=ParameterValue)


def launch_file(name: str) -> types.ModuleType:
    """Import a launch file."""
    return load_script(ROOT / 'launch' / name)


def launched(name: str, given: dict[str, str]) -> list[Any]:
    """Return the actions that a launch file makes of arguments, by the stand-ins."""
    *declared, function = launch_file(name).generate_launch_description().entities
    context = {argument.name: given.pop(argument.name, argument.default_value)
               for argument in declared}
    assert not given, 'not declared'
    return function.function(context)


@pytest.mark.usefixtures('stand_ins')
def test_dice_launch_declares_the_table():
    *declared, _ = launch_file('dice.launch.py').generate_launch_description().entities
    assert [argument.name for argument in declared] == list(ARGUMENTS)


@pytest.mark.usefixtures('stand_ins')
def test_dice_launch_starts_what_the_list_says():
    given = {'image': '/camera/image', 'namespace': 'robot', 'model': 'open', 'rviz': 'true',
             'params_profile': 'network', 'log_level': 'debug'}
    wanted = processes(given)
    actions = launched('dice.launch.py', dict(given))
    assert len(actions) == len(wanted) == 2
    for action, process in zip(actions, wanted):
        assert (action.package, action.executable, action.name) == (
            process.package, process.executable, process.name)
        assert tuple(action.remappings) == process.remappings
        assert action.additional_env == process.environment
        assert action.respawn == process.respawn
        layers = [layer if isinstance(layer, Path) else
                  {name: value.value for name, value in layer.items()}
                  for layer in action.parameters]
        assert layers == list(process.parameters)
    assert actions[0].ros_arguments == ['--log-level', 'debug']


@pytest.mark.usefixtures('stand_ins')
def test_dice_launch_without_arguments_sets_nothing():
    node, = launched('dice.launch.py', {})
    assert node.remappings == []
    assert [set(layer) for layer in node.parameters] == [{'autostart'}]


@pytest.mark.skipif(not HAS_LAUNCH, reason='the launch system is not installed')
@pytest.mark.parametrize('name', ['dice.launch.py', 'replay.launch.py'])
def test_the_real_launch_system_reads_the_files(name):
    launch = importlib.import_module('launch')
    declare = importlib.import_module('launch.actions').DeclareLaunchArgument
    description = launch_file(name).generate_launch_description()
    context = launch.LaunchContext(argv=[])
    declared = [entity for entity in description.entities if isinstance(entity, declare)]
    for argument in declared:
        argument.visit(context)
    assert {'model', 'params_file'} <= {argument.name for argument in declared}


@pytest.mark.usefixtures('stand_ins')
def test_replay_launch_ends_with_its_source(tmp_path):
    pytest.importorskip('rclpy')
    import cv2
    import numpy as np

    picture = tmp_path / 'a.png'
    cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    source, node, recorder = launched('replay.launch.py', {
        'images': str(picture), 'output': str(tmp_path / 'out.mcap')})
    timer, = source.on_exit
    assert isinstance(timer.actions[0], Shutdown)
    assert [action.executable for action in (source, node, recorder)] == [
        'source_node', 'dice_node', 'recorder_node']
    assert float(recorder.sigterm_timeout) > 5
    assert node.output == 'screen'
    assert source.output['stdout'] == 'log'
