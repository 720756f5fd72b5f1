# SPDX-License-Identifier: Apache-2.0
"""
Estimates as JSON: `{"people": [{"id", "face", "hands": [...]}]}`.

Metres, pixels and probabilities, in the camera's optical frame (x right, y down, z forward). What
is unknown is null, never NaN: that is no JSON.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ros2_dice.types import BodyEstimate, HandFaceEstimate, Pose, RegionContact

_DIGITS = 6


def people_document(estimates: Iterable[HandFaceEstimate]) -> dict[str, Any]:
    """Return the people of one picture, each with their face, or null, and hands."""
    people: dict[str, dict[str, Any]] = {}
    for estimate in estimates:
        person = people.setdefault(
            estimate.person_id, {'id': estimate.person_id, 'face': None, 'hands': []})
        if estimate.face is not None:
            face = {**_body(estimate.face), 'pose': _pose(estimate.face_pose),
                    'max_deformation_m': _number(estimate.max_deformation_m)}
            if person['face']:  # the face comes once for each hand
                face['max_deformation_m'] = max(
                    face['max_deformation_m'] or 0.0, person['face']['max_deformation_m'] or 0.0)
            person['face'] = face
        if estimate.hand is not None:
            person['hands'].append(_hand(estimate, estimate.hand))
    return {'people': list(people.values())}


def _hand(estimate: HandFaceEstimate, body: BodyEstimate) -> dict[str, Any]:
    joints = estimate.joints
    roi = estimate.roi
    return {
        'id': estimate.hand_id,
        'handedness': estimate.handedness.name.lower(),
        'handedness_confidence': _number(estimate.handedness_confidence),
        'contact_probability': _number(estimate.contact_probability),
        'min_distance_m': _number(estimate.min_distance_m),
        'min_distance_stddev_m': _number(estimate.min_distance_stddev_m),
        'max_deformation_m': None if estimate.face is None
        else _number(estimate.max_deformation_m),
        'regions': [_region(contact) for contact in estimate.contacts],
        **_body(body),
        # without a face nobody knows what the hand touches
        **({'touching_vertices': None} if estimate.face is None else {}),
        'wrist_pose': _pose(estimate.wrist_pose),
        'joints_m': None if joints is None else _numbers(joints.positions_m),
        'depth_stddev_m': _number(estimate.depth_stddev_m),
        'scale_source': estimate.scale_source.name.lower(),
        'roi_px': [roi.x_px, roi.y_px, roi.width_px, roi.height_px],
    }


def _region(contact: RegionContact) -> dict[str, Any]:
    return {
        'hand_region': contact.hand_region,
        'face_region': contact.face_region,
        'probability': _number(contact.probability),
        'position_m': _numbers(contact.position_m),
        'normal': _numbers(contact.normal),
        'area_m2': _number(contact.area_m2),
        'depth_m': _number(contact.depth_m),
        'distance_m': _number(contact.distance_m),
        'distance_stddev_m': _number(contact.distance_stddev_m),
    }


def _body(body: BodyEstimate) -> dict[str, Any]:
    touching = 0 if body.contact is None else int(np.sum(body.contact > 0.5))
    return {'confidence': _number(body.confidence), 'topology': body.topology_id,
            'vertices': len(body.vertices_m), 'touching_vertices': touching}


def _pose(pose: Pose | None) -> dict[str, Any] | None:
    if pose is None:
        return None
    return {'position_m': _numbers(pose.position_m),
            'quaternion_xyzw': _numbers(pose.quaternion_xyzw)}


def _number(value: float) -> float | None:
    return round(float(value), _DIGITS) if math.isfinite(value) else None


def _numbers(values: Any) -> Any:
    array = np.asarray(values, float)
    if array.ndim > 1:
        return [_numbers(row) for row in array]
    return [_number(value) for value in array]
