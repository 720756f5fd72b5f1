# SPDX-License-Identifier: Apache-2.0
"""
Messages back to estimates and topologies, for those who draw them.

Works on messages of rclpy and on those that rosbags reads: both have the fields of the definition.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ros2_dice.bodies import Part, Side, Topology
from ros2_dice.types import (
    BodyEstimate,
    Camera,
    Handedness,
    HandFaceEstimate,
    Pose,
    Roi,
    ScaleSource,
    State,
)

HAS_CONTACT, HAS_DEFORMATION = 2, 4


def stamp_ns(message: Any) -> int:
    """Return the header's stamp [ns]."""
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def topologies(message: Any) -> tuple[Topology, ...]:
    """Return a MeshTopologyArray's topologies, each level as one of its own."""
    return tuple(_topology(entry) for entry in message.topologies)


def _topology(message: Any) -> Topology:
    count = int(message.vertex_count)
    rest = np.asarray(message.rest_vertices, np.float32).reshape(-1, 3)
    regions = np.asarray(message.region, np.uint8)
    full = np.asarray(message.full_indices, np.uint32)
    return Topology(
        message.topology_id, message.family, Part(message.part), Side(message.side),
        int(message.level_of_detail), np.asarray(message.triangles, np.uint32).reshape(-1, 3),
        rest if len(rest) == count else np.zeros((count, 3), np.float32),
        regions if len(regions) == count else np.zeros(count, np.uint8),
        tuple(message.region_names), message.license, may_be_shared=len(rest) == count,
        full_indices=full if len(full) else None)


def camera(message: Any) -> Camera:
    """Return the camera that a HandFaceMeshArray's geometry belongs to."""
    fx, fy, cx, cy = map(float, message.intrinsics)
    width, height = int(message.image_width), int(message.image_height)
    if fx <= 0 or fy <= 0:  # a frame that could not be looked at
        return Camera.from_fov(max(width, 1), max(height, 1), 1.0)
    return Camera(width, height, fx, fy, cx, cy)


def estimates(message: Any) -> list[HandFaceEstimate]:
    """Return a HandFaceMeshArray's entries; joints and region contacts travel elsewhere."""
    return [_estimate(entry) for entry in message.meshes]


def _estimate(entry: Any) -> HandFaceEstimate:
    roi = entry.roi
    return HandFaceEstimate(
        entry.person_id, entry.hand_id, Handedness(entry.handedness),
        float(entry.handedness_confidence), State(entry.state), ScaleSource(entry.scale_source),
        float(entry.depth_stddev), Roi(roi.x_offset, roi.y_offset, roi.width, roi.height),
        _pose(entry.face_pose), _pose(entry.wrist_pose), _body(entry.hand), _body(entry.face),
        float(entry.contact_probability), float(entry.min_distance),
        float(entry.min_distance_stddev), float(entry.max_deformation))


def _body(mesh: Any) -> BodyEstimate | None:
    if not mesh.topology_id:
        return None
    vertices = np.asarray(mesh.vertices, np.float32).reshape(-1, 3)
    contact = None
    if mesh.fields & HAS_CONTACT:
        given = np.asarray(mesh.contact, np.uint8)
        contact = given / np.float32(255) if len(given) else np.zeros(len(vertices), np.float32)
    deformation = np.asarray(mesh.deformation, np.float32).reshape(-1, 3)
    return BodyEstimate(
        mesh.topology_id, vertices, float(mesh.confidence), contact,
        deformation if len(deformation) else None, bool(mesh.fields & HAS_DEFORMATION))


def _pose(message: Any) -> Pose | None:
    p, q = message.position, message.orientation
    quaternion = np.array([q.x, q.y, q.z, q.w], np.float64)
    return Pose(np.array([p.x, p.y, p.z], np.float64), quaternion) if quaternion.any() else None
