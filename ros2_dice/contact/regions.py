# SPDX-License-Identifier: Apache-2.0
"""Which part of the hand touches which part of the face."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.types import RegionContact

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]

LEAST_PROBABILITY = 0.05
"""Pairs below this are not listed."""
TOUCHED_SHARE = 0.5
"""Of the pair's largest probability: vertices from there on make up its area."""


@dataclass(frozen=True)
class TouchedSkin:
    """N head vertices near the hand, and what lies nearest to them on the hand."""

    vertex: IndexArray
    """(N,) head vertices."""
    probability: FloatArray
    """(N,) of being touched."""
    hand_vertex: IndexArray
    """(N,) nearest hand vertex."""
    points_m: FloatArray
    """(N, 3) positions, deformed [m]."""
    normals: FloatArray
    """(N, 3) unit, out of the head."""
    areas_m2: FloatArray
    """(N,)."""
    depths_m: FloatArray
    """(N,) length of the deformation [m]."""


def region_contacts(
        skin: TouchedSkin, hand_regions: npt.NDArray[np.integer],
        hand_region_names: tuple[str, ...], head_regions: npt.NDArray[np.integer],
        head_region_names: tuple[str, ...], distances_m: FloatArray, distance_stddev_m: float
        ) -> tuple[RegionContact, ...]:
    """
    Return contacts between pairs of regions, most probable first.

    Args:
        skin: head vertices near the hand.
        hand_regions: (V_hand,) indices into `hand_region_names`.
        head_regions: (V_head,) indices into `head_region_names`.
        distances_m: (V_hand,) signed distance of each hand vertex to the face [m], inf = far.
        distance_stddev_m: one sigma [m].
    """
    chosen = np.flatnonzero(skin.probability >= LEAST_PROBABILITY)
    pair = (hand_regions[skin.hand_vertex[chosen]].astype(np.int64) * len(head_region_names)
            + head_regions[skin.vertex[chosen]])
    contacts = []
    for key in np.unique(pair):
        index = chosen[pair == key]
        probability = skin.probability[index]
        best = float(probability.max())
        index = index[probability >= TOUCHED_SHARE * best]
        weight = skin.areas_m2[index] * skin.probability[index]
        area = float(skin.areas_m2[index].sum())
        weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(index), 1 / len(index))
        normal = weight @ skin.normals[index]
        hand_region, head_region = divmod(int(key), len(head_region_names))
        distance = float(distances_m[skin.hand_vertex[index]].min())
        contacts.append(RegionContact(
            hand_region_names[hand_region], head_region_names[head_region], best,
            weight @ skin.points_m[index], normal / max(float(np.linalg.norm(normal)), 1e-12),
            area, float(skin.depths_m[index].max()), distance, distance_stddev_m))
    return tuple(sorted(contacts, key=lambda c: (-c.probability, c.hand_region, c.face_region)))
