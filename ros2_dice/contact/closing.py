# SPDX-License-Identifier: Apache-2.0
"""
Close the openings of a head's skin, so that inside and outside are defined everywhere.

The skin of the open head ends at the neck, the lips and the eyelids. Flat lids over these openings
use no new vertices, so they follow every expression.
"""
from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer]

_FOLD_RINGS = 3


def boundary_loops(faces: IntArray) -> list[npt.NDArray[np.int64]]:
    """
    Return the closed loops of edges that belong to one triangle only.

    Args:
        faces: (F, 3) counter-clockwise triangles of an orientable surface.

    Returns:
        Vertex indices of every loop, in the order in which a lid has to run through them so that
        its triangles are oriented like `faces`.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    count = int(edges.max(initial=0)) + 1
    open_ = edges[~np.isin(edges @ (count, 1), edges @ (1, count))]
    following = {b: a for a, b in open_.tolist()}  # a lid runs the other way round
    loops = []
    while following:
        start = next(iter(following))
        loop = [start]
        while (vertex := following.pop(loop[-1])) != start:
            loop.append(vertex)
        loops.append(np.array(loop))
    return loops


def lid(loop: npt.NDArray[np.int64], vertices_m: npt.NDArray[np.floating]
        ) -> npt.NDArray[np.int64]:
    """
    Return triangles over one loop: a strip between its two sides, from corner to corner.

    Args:
        loop: (n,) vertex indices, as `boundary_loops` orders them.
        vertices_m: (V, 3) positions [m]; the corners are the two ends of the longest direction.

    Returns:
        (n - 2, 3) triangles.
    """
    points = np.asarray(vertices_m, np.float64)[loop]
    _, _, axes = np.linalg.svd(points - points.mean(0), full_matrices=False)
    ring = np.roll(loop, -int(np.argmin(points @ axes[0])))
    along = np.asarray(vertices_m, np.float64)[ring] @ axes[0]
    low, high, triangles = 1, len(ring) - 1, []
    previous_low = previous_high = 0
    while low <= high:
        # Advance the side that lies behind, so that the strip stays narrow.
        if along[low] <= along[high] or low == high:
            triangles.append((ring[previous_low], ring[low], ring[previous_high]))
            previous_low, low = low, low + 1
        else:
            triangles.append((ring[previous_low], ring[high], ring[previous_high]))
            previous_high, high = high, high - 1
    # The first triangle is degenerate: both sides start at the same corner.
    return np.array([t for t in triangles if len(set(map(int, t))) == 3], np.int64)


def closed_skin(faces: IntArray, is_skin: npt.NDArray[np.bool_],
                vertices_m: npt.NDArray[np.floating], is_lip: npt.NDArray[np.bool_]
                ) -> npt.NDArray[np.int64]:
    """
    Return the triangles of the skin with a lid over every opening.

    Args:
        faces: (F, 3) triangles of skin and eyeballs.
        is_skin: (V,) False for the eyeballs, which are left out.
        vertices_m: (V, 3) rest positions [m]; they only shape the lids.
        is_lip: (V,) True on the lips. Their inner side folds back into the mouth, where upper and
            lower lip pass through each other and inside is not defined: it is cut off up to the
            line where the lips meet.
    """
    skin = np.asarray(faces, np.int64)[is_skin[np.asarray(faces, np.int64)].all(1)]
    for _ in range(_FOLD_RINGS):
        for loop in boundary_loops(skin):
            if is_lip[loop].all():
                skin = skin[~np.isin(skin, loop).any(1)]
    return np.concatenate([skin, *(lid(loop, vertices_m) for loop in boundary_loops(skin))])
