# SPDX-License-Identifier: Apache-2.0
"""
From the network's numbers to meshes about the head's centroid: section 6 of the specification.

Frame of all results: x right, y down, z away, in metres, origin at the mean of the undeformed
head. The camera of the crop is `WeakCamera`; where that is in the world is `placement`'s business.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import ParametricHand, ParametricHead, PosedBody
from ros2_dice.bodies.parametric_hand import NETWORK_TIPS, THUMB_FIRST
from ros2_dice.dice.preprocess import SIZE
from ros2_dice.fitting.gain import low_pass_share
from ros2_dice.parameters import Settings
from ros2_dice.types import FloatArray

PRESENCE_THRESHOLD = 0.5


@dataclass(frozen=True)
class Behaviour:
    """
    What the published script does, or what we take to be right; section 8 of the specification.

    Each field is one of its quirks; the defaults are ours.
    """

    random_token_mask: bool = False
    """Hide a random share of the tokens, drawn anew for each batch: the script runs the network as
    in training, so that a result depends on the pictures before it."""
    presence_gate: bool = True
    """No deformation where hand and face do not touch; the script's flag lets it never close."""
    presence_threshold: float = PRESENCE_THRESHOLD
    centre_crop: bool = False
    """The largest square in the middle instead of one around head and hand; one right hand."""
    exact_resize: bool = False
    """Pillow's filter to the last bit."""
    contacts_within_presence: bool = True
    """No vertex is likelier to touch than the hand as a whole."""
    smooth_by_frame: bool = False
    """The script's One Euro filter, which counts frames and starts at zero."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Behaviour:
        """Return the parameters `dice.*`; `dice.official_demo` takes the place of the others."""
        if settings.flag('dice.official_demo'):
            return cls.official_demo()
        flags = {name: settings.flag(f'dice.{name}') for name in (
            'random_token_mask', 'presence_gate', 'centre_crop', 'exact_resize',
            'contacts_within_presence', 'smooth_by_frame')}
        return cls(presence_threshold=settings.number('dice.presence_threshold'), **flags)

    @classmethod
    def official_demo(cls) -> Behaviour:
        """Return what the published script does."""
        return cls(random_token_mask=True, presence_gate=False, centre_crop=True,
                   exact_resize=True, contacts_within_presence=False, smooth_by_frame=True)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the network says about one crop, float64; names as in the specification."""

    cam_param: FloatArray
    """(3,)."""
    rh_betas: FloatArray
    """(10,)."""
    rh_transl: FloatArray
    """(3,) [m]."""
    rh_rot: FloatArray
    """(3,) rotation vector."""
    rh_pose: FloatArray
    """(45,) rotation vectors."""
    face_shape: FloatArray
    """(100,)."""
    face_exp: FloatArray
    """(50,)."""
    face_pose: FloatArray
    """(6,) rotation vectors."""
    face_rot: FloatArray
    """(3,) rotation vector."""
    face_transl: FloatArray
    """(3,) [m]."""
    deform_ungated: FloatArray
    """(5023, 3) [m], to be subtracted."""
    hand_contact: FloatArray
    """(778,) probability."""
    head_contact: FloatArray
    """(5023,) probability."""
    presence: float
    """Probability that hand and face touch at all."""

    @classmethod
    def row(cls, outputs: Mapping[str, npt.NDArray[np.floating]], index: int) -> Outputs:
        """
        Return one row of the network's outputs.

        Args:
            outputs: arrays (N, ...) by the names of the fields; others are passed over.
        """
        values = {field.name: np.asarray(outputs[field.name][index], np.float64)
                  for field in fields(cls)}
        for name in ('hand_contact', 'head_contact'):
            values[name] = values[name].reshape(-1)
        return cls(**{**values, 'presence': float(values['presence'].reshape(()))})

    def is_finite(self) -> bool:
        """Tell whether all are numbers."""
        return all(np.isfinite(getattr(self, field.name)).all() for field in fields(self))


@dataclass(frozen=True)
class WeakCamera:
    """Scaled orthography: u = scale x + cx, v = scale y + cy, in pixels of the 224x224 crop."""

    scale: float
    """Pixels for each metre."""
    cx_px: float
    cy_px: float

    @classmethod
    def from_output(cls, cam_param: FloatArray) -> WeakCamera:
        """Return the camera of the network's three numbers."""
        return cls(10.0 * abs(float(cam_param[0])), float(cam_param[1]), float(cam_param[2]))

    def project(self, points_m: FloatArray, view_px: int = SIZE) -> FloatArray:
        """Return pixels (..., 2) of points (..., 3) [m], in a view of the crop of another size."""
        pixels = self.scale * points_m[..., :2] + (self.cx_px, self.cy_px)
        return pixels * (view_px / SIZE)


@dataclass(frozen=True, eq=False)
class Captured:
    """One crop's hand and head about the head's centroid."""

    hand: PosedBody
    head: PosedBody
    """Not deformed."""
    head_landmarks_m: FloatArray
    """(68, 3) of the head that is not deformed [m]."""
    deformation_m: FloatArray
    """(5023, 3) displacement: deformed = rest + this [m]; the network's has the other sign."""
    hand_contact: FloatArray
    """(778,) probability."""
    head_contact: FloatArray
    """(5023,) probability."""
    presence: float
    shape: FloatArray
    """(10,) of the hand."""
    head_shape: FloatArray
    """(100,)."""
    camera: WeakCamera
    left: bool = False

    @property
    def deformed_head_m(self) -> FloatArray:
        """(5023, 3) [m]."""
        return self.head.vertices_m + self.deformation_m


def capture(outputs: Outputs, hand: ParametricHand, head: ParametricHead,
            behaviour: Behaviour = Behaviour(),
            bodies: tuple[PosedBody, PosedBody] | None = None) -> Captured:
    """
    Return the meshes of one crop.

    Args:
        outputs: of the crop.
        hand: the RIGHT hand.
        head: the head.
        behaviour: which quirks to follow.
        bodies: hand and head as the outputs pose them; None = they are posed here.
    """
    posed_hand, posed_head = bodies or (
        hand.posed(outputs.rh_betas, outputs.rh_rot, outputs.rh_pose, outputs.rh_transl),
        head.posed(outputs.face_shape, outputs.face_exp, outputs.face_pose, outputs.face_rot,
                   outputs.face_transl))
    centre = posed_head.vertices_m.mean(0, dtype=np.float64)
    posed_hand, posed_head = shifted(posed_hand, -centre), shifted(posed_head, -centre)
    open_gate = not behaviour.presence_gate or outputs.presence > behaviour.presence_threshold
    deformation = -neck_cleared(outputs.deform_ungated, head) if open_gate else np.zeros_like(
        outputs.deform_ungated)
    most = outputs.presence if behaviour.contacts_within_presence else 1.0
    return Captured(
        posed_hand, posed_head, head.landmarks_m(posed_head.vertices_m), deformation,
        np.minimum(outputs.hand_contact, most), np.minimum(outputs.head_contact, most),
        outputs.presence, outputs.rh_betas, outputs.face_shape,
        WeakCamera.from_output(outputs.cam_param))


def shifted(body: PosedBody, offset_m: FloatArray) -> PosedBody:
    """Return a body moved by (3,) [m]."""
    offset = np.asarray(offset_m)
    return replace(body, vertices_m=body.vertices_m + offset.astype(body.vertices_m.dtype),
                   joints_m=body.joints_m + offset)


def neck_cleared(deformation_m: FloatArray, head: ParametricHead) -> FloatArray:
    """Return a deformation (5023, 3) with nothing on the neck."""
    result = np.array(deformation_m)
    result[head.neck] = 0.0
    return result


def centred_on_head(head_m: FloatArray, *others_m: FloatArray) -> tuple[FloatArray, ...]:
    """Return vertices of a head (V, 3), and what belongs to it, about the mean of the head."""
    centre = head_m.mean(0)
    return tuple(points - centre for points in (head_m, *others_m))


def network_hand_joints_m(hand_m: FloatArray, hand: ParametricHand) -> FloatArray:
    """
    Return 21 joints (21, 3) of a hand mesh as the network counts them, thumb first.

    Beware: `ParametricHand.joints_21_m` has another order and other tips.
    """
    return np.concatenate((hand.regressor @ hand_m, hand_m[NETWORK_TIPS]))[THUMB_FIRST]


def contact_map(probability: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the script's colouring of one mesh: 0 where contact is likeliest, 1 where least."""
    low, high = probability.min(), probability.max()
    return (probability - high) / (low - high)


class FrameOneEuro:
    """
    The script's One Euro filter: time counts frames from 1, and the past is zero.

    Args:
        beta: opening with speed.
        min_cutoff: cutoff at rest.
        d_cutoff: cutoff of the speed.
    """

    def __init__(self, beta: float = 0.0, min_cutoff: float = 1.0, d_cutoff: float = 30.0) -> None:
        self._beta, self._min_cutoff, self._d_cutoff = beta, min_cutoff, d_cutoff
        self._time = 0.0
        self._value: FloatArray | float = 0.0
        self._speed: FloatArray | float = 0.0

    def update(self, values: FloatArray, time: float) -> FloatArray:
        """Return the filtered values at a time later than the last."""
        step = time - self._time
        share = low_pass_share(self._d_cutoff, step)
        speed = share * ((values - self._value) / step) + (1.0 - share) * self._speed
        share = low_pass_share(self._min_cutoff + self._beta * np.abs(speed), step)
        self._value = share * values + (1.0 - share) * self._value
        self._speed, self._time = speed, time
        return np.asarray(self._value)
