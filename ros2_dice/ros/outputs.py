# SPDX-License-Identifier: Apache-2.0
"""All publishers of results; what nobody listens to is not computed."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from ros2_dice.msg import (
    ContactArray,
    HandFaceMeshArray,
    HandJointsArray,
    MeshTopologyArray,
)
from ros2_dice.parameters import Settings
from ros2_dice.ros import qos
from ros2_dice.ros.contacts import Touch
from ros2_dice.ros.markers import MarkerMaker
from ros2_dice.ros.messages import (
    TopologyBook,
    contact_array,
    joints_array,
    mesh_array,
    status_of,
    topology_array,
)
from ros2_dice.ros.tf import FrameBroadcaster
from ros2_dice.types import Frame, HandFaceEstimate

_FAILED = HandFaceMeshArray.STATUS_FAILED
_UNKNOWN = ContactArray.STATUS_UNKNOWN


@dataclass(frozen=True)
class Result:
    """What came of one image."""

    header: Header
    time_ns: int
    """Of the image: its stamp, or another time that goes on where images have none."""
    size_px: tuple[int, int]
    """(width, height) of the image as it came."""
    intrinsics_px: tuple[float, float, float, float]
    estimates: tuple[HandFaceEstimate, ...]
    """In the optical frame of the header."""
    touches: Sequence[Touch]
    frame: Frame
    """Upright."""
    upright_estimates: tuple[HandFaceEstimate, ...]
    """As of the upright frame, for drawing on it."""


class Outputs:
    """
    Publishes results; used on the worker's thread, its topologies on the executor's too.

    Raises:
        ConfigError: an output is wanted whose package is not installed.
    """

    def __init__(self, node: Node, settings: Settings) -> None:
        self._node = node
        self._tf = FrameBroadcaster(node, settings.text('tf.prefix')) \
            if settings.flag('tf.enabled') else None
        self._publishers: list[Publisher] = []
        self._meshes = self._create(HandFaceMeshArray, '~/hand_face_meshes', qos.reliable(10))
        self._topologies = self._create(MeshTopologyArray, '~/topologies', qos.latched())
        self._contacts = self._create(ContactArray, '~/contacts', qos.reliable(5))
        self._joints = self._create(HandJointsArray, '~/hand_joints', qos.reliable(5))
        self._markers = self._create(MarkerArray, '~/markers', qos.reliable(1))
        self._overlay = self._create(Image, '~/overlay', qos.best_effort(1))
        self._overlay_jpeg = self._create(CompressedImage, '~/overlay/compressed',
                                          qos.best_effort(1))
        self._marker_gate, self._overlay_gate = _Gate(), _Gate()

    @property
    def is_open(self) -> bool:
        """Tell whether the publishers are there."""
        return bool(self._publishers)

    def set_model(self, book: TopologyBook, model_id: Callable[[], str],
                  settings: Settings) -> None:
        """
        Publish the topologies of a model, whose results follow.

        Args:
            model_id: returns its name, which holds that of the engine in use.
        """
        self.book, self._model_id = book, model_id
        self._marker_maker = MarkerMaker(book)
        self._drawer = None
        self.publish_topologies(settings)

    def publish_topologies(self, settings: Settings) -> None:
        """Publish the latched set of topologies."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._topologies.publish(topology_array(
            header, self.book, self._model_id(), settings.flag('output.licensed_topology')))

    def clear_markers(self) -> None:
        """Remove what an earlier run left in RViz."""
        self._markers.publish(MarkerMaker.clear())

    def publish(self, result: Result, settings: Settings) -> None:
        """
        Publish the messages that readers wait for.

        All of them are made before the first one goes out: what fails leaves room for a failed
        frame's messages.
        """
        header, estimates = result.header, result.estimates
        meshes = mesh_array(
            header, estimates, self.book, settings, model_id=self._model_id(),
            size_px=result.size_px, intrinsics_px=result.intrinsics_px)
        status = status_of(estimates)
        contacts = contact_array(header, status, result.touches, result.time_ns)
        joints = joints_array(header, status, estimates) \
            if self._joints.get_subscription_count() else None
        self._meshes.publish(meshes)
        self._contacts.publish(contacts)
        if joints is not None:
            self._joints.publish(joints)
        if self._tf is not None:
            self._tf.send(header, estimates)

    def publish_ended(self, header: Header, touches: Sequence[Touch], time_ns: int) -> None:
        """Publish that touches have ended without an image that shows it."""
        self._contacts.publish(contact_array(header, _UNKNOWN, touches, time_ns))

    def publish_failed(self, header: Header, size_px: tuple[int, int]) -> None:
        """Publish that an image could not be looked at."""
        self._meshes.publish(HandFaceMeshArray(
            header=header, status=_FAILED, image_width=size_px[0], image_height=size_px[1],
            model_id=self._model_id()))
        self._contacts.publish(ContactArray(header=header, status=_FAILED))
        if self._joints.get_subscription_count():
            self._joints.publish(HandJointsArray(header=header, status=_FAILED))

    def publish_views(self, result: Result, settings: Settings, frame_period_s: float) -> None:
        """
        Publish what people look at, if somebody does, at its own rate.

        Args:
            frame_period_s: measured time between frames, for the markers' lifetime.
        """
        rate_hz = settings.number('markers.rate')
        if self._markers.get_subscription_count() and self._marker_gate.open(rate_hz):
            lifetime_s = settings.number('markers.lifetime') or 3.0 * max(
                frame_period_s, 1.0 / rate_hz if rate_hz else 0.0)
            self._markers.publish(self._marker_maker.make(
                result.header, result.estimates, result.touches,
                level_of_detail=settings.integer('markers.level_of_detail'),
                threshold=settings.number('contact.threshold'), lifetime_s=lifetime_s))
        raw = self._overlay.get_subscription_count()
        jpeg = self._overlay_jpeg.get_subscription_count()
        if (raw or jpeg) and self._overlay_gate.open(settings.number('overlay.rate')):
            self._publish_overlay(result, settings, bool(raw), bool(jpeg))

    def _publish_overlay(self, result: Result, settings: Settings, raw: bool,
                         jpeg: bool) -> None:
        if self._drawer is None:
            from ros2_dice.render import Overlay
            self._drawer = Overlay(tuple(self.book.full()))
        camera = result.frame.camera
        assert camera is not None
        picture = self._drawer.draw(result.frame.bgr(), result.upright_estimates, camera,
                                    settings.number('overlay.scale'))
        height, width = picture.shape[:2]
        if raw:
            # Bytes go in twenty times as fast as an array.array of this size.
            self._overlay.publish(Image(
                header=result.header, height=height, width=width, encoding='bgr8',
                step=3 * width, data=picture.tobytes()))
        if jpeg:
            quality = (cv2.IMWRITE_JPEG_QUALITY, settings.integer('overlay.quality'))
            _, data = cv2.imencode('.jpg', picture, quality)
            self._overlay_jpeg.publish(CompressedImage(
                header=result.header, format='bgr8; jpeg compressed bgr8',
                data=data.tobytes()))

    def close(self) -> None:
        """Take all publishers down."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers = []
        if self._tf is not None:
            self._tf.close()

    def _create(self, kind: type, topic: str, profile: qos.QoSProfile) -> Publisher:
        publisher = self._node.create_publisher(
            kind, topic, profile, qos_overriding_options=qos.overrides(),
            event_callbacks=qos.publisher_events(self._node, topic))
        self._publishers.append(publisher)
        return publisher


class _Gate:
    """Lets at most `rate_hz` frames a second through, 0 = all."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def open(self, rate_hz: float) -> bool:
        """Tell whether this frame may pass."""
        now_s = time.monotonic()
        # A little early is better than a whole frame late.
        if rate_hz > 0.0 and now_s < self._next_s - 0.1 / rate_hz:
            return False
        if rate_hz > 0.0:
            self._next_s = max(self._next_s, now_s - 0.5 / rate_hz) + 1.0 / rate_hz
        return True
