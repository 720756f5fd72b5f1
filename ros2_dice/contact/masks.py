# SPDX-License-Identifier: Apache-2.0
"""Contact probability per vertex, and the dent, from a settled hand."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ros2_dice.contact.distance import HeadSurface, SkinTables
from ros2_dice.contact.indent import FALLOFF_M, REACH, indentation
from ros2_dice.contact.regions import TouchedSkin, region_contacts
from ros2_dice.contact.settle import Settled
from ros2_dice.contact.triangles import dot
from ros2_dice.types import RegionContact

if TYPE_CHECKING:
    from ros2_dice.bodies import OpenHand, OpenHead

FloatArray = npt.NDArray[np.floating]

TOUCH_M = 0.005
"""A hand vertex this far from the skin is touching with half the hand's probability."""
TOUCH_WIDTH_M = 0.001
SKIN_REACH_M = 0.010
"""A head vertex this far from a touching hand vertex likewise: vertices are 4-8 mm apart."""
SKIN_WIDTH_M = 0.0015


@dataclass(frozen=True)
class ContactMasks:
    """What one settled hand does to hand and head vertices."""

    hand: npt.NDArray[np.float32]
    """(V_hand,) probability."""
    face: npt.NDArray[np.float32]
    """(V_head,) probability."""
    deformation_m: npt.NDArray[np.float32] | None
    """(V_head, 3) [m]; None = zero everywhere."""
    max_deformation_m: float
    skin: TouchedSkin | None
    """Head vertices near the hand; None = the hand is not near."""

    def regions(self, hand: OpenHand, head: OpenHead, settled: Settled,
                distance_stddev_m: float) -> tuple[RegionContact, ...]:
        """Return the contacts between pairs of regions."""
        if self.skin is None:
            return ()
        distances = np.full(len(hand.regions), np.inf)
        distances[settled.near] = settled.distance.signed_m
        return region_contacts(self.skin, hand.regions, hand.region_names, head.regions,
                               head.region_names, distances, distance_stddev_m)


def masks(settled: Settled, surface: HeadSurface, tables: SkinTables, limits_m: FloatArray,
          probability: float, touching: bool, cluster: npt.NDArray[np.int64]) -> ContactMasks:
    """
    Return the masks of one hand.

    Args:
        settled: the hand in its final place.
        surface: the head.
        tables: of the head.
        limits_m: (V_head,) how far the skin gives way [m].
        probability: of the hand touching at all.
        touching: the verdict; only a touching hand dents the face.
        cluster: (V_hand,) patch of each hand vertex; the deepest vertex of each presses.
    """
    signed = settled.distance.signed_m
    hand = np.zeros(len(settled.vertices_m), np.float32)
    face = np.zeros(len(surface.vertices_m), np.float32)
    closeness = _falling(signed, TOUCH_M, TOUCH_WIDTH_M)
    hand[settled.near] = probability * closeness
    touch = np.flatnonzero(closeness > 0.02)
    if not len(touch):
        return ContactMasks(hand, face, None, 0.0, None)

    pressing = np.asarray(settled.vertices_m)[settled.near[touch]]
    margin = REACH * FALLOFF_M
    low, high = pressing.min(0) - margin, pressing.max(0) + margin
    x, y, z = (points := surface.vertices_m[tables.skin]).T
    inside = np.flatnonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
                            & (z > low[2]) & (z < high[2]))
    vertex, points = tables.skin[inside], points[inside]
    normals = surface.normals_of(vertex)

    # A head vertex is touched if a touching hand vertex is near.
    reach, index = _nearest(points, pressing)
    near = reach < SKIN_REACH_M + 6 * SKIN_WIDTH_M
    share = np.where(near, _falling(reach, SKIN_REACH_M, SKIN_WIDTH_M) * closeness[touch[index]],
                     0.0)
    face[vertex] = probability * share

    displacement = np.zeros((len(vertex), 3))
    if touching:
        sunk = touch[signed[touch] < 0]
        patch = cluster[settled.near[sunk]]
        order = np.lexsort((signed[sunk], patch))
        sunk = sunk[order[np.diff(patch[order], prepend=-1) != 0]]
        base = np.asarray(settled.vertices_m)[settled.near[sunk]] \
            - signed[sunk, None] * settled.distance.normal[sunk]
        displacement = indentation(points, normals, limits_m[vertex], base, -signed[sunk])
    depth = np.sqrt(dot(displacement, displacement))
    deformation = None
    if depth.any():
        deformation = np.zeros((len(face), 3), np.float32)
        deformation[vertex] = displacement
    touched = near & (share > 0)
    found = TouchedSkin(vertex[touched], probability * share[touched],
                        settled.near[touch[index[touched]]],
                        points[touched] + displacement[touched], normals[touched],
                        surface.areas_of(vertex[touched]), depth[touched])
    return ContactMasks(hand, face, deformation, float(depth.max(initial=0.0)), found)


def _nearest(points_m: FloatArray, others_m: FloatArray
             ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return distance and index of the nearest of a few other points; small lists need no tree."""
    center = others_m.mean(0)  # differences of squares are exact near the origin
    points, others = points_m - center, others_m - center
    squared = points @ (-2.0 * others.T)
    squared += dot(others, others)
    index = squared.argmin(1)
    offset = points - others[index]
    return np.sqrt(dot(offset, offset)), index


def _falling(distance_m: FloatArray, half_m: float, width_m: float) -> FloatArray:
    """Return a smooth step from 1 (near) to 0 (far)."""
    return 1.0 / (1.0 + np.exp(np.clip((distance_m - half_m) / width_m, -30.0, 30.0)))
