# SPDX-License-Identifier: Apache-2.0
"""The frames face_<person_id> and wrist_<hand_id> on /tf; needs tf2_msgs, not tf2_ros."""
from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Transform, TransformStamped, Vector3
from rclpy.node import Node
from std_msgs.msg import Header

from ros2_dice.errors import ConfigError
from ros2_dice.ros import qos
from ros2_dice.ros.messages import pose
from ros2_dice.types import HandFaceEstimate, Pose


class FrameBroadcaster:
    """
    Sends the poses of a frame as transforms; a missing pose sends nothing.

    Args:
        prefix: `tf.prefix`, put before the names.

    Raises:
        ConfigError: tf2_msgs is not installed.
    """

    def __init__(self, node: Node, prefix: str = '') -> None:
        try:
            from tf2_msgs.msg import TFMessage  # type: ignore[import-not-found]
        except ImportError as error:
            raise ConfigError(
                'parameter tf.enabled', got=True, expected='package tf2_msgs',
                next_step='install ros-$ROS_DISTRO-tf2-msgs, or set tf.enabled to false'
            ) from error
        self._kind = TFMessage
        self._prefix = prefix
        self._node = node
        self._publisher = node.create_publisher(TFMessage, '/tf', qos.reliable(100))

    def send(self, header: Header, estimates: Sequence[HandFaceEstimate]) -> None:
        """Send the transforms of a frame, stamped as its image; none below a nameless frame."""
        found: dict[str, Pose] = {}
        for estimate in estimates if header.frame_id else ():
            if estimate.face_pose is not None:
                found[f'face_{estimate.person_id}'] = estimate.face_pose
            if estimate.wrist_pose is not None:
                found[f'wrist_{estimate.hand_id}'] = estimate.wrist_pose
        if found:
            self._publisher.publish(self._kind(transforms=[
                _transform(header, self._prefix + name, body_pose)
                for name, body_pose in found.items()]))

    def close(self) -> None:
        """Take the publisher down."""
        self._node.destroy_publisher(self._publisher)


def _transform(header: Header, child: str, body_pose: Pose) -> TransformStamped:
    place = pose(body_pose)
    position = place.position
    return TransformStamped(
        header=header, child_frame_id=child, transform=Transform(
            translation=Vector3(x=position.x, y=position.y, z=position.z),
            rotation=place.orientation))
