# SPDX-License-Identifier: Apache-2.0
"""Between pixels, viewing rays and the networks' own directions."""
from __future__ import annotations

import numpy as np

from ros2_dice.types import Camera, FloatArray


def focal_px(camera: Camera) -> FloatArray:
    """Return (fx, fy) [px]."""
    return np.array((camera.fx_px, camera.fy_px))


def ray_rotation(camera: Camera, point_px: FloatArray) -> FloatArray:
    """
    Return the rotation (3, 3) from the viewing direction of a picture point to the camera.

    A network sees a small crop: its "away from the camera" is the ray through the crop, not the
    optical axis. At the edge of a picture the two differ by half the field of view. The turn is
    the smallest one, about an axis in the image plane, so that left and right stay mirrored.
    """
    x = (float(point_px[0]) - camera.cx_px) / camera.fx_px
    y = (float(point_px[1]) - camera.cy_px) / camera.fy_px
    length = np.sqrt(x * x + y * y + 1.0)
    x, y, z = x / length, y / length, 1.0 / length
    # Rodrigues for the turn of (0, 0, 1) onto (x, y, z).
    k = 1.0 / (1.0 + z)
    return np.array(((1.0 - k * x * x, -k * x * y, x),
                     (-k * x * y, 1.0 - k * y * y, y),
                     (-x, -y, z)))
