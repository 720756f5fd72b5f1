# SPDX-License-Identifier: Apache-2.0
"""
CameraInfo to the camera of a picture; the newest one counts, its stamp need not match.

Which matrix: K, as the picture is taken to be raw, unless its topic's name has the word `rect` in
it, then P, whose left part is the camera of the rectified picture. Lens distortion is not undone:
with K it stays in the picture (a fraction of a percent near the middle for common lenses);
subscribe to a rectified topic where that matters. Region of interest and binning follow
CameraInfo's text; a picture that was merely resized, with the same aspect ratio, gets a scaled
camera.
"""
from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo

from ros2_dice.errors import ConfigError
from ros2_dice.types import Camera

_ASPECT_TOLERANCE = 0.01
_RECTIFIED = re.compile('(?<![a-z])rect(ified)?(?![a-z])')
_HINT = 'calibrate the camera, or set input.use_camera_info to false'


def camera_from_info(info: CameraInfo, width_px: int, height_px: int,
                     rectified: bool = False) -> Camera:
    """
    Return the camera of a picture of this size.

    ROS puts pixel centres at integers, `Camera` at integers plus one half.

    Raises:
        ConfigError: the matrix is empty, not finite or not positive, or the sizes don't fit.
    """
    name = 'P' if rectified else 'K'
    matrix = info.p if rectified else info.k
    values = [float(matrix[i]) for i in ((0, 5, 2, 6) if rectified else (0, 4, 2, 5))]
    if not any(float(v) for v in matrix):
        raise ConfigError(f'camera_info: matrix {name}', state='all zero (not calibrated)',
                          expected='focal lengths and centre', next_step=_HINT)
    if not all(map(math.isfinite, values)) or values[0] <= 0 or values[1] <= 0:
        raise ConfigError(f'camera_info: fx, fy, cx, cy of matrix {name}', got=values,
                          expected='finite numbers with positive focal lengths', next_step=_HINT)
    fx, fy, cx, cy = values
    bin_x, bin_y = max(1, info.binning_x), max(1, info.binning_y)
    part_width = info.roi.width or info.width
    part_height = info.roi.height or info.height
    full = (part_width / bin_x, part_height / bin_y)
    if min(full) <= 0:
        full = (float(width_px), float(height_px))  # drivers that leave the size out
    scale_x, scale_y = width_px / full[0], height_px / full[1]
    if abs(scale_x / scale_y - 1.0) > _ASPECT_TOLERANCE and not _rounded(full, width_px,
                                                                         height_px):
        raise ConfigError(
            'camera_info: size', state=f'{full[0]:g} x {full[1]:g}',
            expected=f'{width_px} x {height_px} as the image, or the same aspect ratio',
            next_step='publish the camera_info of this image, or set input.use_camera_info to '
                      'false')
    scale_x, scale_y = scale_x / bin_x, scale_y / bin_y
    return Camera(width_px, height_px, fx * scale_x, fy * scale_y,
                  (cx + 0.5 - info.roi.x_offset) * scale_x,
                  (cy + 0.5 - info.roi.y_offset) * scale_y)


def _rounded(full: tuple[float, float], width_px: int, height_px: int) -> bool:
    """Tell whether the size differs by less than a pixel, as after binning an odd size."""
    return abs(full[0] - width_px) < 1.0 and abs(full[1] - height_px) < 1.0


def is_rectified(topic: str) -> bool:
    """Tell whether a topic's name has the word: /left/image_rect_color has, /direct has not."""
    return _RECTIFIED.search(topic) is not None


class CameraBook:
    """
    Keeps the newest CameraInfo and gives each picture its camera.

    Args:
        use_info: `input.use_camera_info`.
        rectified: the image topic carries rectified pictures.
    """

    def __init__(self, use_info: bool = True, rectified: bool = False) -> None:
        self._use_info = use_info
        self._rectified = rectified
        self._info: CameraInfo | None = None
        self._key: tuple[object, ...] = ()
        self._camera: Camera | None = None
        self.problem = ''
        """Why the nominal lens is used although a CameraInfo came; empty = no problem."""

    @property
    def status(self) -> str:
        """Return in a word where the camera comes from."""
        if not self._use_info:
            return 'not used (input.use_camera_info)'
        if self._info is None:
            return 'none received, nominal lens'
        return self.problem or 'used'

    def put(self, info: CameraInfo) -> None:
        """Take over a CameraInfo; it is looked at with the next picture."""
        self._info = info

    def camera(self, width_px: int, height_px: int, horizontal_fov_rad: float) -> Camera:
        """
        Return the camera of a picture of this size: calibrated, or else the nominal lens.

        Args:
            horizontal_fov_rad: `camera.horizontal_fov`, for the nominal lens.
        """
        info = self._info
        # Drivers send an equal message with each image; compare what counts, by value (NaN too).
        key = (width_px, height_px, horizontal_fov_rad, _fingerprint(info))
        if self._camera is None or key != self._key:
            self._key = key
            self._camera, self.problem = self._make(info, width_px, height_px, horizontal_fov_rad)
        return self._camera

    def _make(self, info: CameraInfo | None, width_px: int, height_px: int,
              horizontal_fov_rad: float) -> tuple[Camera, str]:
        problem = ''
        if self._use_info and info is not None:
            try:
                return camera_from_info(info, width_px, height_px, self._rectified), ''
            except ConfigError as error:
                problem = error.text()
        return Camera.from_fov(width_px, height_px, horizontal_fov_rad), problem


def _fingerprint(info: CameraInfo | None) -> tuple[object, ...]:
    if info is None:
        return ()
    roi = info.roi
    return (info.width, info.height, info.binning_x, info.binning_y, roi.x_offset, roi.y_offset,
            roi.width, roi.height, _doubles(info.k),
            _doubles(info.p))


def _doubles(values: npt.ArrayLike) -> bytes:
    return np.asarray(values, np.float64).tobytes()
