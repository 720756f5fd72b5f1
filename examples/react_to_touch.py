# SPDX-License-Identifier: Apache-2.0
"""
React to touches: one line when a hand touches a face, one when it leaves.

    python examples/react_to_touch.py            # listens to /dice/contacts
"""
import contextlib

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from ros2_dice.msg import Contact, ContactArray


class TouchReaction(Node):
    """Logs touches; a robot would rather say "please do not touch your face"."""

    def __init__(self) -> None:
        super().__init__('touch_reaction')
        self.create_subscription(ContactArray, '/dice/contacts', self.react, 5)

    def react(self, message: ContactArray) -> None:
        """Look at the touches that began or ended with this image."""
        for touch in message.contacts:
            seconds = touch.duration.sec + 1e-9 * touch.duration.nanosec
            what = f'{touch.hand_region} on {touch.face_region} of person {touch.person_id}'
            if touch.state == Contact.STATE_BEGAN:
                self.get_logger().info(f'touch: {what} ({touch.probability:.0%} sure)')
            elif touch.state == Contact.STATE_ENDED:
                self.get_logger().info(f'left: {what} after {seconds:.1f} s')


if __name__ == '__main__':
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(TouchReaction())
