# SPDX-License-Identifier: Apache-2.0
"""
What goes into an estimator and what comes out of it.

All geometry is in the camera's optical frame (x right, y down, z forward), metres. Arrays held by
these classes are not to be written to.
"""
from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from ros2_dice.errors import ConfigError, ImageError

FloatArray = npt.NDArray[np.floating]


class Handedness(enum.IntEnum):
    """The person's own side; values as in HandFaceMesh.msg."""

    UNKNOWN = 0
    LEFT = 1
    RIGHT = 2


class ScaleSource(enum.IntEnum):
    """What the metric scale rests on; values as in HandFaceMesh.msg."""

    UNKNOWN = 0
    PRIOR = 1
    INTRINSICS = 2
    DEPTH = 3
    CALIBRATED = 4


class State(enum.IntEnum):
    """Whether this frame had a measurement; values as in HandFaceMesh.msg."""

    UNKNOWN = 0
    MEASURED = 1
    PREDICTED = 2


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion; pixel centres lie at integers plus one half."""

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    calibrated: bool = True
    """False where the lens is assumed (`camera.horizontal_fov`) and not measured."""

    def __post_init__(self) -> None:
        values = (self.fx_px, self.fy_px, self.cx_px, self.cy_px)
        if not all(map(math.isfinite, values)) or self.fx_px <= 0 or self.fy_px <= 0:
            raise ConfigError(
                'camera matrix (fx, fy, cx, cy)', got=values,
                expected='finite numbers with positive focal lengths',
                next_step='calibrate the camera, or set input.use_camera_info to false')
        if self.width_px <= 0 or self.height_px <= 0:
            raise ConfigError('camera size', got=(self.width_px, self.height_px),
                              expected='positive width and height')

    @classmethod
    def from_fov(cls, width_px: int, height_px: int, horizontal_fov_rad: float) -> Camera:
        """Return a nominal camera; the field of view holds along the LONGER side."""
        focal_px = 0.5 * max(width_px, height_px) / math.tan(0.5 * horizontal_fov_rad)
        return cls(width_px, height_px, focal_px, focal_px,
                   0.5 * width_px, 0.5 * height_px, calibrated=False)

    def project(self, points_m: FloatArray) -> FloatArray:
        """Return pixels (N, 2) of camera-frame points (N, 3) [m] with positive depth."""
        points = np.asarray(points_m)
        return points[..., :2] / points[..., 2:] * (self.fx_px, self.fy_px) + (
            self.cx_px, self.cy_px)


@dataclass(frozen=True)
class Roi:
    """An upright rectangle in the source image [px]."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int


_GREY_SAMPLES = 32
"""Pixels along the shorter side that are looked at for colours."""
_GREY_LEVELS = 0.5
_GREY_SHARE = 0.02
"""Mean difference of the channels up to which a picture is grey: levels, and of its brightness.
Compression leaves a level or two in pictures without colours."""


@dataclass(frozen=True)
class Frame:
    """
    One picture with its stamp and camera.

    Attributes:
        pixels: (H, W, 3) uint8, in `channel_order`; rows may be strided. Conversions happen on the
            small crops that the networks see, not on the whole picture.
        stamp_ns: acquisition time [ns], of whatever clock the source has.
        frame_id: name of the camera's optical frame.
        camera: intrinsics, or None where the estimator shall assume a lens.
    """

    pixels: npt.NDArray[np.uint8]
    stamp_ns: int = 0
    frame_id: str = ''
    camera: Camera | None = None
    channel_order: Literal['rgb', 'bgr'] = 'rgb'

    def __post_init__(self) -> None:
        shape = getattr(self.pixels, 'shape', None)
        if shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape \
                or self.pixels.dtype != np.uint8:
            raise ImageError('picture', got=(shape, str(getattr(self.pixels, 'dtype', '?'))),
                             expected='a (height, width, 3) uint8 array that is not empty')

    @property
    def height_px(self) -> int:
        """Rows of the picture."""
        return self.pixels.shape[0]

    @property
    def width_px(self) -> int:
        """Columns of the picture."""
        return self.pixels.shape[1]

    @cached_property
    def is_grey(self) -> bool:
        """Whether the picture has no colours: a mono camera, or one in infrared."""
        step = max(1, min(self.pixels.shape[:2]) // _GREY_SAMPLES)
        one, two, three = np.moveaxis(self.pixels[::step, ::step], 2, 0)
        top = np.maximum(np.maximum(one, two), three)
        spread = top - np.minimum(np.minimum(one, two), three)
        return float(spread.mean()) <= _GREY_LEVELS + _GREY_SHARE * float(top.mean())

    def bgr(self) -> npt.NDArray[np.uint8]:
        """Return a contiguous copy in OpenCV's order, for drawing on."""
        order = slice(None, None, -1) if self.channel_order == 'rgb' else slice(None)
        return self.pixels[:, :, order].copy()


@dataclass(frozen=True)
class Pose:
    """A frame seen from the camera's optical frame."""

    position_m: FloatArray
    """(3,) origin [m]."""
    quaternion_xyzw: FloatArray
    """(4,) unit quaternion, ROS order."""


@dataclass(frozen=True)
class BodyEstimate:
    """One surface in one frame."""

    topology_id: str
    vertices_m: FloatArray
    """(V, 3) float32 [m], optical frame, deformation already applied."""
    confidence: float
    contact: FloatArray | None = None
    """(V,) float32, probability of touching the other part; None = not estimated."""
    deformation_m: FloatArray | None = None
    """(V, 3) float32 [m], displacement contained in vertices (rest = vertices - deformation)."""
    has_deformation: bool = False
    """True with `deformation_m` None means: estimated, and zero everywhere."""


@dataclass(frozen=True)
class HandJoints:
    """The 26 joints of XR_EXT_hand_tracking, in its order."""

    positions_m: FloatArray
    """(26, 3) [m], optical frame."""
    quaternions_xyzw: FloatArray
    """(26, 4) orientation, -z along the bone towards the tip, +y out of the back of the hand."""
    radii_m: FloatArray
    """(26,) [m]."""
    flags: npt.NDArray[np.uint8]
    """(26,) bits: 1 position valid, 2 orientation valid, 4 derived from other joints."""


@dataclass(frozen=True)
class RegionContact:
    """One hand region on one face region."""

    hand_region: str
    face_region: str
    probability: float
    position_m: FloatArray
    """(3,) centroid of the touched face area [m], optical frame."""
    normal: FloatArray
    """(3,) unit, out of the face."""
    area_m2: float
    depth_m: float
    """Largest deformation in the region [m]."""
    distance_m: float
    distance_stddev_m: float
    """One sigma of the distance [m]; NaN = nobody has measured it."""


@dataclass(frozen=True)
class HandFaceEstimate:
    """One hand with the face it may touch; either may be absent, not both."""

    person_id: str
    hand_id: str = ''
    handedness: Handedness = Handedness.UNKNOWN
    handedness_confidence: float = 0.0
    """Probability that `handedness` names the correct side."""
    state: State = State.UNKNOWN
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    depth_stddev_m: float = math.nan
    roi: Roi = Roi(0, 0, 0, 0)
    face_pose: Pose | None = None
    """Origin sellion, x out of the face, z to the scalp (REP-155)."""
    wrist_pose: Pose | None = None
    """OpenXR wrist: -z to the middle knuckle, +y out of the back of the hand."""
    hand: BodyEstimate | None = None
    face: BodyEstimate | None = None
    contact_probability: float = math.nan
    """Touch or not, as a whole; NaN = cannot tell."""
    min_distance_m: float = math.nan
    """Smallest signed surface distance; negative = indentation."""
    min_distance_stddev_m: float = math.nan
    max_deformation_m: float = 0.0
    joints: HandJoints | None = None
    contacts: tuple[RegionContact, ...] = ()
    hand_landmarks_px: FloatArray | None = field(default=None, repr=False)
    """(21, 2) as seen by the network, for overlays; not part of the messages."""
    face_landmarks_px: FloatArray | None = field(default=None, repr=False)
    """(468, 2) likewise."""
