# SPDX-License-Identifier: Apache-2.0
"""Who touches what: the network's probabilities, with distances measured between the meshes."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from ros2_dice.bodies import ParametricHand, ParametricHead, PosedBody
from ros2_dice.contact.distance import HeadSurface, SkinTables
from ros2_dice.contact.regions import LEAST_PROBABILITY, TouchedSkin, region_contacts
from ros2_dice.types import FloatArray, RegionContact

_EXACT_M = 0.01
"""Farther from the skin the distance is that to the nearest vertex."""


@dataclass(frozen=True, eq=False)
class Touching:
    """One hand and one face in one frame."""

    min_distance_m: float
    """Smallest signed distance of the hand to the undented face; negative = inside."""
    max_deformation_m: float
    regions: tuple[RegionContact, ...]


class TouchFinder:
    """
    Measures hands against one kind of head.

    Args:
        head: the head model.
    """

    def __init__(self, head: ParametricHead) -> None:
        is_lip = head.regions == head.region_names.index('lips')
        self._head = head
        self._tables = SkinTables(head.faces, head.is_skin, head.rest_vertices_m, is_lip)

    def surface(self, posed: PosedBody, last: HeadSurface | None = None) -> HeadSurface:
        """
        Return a posed head to measure against; it is not deformed.

        Args:
            posed: the head.
            last: of the same head in the frame before, which is used again.
        """
        surface = last or HeadSurface(self._tables)
        surface.pose(posed.vertices_m, posed.rotations[0], posed.joints_m[0])
        return surface

    def find(self, surface: HeadSurface, hand: ParametricHand, hand_m: FloatArray,
             contact: FloatArray, deformation_m: FloatArray) -> Touching:
        """
        Return how one hand touches.

        Args:
            surface: of the head.
            hand: its model.
            hand_m: (V_hand, 3) its vertices [m], in the frame of the surface.
            contact: (V_head,) probability of each vertex of the head.
            deformation_m: (V_head, 3) displacement due to this hand [m].
        """
        distance = surface.distance(hand_m, exact_m=_EXACT_M)
        depth = np.sqrt((deformation_m ** 2).sum(1))
        touched = np.flatnonzero((contact >= LEAST_PROBABILITY) & self._head.is_skin)
        regions: tuple[RegionContact, ...] = ()
        if len(touched):
            points = surface.vertices_m[touched]
            nearest: npt.NDArray[np.int64] = np.asarray(KDTree(hand_m).query(points)[1], np.int64)
            skin = TouchedSkin(
                touched, contact[touched], nearest, points + deformation_m[touched],
                surface.normals_of(touched), surface.areas_of(touched), depth[touched])
            regions = region_contacts(skin, hand.regions, hand.region_names, self._head.regions,
                                      self._head.region_names, distance.signed_m, float('nan'))
        return Touching(float(distance.signed_m.min()), float(depth.max(initial=0.0)), regions)
