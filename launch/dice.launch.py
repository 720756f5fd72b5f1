# SPDX-License-Identifier: Apache-2.0
"""
Starts the node, and RViz if wanted.

    ros2 launch ros2_dice dice.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info

What runs is decided in ros2_dice.ros.processes, which the runner for machines without launch
reads too; `ros2 launch -s ros2_dice dice.launch.py` lists the arguments.
"""
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from ros2_dice.ros.arguments import ARGUMENTS
from ros2_dice.ros.launching import node_action
from ros2_dice.ros.processes import processes


def start_processes(context: LaunchContext) -> list:
    """Make the processes from the arguments, which have their values by now."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    return [node_action(process) for process in processes(given)]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; an empty one counts as not given."""
    return LaunchDescription([
        *(DeclareLaunchArgument(row.name, default_value=row.default, description=row.description)
          for row in ARGUMENTS.values()),
        OpaqueFunction(function=start_processes)])
