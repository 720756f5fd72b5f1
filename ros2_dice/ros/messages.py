# SPDX-License-Identifier: Apache-2.0
"""
Estimates to messages.

Arrays of numbers go in as array.array filled with frombytes: microseconds, where lists and
ndarrays take milliseconds.
"""
from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from ros2_dice.bodies import Topology
from ros2_dice.msg import (
    Contact,
    ContactArray,
    HandFaceMesh,
    HandFaceMeshArray,
    HandJoints,
    HandJointsArray,
    Mesh,
    MeshTopology,
    MeshTopologyArray,
)
from ros2_dice.parameters import Settings
from ros2_dice.ros.contacts import Touch
from ros2_dice.types import BodyEstimate, HandFaceEstimate, Roi
from ros2_dice.types import Pose as BodyPose

_NO_MESH = Mesh()


def floats(values: npt.ArrayLike) -> array.array:
    """Return numbers as float32 in the array type that message fields take as it is."""
    result = array.array('f')
    result.frombytes(np.ascontiguousarray(values, np.float32).ravel().view(np.uint8).data)
    return result


def octets(values: npt.ArrayLike) -> array.array:
    """Return numbers as uint8, likewise."""
    result = array.array('B')
    result.frombytes(np.ascontiguousarray(values, np.uint8).ravel().data)
    return result


def words(values: npt.ArrayLike) -> array.array:
    """Return numbers as uint32, likewise."""
    result = array.array('I')
    result.frombytes(np.ascontiguousarray(values, np.uint32).ravel().view(np.uint8).data)
    return result


def probability_octets(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Return round(255 p)."""
    return np.rint(np.clip(probabilities, 0.0, 1.0) * 255.0).astype(np.uint8)


def status_of(estimates: Sequence[HandFaceEstimate]) -> int:
    """Return STATUS_OK or STATUS_EMPTY of a frame that was looked at."""
    return HandFaceMeshArray.STATUS_OK if estimates else HandFaceMeshArray.STATUS_EMPTY


class TopologyBook:
    """
    The topologies of one estimator, by id and level.

    Args:
        topologies: level 0 of each surface, with the coarser levels in them.
    """

    def __init__(self, topologies: Iterable[Topology]) -> None:
        self._full: Mapping[str, Topology] = {t.topology_id: t for t in topologies}
        self._levels = {t.topology_id: t for full in self._full.values()
                        for t in (full, *full.coarser)}

    def __getitem__(self, topology_id: str) -> Topology:
        """Return any level by its own id."""
        return self._levels[topology_id]

    def level(self, topology_id: str, level_of_detail: int) -> Topology:
        """Return a level of the surface whose level 0 has this id."""
        return self._full[topology_id].level(level_of_detail)

    def full(self) -> Iterable[Topology]:
        """Return level 0 of every surface."""
        return self._full.values()

    def all(self) -> Iterable[Topology]:
        """Return every level of every surface."""
        return self._levels.values()


def mesh_array(header: Header, estimates: Sequence[HandFaceEstimate], book: TopologyBook,
               settings: Settings, *, model_id: str, size_px: tuple[int, int],
               intrinsics_px: Sequence[float]) -> HandFaceMeshArray:
    """Return the main message of a frame that was looked at."""
    return HandFaceMeshArray(
        header=header, status=status_of(estimates), image_width=size_px[0],
        image_height=size_px[1], intrinsics=np.array(intrinsics_px, np.float64),
        model_id=model_id,
        meshes=[_hand_face_mesh(estimate, book, settings) for estimate in estimates])


def _hand_face_mesh(estimate: HandFaceEstimate, book: TopologyBook,
                    settings: Settings) -> HandFaceMesh:
    return HandFaceMesh(
        person_id=estimate.person_id, hand_id=estimate.hand_id,
        handedness=int(estimate.handedness),
        handedness_confidence=float(estimate.handedness_confidence),
        state=int(estimate.state), scale_source=int(estimate.scale_source),
        depth_stddev=float(estimate.depth_stddev_m), roi=_roi(estimate.roi),
        face_pose=pose(estimate.face_pose), wrist_pose=pose(estimate.wrist_pose),
        hand=_mesh(estimate.hand, book, settings), face=_mesh(estimate.face, book, settings),
        contact_probability=float(estimate.contact_probability),
        min_distance=float(estimate.min_distance_m),
        min_distance_stddev=float(estimate.min_distance_stddev_m),
        max_deformation=float(estimate.max_deformation_m))


def _mesh(body: BodyEstimate | None, book: TopologyBook, settings: Settings) -> Mesh:
    if body is None:
        return _NO_MESH
    topology = book.level(body.topology_id, settings.integer('output.level_of_detail'))
    keep = slice(None) if topology.full_indices is None else topology.full_indices
    message = Mesh(topology_id=topology.topology_id, confidence=float(body.confidence))
    fields = 0
    if settings.flag('output.vertices'):
        fields |= Mesh.HAS_VERTICES
        message.vertices = floats(body.vertices_m[keep])
    if body.contact is not None and settings.flag('output.contact'):
        fields |= Mesh.HAS_CONTACT
        contact = probability_octets(body.contact[keep])
        if contact.any():  # a set bit and no array = all zero
            message.contact = octets(contact)
    if body.has_deformation and settings.flag('output.deformation'):
        fields |= Mesh.HAS_DEFORMATION
        if body.deformation_m is not None and np.any(body.deformation_m[keep]):
            message.deformation = floats(body.deformation_m[keep])
    message.fields = fields
    return message


def contact_array(header: Header, status: int, touches: Sequence[Touch],
                  stamp_ns: int) -> ContactArray:
    """Return who touches what."""
    return ContactArray(header=header, status=status,
                        contacts=[_contact(touch, stamp_ns) for touch in touches])


def _contact(touch: Touch, stamp_ns: int) -> Contact:
    contact = touch.contact
    seconds, nanoseconds = divmod(touch.duration_ns(stamp_ns), 1_000_000_000)
    return Contact(
        state=int(touch.state), person_id=touch.person_id, hand_id=touch.hand_id,
        handedness=int(touch.handedness), hand_region=contact.hand_region,
        face_region=contact.face_region, probability=float(contact.probability),
        position=point(contact.position_m), normal=_vector(contact.normal),
        area=float(contact.area_m2), depth=float(contact.depth_m),
        duration=Duration(sec=min(seconds, 2**31 - 1), nanosec=nanoseconds),
        distance=float(contact.distance_m), distance_stddev=float(contact.distance_stddev_m))


def joints_array(header: Header, status: int,
                 estimates: Sequence[HandFaceEstimate]) -> HandJointsArray:
    """Return the joints of all hands."""
    return HandJointsArray(
        header=header, status=status,
        hands=[_joints(estimate) for estimate in estimates if estimate.joints is not None])


def _joints(estimate: HandFaceEstimate) -> HandJoints:
    joints = estimate.joints
    assert joints is not None
    positions = np.asarray(joints.positions_m, np.float64).tolist()
    quaternions = np.asarray(joints.quaternions_xyzw, np.float64).tolist()
    return HandJoints(
        person_id=estimate.person_id, hand_id=estimate.hand_id,
        handedness=int(estimate.handedness),
        confidence=float(estimate.hand.confidence) if estimate.hand is not None else 0.0,
        joints=[Pose(position=Point(x=x, y=y, z=z),
                     orientation=Quaternion(x=a, y=b, z=c, w=d))
                for (x, y, z), (a, b, c, d) in zip(positions, quaternions)],
        radii=np.asarray(joints.radii_m, np.float32), flags=np.asarray(joints.flags, np.uint8))


def topology_array(header: Header, book: TopologyBook, model_id: str,
                   with_licensed: bool = True) -> MeshTopologyArray:
    """
    Return all levels of all topologies, so that the set stays valid when the level changes.

    Args:
        with_licensed: `output.licensed_topology`; False leaves triangles and rest shape of bodies
            out whose licence forbids passing them on.
    """
    return MeshTopologyArray(header=header, model_id=model_id,
                             topologies=[topology_message(t, with_licensed) for t in book.all()])


def topology_message(topology: Topology, with_licensed: bool = True) -> MeshTopology:
    """Return one topology as a message."""
    message = MeshTopology(
        topology_id=topology.topology_id, family=topology.family, part=int(topology.part),
        side=int(topology.side), level_of_detail=topology.level_of_detail,
        vertex_count=topology.vertex_count, region=octets(topology.regions),
        region_names=list(topology.region_names), license=topology.license)
    if topology.full_indices is not None:
        message.full_indices = words(topology.full_indices)
    if with_licensed or topology.may_be_shared:
        message.triangles = words(topology.faces)
        message.rest_vertices = floats(topology.rest_vertices_m)
    return message


def point(position_m: npt.ArrayLike) -> Point:
    """Return a position [m] as a message."""
    x, y, z = np.asarray(position_m, np.float64).tolist()
    return Point(x=x, y=y, z=z)


def pose(body_pose: BodyPose | None) -> Pose:
    """Return a pose as a message; without one, all zero, the quaternion too."""
    message = Pose()
    if body_pose is None:
        message.orientation.w = 0.0
        return message
    message.position = point(body_pose.position_m)
    x, y, z, w = np.asarray(body_pose.quaternion_xyzw, np.float64).tolist()
    message.orientation = Quaternion(x=x, y=y, z=z, w=w)
    return message


def _vector(values: npt.ArrayLike) -> Vector3:
    x, y, z = np.asarray(values, np.float64).tolist()
    return Vector3(x=x, y=y, z=z)


def _roi(roi: Roi) -> RegionOfInterest:
    return RegionOfInterest(x_offset=roi.x_px, y_offset=roi.y_px, width=roi.width_px,
                            height=roi.height_px)
