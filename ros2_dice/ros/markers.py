# SPDX-License-Identifier: Apache-2.0
"""
Estimates as RViz markers: meshes with lit contacts, touched spots, labels.

Triangle lists repeat every corner, in float64 with a colour: the point objects of a vertex are
shared between its triangles and the colours between all vertices, which makes a frame cost
thousands of objects less.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from ros2_dice.bodies import Part, Topology
from ros2_dice.ros.contacts import ContactState, Touch
from ros2_dice.ros.messages import TopologyBook
from ros2_dice.types import BodyEstimate, HandFaceEstimate

_STEPS = 64
"""Shades between untouched and touched."""
_TOUCHED = (1.0, 0.47, 0.0)
_BASE = {Part.FACE: (0.63, 0.78, 0.88), Part.HAND: (0.40, 0.75, 0.55),
         Part.UNKNOWN: (0.7, 0.7, 0.7)}


def _shades(base: tuple[float, float, float]) -> list[ColorRGBA]:
    low, high = np.array(base), np.array(_TOUCHED)
    return [ColorRGBA(r=r, g=g, b=b, a=1.0)
            for r, g, b in (low + s * (high - low) for s in np.linspace(0.0, 1.0, _STEPS))]


_SHADES = {part: _shades(base) for part, base in _BASE.items()}
_WHITE = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
_ORANGE = ColorRGBA(r=_TOUCHED[0], g=_TOUCHED[1], b=_TOUCHED[2], a=1.0)


class MarkerMaker:
    """
    Makes marker arrays; ids stay with their track, and what is gone is deleted.

    Args:
        book: topologies that the estimates name.
    """

    def __init__(self, book: TopologyBook) -> None:
        self._book = book
        self._corners: dict[str, list[int]] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._shown: set[tuple[str, str]] = set()

    def make(self, header: Header, estimates: Sequence[HandFaceEstimate],
             touches: Sequence[Touch], *, level_of_detail: int, threshold: float,
             lifetime_s: float) -> MarkerArray:
        """
        Return the markers of a frame.

        Args:
            level_of_detail: `markers.level_of_detail`.
            threshold: `contact.threshold`: probability from which skin is lit.
            lifetime_s: after which RViz drops a marker that is not renewed [s].
        """
        lifetime = Duration(sec=int(lifetime_s), nanosec=int(lifetime_s % 1.0 * 1e9))
        markers: list[Marker] = []
        shown: set[tuple[str, str]] = set()

        def add(namespace: str, track: str, marker: Marker) -> None:
            shown.add((namespace, track))
            marker.header, marker.ns, marker.id = header, namespace, self._id(namespace, track)
            marker.action, marker.lifetime = Marker.ADD, lifetime
            marker.pose.orientation.w = 1.0
            markers.append(marker)

        for track, body, contact in _faces(estimates):
            add('face', track, self._surface(body, contact, level_of_detail, threshold))
            add('label', track, _label(body, f'person {track}', above=True))
        for estimate in estimates:
            if estimate.hand is not None:
                track = estimate.hand_id
                add('hand', track, self._surface(estimate.hand, estimate.hand.contact,
                                                 level_of_detail, threshold))
                add('label', track, _label(estimate.hand, _hand_text(estimate), above=False))
        for touch in touches:
            if touch.state != ContactState.ENDED:
                contact_track = '/'.join((touch.person_id, touch.hand_id,
                                          touch.contact.hand_region, touch.contact.face_region))
                add('contact', contact_track, _spot(touch))
        for namespace, track in sorted(self._shown - shown):
            markers.append(Marker(header=header, ns=namespace, id=self._id(namespace, track),
                                  action=Marker.DELETE))
            del self._ids[namespace, track]
        self._shown = shown
        return MarkerArray(markers=markers)

    @staticmethod
    def clear() -> MarkerArray:
        """Return what removes everything an earlier run left in RViz."""
        return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])

    def _id(self, namespace: str, track: str) -> int:
        key = (namespace, track)
        if key not in self._ids:
            used = {number for (ns, _), number in self._ids.items() if ns == namespace}
            self._ids[key] = next(n for n in range(len(used) + 1) if n not in used)
        return self._ids[key]

    def _surface(self, body: BodyEstimate, contact: npt.NDArray[np.floating] | None,
                 level_of_detail: int, threshold: float) -> Marker:
        topology = self._book.level(body.topology_id, level_of_detail)
        keep = slice(None) if topology.full_indices is None else topology.full_indices
        points = [Point(x=x, y=y, z=z)
                  for x, y, z in np.asarray(body.vertices_m[keep], np.float64).tolist()]
        shades = _SHADES[topology.part]
        corners = self._corner_indices(topology)
        marker = Marker(type=Marker.TRIANGLE_LIST, scale=Vector3(x=1.0, y=1.0, z=1.0),
                        color=shades[0], points=[points[i] for i in corners])
        if contact is None:
            marker.colors = [shades[0]] * len(corners)
            return marker
        # Full colour from the threshold on; below it, fading out.
        strength = np.clip(np.nan_to_num(contact[keep]) / threshold, 0.0, 1.0) ** 2
        steps = np.rint(strength * (_STEPS - 1)).astype(int).tolist()
        marker.colors = [shades[steps[i]] for i in corners]
        return marker

    def _corner_indices(self, topology: Topology) -> list[int]:
        corners = self._corners.get(topology.topology_id)
        if corners is None:
            corners = self._corners[topology.topology_id] = topology.faces.ravel().tolist()
        return corners


def _faces(estimates: Sequence[HandFaceEstimate]) -> list[
        tuple[str, BodyEstimate, npt.NDArray[np.floating] | None]]:
    """Return each person's face once, with the contacts of all its hands."""
    found: dict[str, tuple[BodyEstimate, npt.NDArray[np.floating] | None]] = {}
    for estimate in estimates:
        if estimate.face is None:
            continue
        contact = estimate.face.contact
        before = found.get(estimate.person_id)
        if before is not None and before[1] is not None:
            contact = before[1] if contact is None else np.maximum(before[1], contact)
        found[estimate.person_id] = (estimate.face, contact)
    return [(track, body, contact) for track, (body, contact) in found.items()]


def _hand_text(estimate: HandFaceEstimate) -> str:
    text = f'{estimate.handedness.name.lower()} {estimate.hand_id}'
    if np.isfinite(estimate.contact_probability):
        text += f'  touch {estimate.contact_probability:.2f}'
    if np.isfinite(estimate.min_distance_m):
        text += f'  {1000.0 * estimate.min_distance_m:.0f} mm'
    return text


def _label(body: BodyEstimate, text: str, above: bool) -> Marker:
    low, high = body.vertices_m.min(axis=0), body.vertices_m.max(axis=0)
    x, y, z = (0.5 * (low + high)).astype(float).tolist()
    marker = Marker(type=Marker.TEXT_VIEW_FACING, text=text, color=_WHITE,
                    scale=Vector3(z=0.02))
    # y points down in the optical frame.
    marker.pose.position = Point(x=x, y=float(low[1]) - 0.03 if above else float(high[1]) + 0.03,
                                 z=z)
    return marker


def _spot(touch: Touch) -> Marker:
    x, y, z = np.asarray(touch.contact.position_m, np.float64).tolist()
    marker = Marker(type=Marker.SPHERE, color=_ORANGE, scale=Vector3(x=0.012, y=0.012, z=0.012))
    marker.pose.position = Point(x=x, y=y, z=z)
    return marker
