# SPDX-License-Identifier: Apache-2.0
"""Images as a camera would send them."""
from __future__ import annotations

import array

from sensor_msgs.msg import Image


def image(number: int = 0, stamp_ns: int = 0, width: int = 64, height: int = 48) -> Image:
    """A small bgr8 image."""
    message = Image(width=width, height=height, encoding='bgr8', step=3 * width)
    message.header.frame_id = 'camera_optical_frame'
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    message.data = array.array('B', bytes([number % 256]) * (3 * width * height))
    return message
