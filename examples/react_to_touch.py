# SPDX-License-Identifier: Apache-2.0
"""
React to touches: one line when a hand touches a face, one when it has left.

    python examples/react_to_touch.py            # listens to /dice/contacts
"""
import contextlib

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from ros2_dice.msg import Contact, ContactArray

LEFT_AFTER_S = 0.3  # regions come and go while a finger slides: that is one touch


class TouchReaction(Node):
    """Logs touches; a robot would rather say "please do not touch your face"."""

    def __init__(self) -> None:
        super().__init__('touch_reaction')
        self.touches: dict[tuple[str, str], tuple[float, float]] = {}  # hand: first, last [s]
        self.create_subscription(ContactArray, '/dice/contacts', self.react, 5)

    def react(self, message: ContactArray) -> None:
        """Look at the hands that touch in this image, and at those that did."""
        now = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        for touch in message.contacts:
            hand = touch.person_id, touch.hand_id
            if touch.state != Contact.STATE_ENDED:
                if hand not in self.touches:
                    self.get_logger().info(
                        f'touch: {touch.hand_region} on {touch.face_region} of person '
                        f'{touch.person_id} ({touch.probability:.0%} sure)')
                self.touches[hand] = self.touches.get(hand, (now, now))[0], now
        blind = message.status == ContactArray.STATUS_UNKNOWN  # the camera or the node stopped
        for hand, (first, last) in list(self.touches.items()):
            if blind or not 0 <= now - last < LEFT_AFTER_S:
                del self.touches[hand]
                self.get_logger().info(f'left: person {hand[0]} after {last - first:.1f} s')


if __name__ == '__main__':
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(TouchReaction())
