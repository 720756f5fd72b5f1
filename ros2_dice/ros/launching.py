# SPDX-License-Identifier: Apache-2.0
"""The list of processes as actions of the launch system; imports launch_ros where it is used."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from ros2_dice.ros.processes import Process


def node_action(process: Process, **options: Any) -> Any:
    """
    Return launch_ros' description of a process.

    Args:
        process: what to start.
        options: for launch_ros.actions.Node, for example on_exit.
    """
    from launch_ros.actions import Node
    from launch_ros.parameter_descriptions import ParameterValue

    parameters = [
        # Without the type, launch would read the words true and 1 as bool and int.
        layer if isinstance(layer, Path) else {
            name: ParameterValue(value, value_type=type(value)) for name, value in layer.items()}
        for layer in process.parameters]
    return Node(
        package=process.package,
        executable=process.executable,
        name=process.name,
        namespace=process.namespace or None,
        remappings=list(process.remappings),
        parameters=parameters,
        arguments=list(process.arguments),
        ros_arguments=['--log-level', process.log_level] if process.log_level else [],
        additional_env=dict(process.environment),
        respawn=process.respawn,
        respawn_delay=1.0,
        output={'stdout': 'log', 'stderr': 'screen'} if process.quiet else 'screen',
        **options)
