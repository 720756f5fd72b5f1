# SPDX-License-Identifier: Apache-2.0
"""Which part of the hand touches which part of the face."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.contact.triangles import dot
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
    if not len(chosen):
        return ()
    pair = (hand_regions[skin.hand_vertex[chosen]].astype(np.int64) * len(head_region_names)
            + head_regions[skin.vertex[chosen]])
    order = np.argsort(pair, kind='stable')
    chosen, pair = chosen[order], pair[order]
    first = np.flatnonzero(np.diff(pair, prepend=-1))
    best = np.maximum.reduceat(skin.probability[chosen], first)
    group = np.repeat(np.arange(len(first)), np.diff(first, append=len(pair)))
    probability = skin.probability[chosen]
    # The most probable vertex of each pair is always kept, so no group is lost.
    kept = probability >= TOUCHED_SHARE * best[group]
    chosen, group, probability = chosen[kept], group[kept], probability[kept]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    area = skin.areas_m2[chosen]
    weight = area * probability
    total = np.add.reduceat(weight, starts)
    weight = np.where(total[group] > 0, weight, 1.0)
    weight /= np.add.reduceat(weight, starts)[group]
    normal = np.add.reduceat(weight[:, None] * skin.normals[chosen], starts)
    normal /= np.maximum(np.sqrt(dot(normal, normal)), 1e-12)[:, None]
    place = np.add.reduceat(weight[:, None] * skin.points_m[chosen], starts)
    area, depth, distance = (
        np.add.reduceat(area, starts).tolist(),
        np.maximum.reduceat(skin.depths_m[chosen], starts).tolist(),
        np.minimum.reduceat(distances_m[skin.hand_vertex[chosen]], starts).tolist())
    contacts = []
    for index, key in enumerate(pair[first].tolist()):
        hand_region, head_region = divmod(key, len(head_region_names))
        contacts.append(RegionContact(
            hand_region_names[hand_region], head_region_names[head_region], float(best[index]),
            place[index], normal[index], area[index], depth[index], distance[index],
            distance_stddev_m))
    return tuple(sorted(contacts, key=lambda c: (-c.probability, c.hand_region, c.face_region)))
