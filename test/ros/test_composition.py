# SPDX-License-Identifier: Apache-2.0
"""Two nodes of one name in one process and one executor with threads, each in its namespace."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from fakes import Factory
from image_messages import image
from rclpy.executors import MultiThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from spinning import spinning

from ros2_dice.msg import HandFaceMeshArray
from ros2_dice.ros.node import SUCCESS, DiceNode
from ros2_dice.srv import SetModel

SIDES = ('left', 'right')


class Robot:
    """Two dice nodes, and a node that sends images and hears meshes of both sides."""

    def __init__(self, context: Any) -> None:
        self.dice = {side: DiceNode(
            Factory(), context=context, namespace=side,
            parameter_overrides=[Parameter('input.max_age', value=0.0)]) for side in SIDES}
        self.node = rclpy.create_node('robot', context=context)
        self.heard: dict[str, list[HandFaceMeshArray]] = {side: [] for side in SIDES}
        self.cameras = {}
        for side in SIDES:
            self.cameras[side] = self.node.create_publisher(Image, f'{side}/image', 10)
            self.node.create_subscription(HandFaceMeshArray, f'{side}/dice/hand_face_meshes',
                                          self.heard[side].append, 10)


@pytest.fixture
def robot(context: Any) -> Iterator[Robot]:
    robot = Robot(context)
    with spinning(MultiThreadedExecutor(4, context=context), robot.node, *robot.dice.values()):
        yield robot


def test_each_side_answers_its_own_camera(robot: Robot, wait_until: Callable[..., bool]) -> None:
    for dice in robot.dice.values():
        assert dice.trigger_configure() == SUCCESS
        assert dice.trigger_activate() == SUCCESS

    def connected(side: str) -> bool:
        topic = f'/{side}/dice/hand_face_meshes'
        return bool(robot.cameras[side].get_subscription_count()
                    and robot.dice[side].count_subscribers(topic))

    for number, side in enumerate(SIDES, 1):
        assert wait_until(lambda side=side: connected(side))
        robot.cameras[side].publish(image(number, 1_000_000_000 * number))
    for number, side in enumerate(SIDES, 1):
        assert wait_until(lambda side=side: robot.heard[side])
        assert [array.header.stamp.sec for array in robot.heard[side]] == [number]

    client = robot.node.create_client(SetModel, '/left/dice/set_model')
    assert client.wait_for_service(timeout_sec=60)
    answer = client.call_async(SetModel.Request(model_id='other'))
    assert wait_until(answer.done)
    result = answer.result()
    assert result is not None
    assert result.success
    assert [dice.model_id for dice in robot.dice.values()] == ['other/fake-fp32', 'open/fake-fp32']
