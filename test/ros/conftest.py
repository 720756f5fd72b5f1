# SPDX-License-Identifier: Apache-2.0
"""A dice node with a fake estimator in a thread of its own, and what talks to it."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')

import rclpy
from fakes import Factory
from image_messages import image
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from spinning import spinning

from ros2_dice.msg import HandFaceMeshArray
from ros2_dice.ros.node import DiceNode


@pytest.fixture(scope='session')
def context() -> Iterator[Any]:
    """
    One DDS participant for all tests here, instead of two for each.

    A process that keeps making participants gives new ones the ids of dead ones, whose last words
    then take endpoints of the new ones away. Tests between processes are in test/system.
    """
    context = Context()
    rclpy.init(args=[], context=context)
    yield context
    rclpy.try_shutdown(context=context)  # type: ignore[reportPrivateImportUsage]


@pytest.fixture
def node(context: Any) -> Iterator[Any]:
    node = rclpy.create_node('test_node', context=context)
    with spinning(SingleThreadedExecutor(context=context), node):
        yield node


@pytest.fixture
def factory() -> Factory:
    return Factory()


@pytest.fixture
def make_dice(factory: Factory, context: Any) -> Iterator[Callable[..., DiceNode]]:
    """
    `make_dice(active=True, **parameters)`: names with __ for the point.

    No image is too old unless a test says so: a loaded machine may take longer than the default.
    """
    with contextlib.ExitStack() as running:
        def make(active: bool = True, **values: Any) -> DiceNode:
            overrides = [Parameter(name.replace('__', '.'), value=value)
                         for name, value in {'input__max_age': 0.0, **values}.items()]
            dice = DiceNode(factory, context=context, parameter_overrides=overrides)
            if active:
                dice.trigger_configure()
                dice.trigger_activate()
            running.enter_context(spinning(SingleThreadedExecutor(context=context), dice))
            return dice

        yield make


class Camera:
    """Publishes images and hears the meshes."""

    def __init__(self, node: Any, wait_until: Callable[..., bool]) -> None:
        self.node = node
        self._wait_until = wait_until
        self.meshes: list[HandFaceMeshArray] = []
        self.publisher = node.create_publisher(Image, '/image', 10)
        node.create_subscription(HandFaceMeshArray, '/dice/hand_face_meshes', self.meshes.append,
                                 50)

    def connect(self, dice: DiceNode) -> None:
        """Wait until the node hears the images and is heard, on all topics listened to."""
        def heard() -> bool:
            names = {s.topic_name for s in self.node.subscriptions}
            return all(p.get_subscription_count() for p in dice.publishers
                       if p.topic_name in names)

        assert self._wait_until(lambda: self.publisher.get_subscription_count() and heard())

    def send(self, number: int = 0, **fields: Any) -> Image:
        """Publish an image of this grey, stamped now; fields replace its own."""
        message = image(number, self.node.get_clock().now().nanoseconds)
        for name, value in fields.items():
            setattr(message, name, value)
        self.publisher.publish(message)
        return message

    def look(self, number: int = 0, **fields: Any) -> HandFaceMeshArray:
        """Publish an image and return what the node says to it."""
        before = len(self.meshes)
        message = self.send(number, **fields)
        assert self._wait_until(lambda: len(self.meshes) > before), 'no answer to an image'
        assert self.meshes[-1].header == message.header
        return self.meshes[-1]


@pytest.fixture
def camera(node: Any, wait_until: Callable[..., bool]) -> Camera:
    return Camera(node, wait_until)


@pytest.fixture
def call(node: Any, wait_until: Callable[..., bool]) -> Callable[..., Any]:
    """`call(type, name, request)`: the response of a service."""
    clients: dict[str, Any] = {}

    def call(kind: Any, name: str, request: Any, timeout_s: float = 60.0) -> Any:
        client = clients.get(name)
        if client is None:
            client = clients[name] = node.create_client(kind, name)
            assert client.wait_for_service(timeout_sec=timeout_s)
        future = client.call_async(request)
        assert wait_until(future.done, timeout_s)
        return future.result()

    return call


@pytest.fixture
def only(wait_until: Callable[..., bool]) -> Callable[[Callable[[], Any]], Any]:
    """`only(infos)`: the one endpoint of a topic, once those of the last test are gone."""
    def only(infos: Callable[[], Any]) -> Any:
        assert wait_until(lambda: len(infos()) == 1), [info.node_name for info in infos()]
        return infos()[0]

    return only
