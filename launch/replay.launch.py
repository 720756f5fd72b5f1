# SPDX-License-Identifier: Apache-2.0
"""
Plays a bag, a clip or pictures through the node, records the results, and ends.

    ros2 launch ros2_dice replay.launch.py bag:=walk.mcap output:=result.mcap

What runs is decided in ros2_dice.ros.replay, which also runs without launch.
"""
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown, TimerAction
from launch.substitutions import LaunchConfiguration

from ros2_dice.ros.launching import node_action
from ros2_dice.ros.replay import REPLAY_ARGUMENTS, SETTLE_S, replay_processes


def start_processes(context: LaunchContext) -> list:
    """Make the processes from the arguments, which have their values by now."""
    given = {name: LaunchConfiguration(name).perform(context) for name in REPLAY_ARGUMENTS}
    source, *others = replay_processes(given)
    end = TimerAction(period=SETTLE_S, actions=[Shutdown(reason='the source is through')])
    # The recorder has to complete its file.
    return [node_action(source, on_exit=[end]),
            *(node_action(process, sigterm_timeout='20') for process in others)]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; an empty one counts as not given."""
    return LaunchDescription([
        *(DeclareLaunchArgument(row.name, default_value=row.default, description=row.description)
          for row in REPLAY_ARGUMENTS.values()),
        OpaqueFunction(function=start_processes)])
