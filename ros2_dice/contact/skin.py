# SPDX-License-Identifier: Apache-2.0
"""What the distance to a head needs to know about its mesh, made once."""
from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ros2_dice.contact.closing import closed_skin
from ros2_dice.contact.triangles import closest_on_triangles, dot

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]

_SAMPLE_SPACING_M = 0.012
_THIN_M = 0.006


class SkinTables:
    """
    What never changes about one head topology.

    Args:
        faces: (F, 3) triangles of skin and eyeballs, counter-clockwise from outside.
        is_skin: (V,) False for eyeballs.
        rest_vertices_m: (V, 3) [m].
        is_lip: (V,) True on the lips, see `closed_skin`.
    """

    def __init__(self, faces: npt.NDArray[np.integer], is_skin: npt.NDArray[np.bool_],
                 rest_vertices_m: FloatArray, is_lip: npt.NDArray[np.bool_]) -> None:
        self.triangles = closed_skin(faces, is_skin, rest_vertices_m, is_lip)
        self.skin = skin = np.unique(self.triangles)
        self.thin = _thinned(rest_vertices_m, skin)
        """(M,) an even choice of skin vertices, where the surface need not be exact."""
        around = _padded_rows(self.triangles.ravel(), np.arange(self.triangles.size) // 3,
                              len(is_skin))
        fine, fine_weights = _fill_large(rest_vertices_m, self.triangles, _SAMPLE_SPACING_M)
        self.vertex = np.concatenate([skin, self.triangles[fine, fine_weights.argmax(1)]])
        """(S,) skin vertex of each sample: the vertices, then points in large triangles."""
        self.sample_corners = np.concatenate(
            [np.repeat(skin[:, None], 3, 1), self.triangles[fine]])
        self.sample_weights = np.concatenate([np.tile((1.0, 0.0, 0.0), (len(skin), 1)),
                                              fine_weights])
        beside = around[self.triangles[fine]].reshape(len(fine), -1) if len(fine) else \
            np.zeros((0, around.shape[1]), np.int64)
        near = _nearest_rows(beside, fine, self.triangles, rest_vertices_m, fine_weights,
                             around.shape[1])
        self.around = np.concatenate([around[skin], near])
        """(S, K) triangles near each sample."""
        self.across = _across(self.triangles)
        """(T, 3) the triangle on the other side of the edge opposite to each corner."""


def _padded_rows(row: IndexArray, value: IndexArray, rows: int) -> IndexArray:
    """Return (rows, K) values of each row, filled up with the first; 0 where there is none."""
    count = np.bincount(row, minlength=rows)
    order = np.argsort(row, kind='stable')
    first = np.cumsum(count) - count
    table = np.repeat(value[order[np.minimum(first, len(order) - 1)]][:, None], count.max(), 1)
    table[row[order], np.arange(len(order)) - first[row[order]]] = value[order]
    return table


def _thinned(vertices_m: FloatArray, chosen: IndexArray) -> IndexArray:
    """Return one vertex per cube of a grid, the one nearest to the cube's centre."""
    scaled = np.asarray(vertices_m, np.float64)[chosen] / _THIN_M
    cube = np.floor(scaled)
    off_centre = ((scaled - cube - 0.5) ** 2).sum(1)
    order = np.lexsort((off_centre, *cube.T))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(cube[order], axis=0) != 0).any(1)
    return np.sort(chosen[order[first]])


def _across(triangles: IndexArray) -> IndexArray:
    """Return (T, 3) neighbours over the edge opposite to each corner of a closed surface."""
    ends = np.stack([triangles[:, [1, 2, 0]], triangles[:, [2, 0, 1]]], -1).reshape(-1, 2)
    key = ends[:, 0] * (triangles.max() + 1) + ends[:, 1]
    reverse = ends[:, 1] * (triangles.max() + 1) + ends[:, 0]
    order = np.argsort(key)
    return (order[np.searchsorted(key[order], reverse)] // 3).reshape(-1, 3)


def _fill_large(vertices_m: FloatArray, triangles: IndexArray, spacing_m: float
                ) -> tuple[IndexArray, FloatArray]:
    """Return points inside triangles longer than a spacing: triangle (S,) and weights (S, 3)."""
    corners = np.asarray(vertices_m, np.float64)[triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    owner, weights = [np.zeros(0, np.int64)], [np.zeros((0, 3))]
    for triangle in np.flatnonzero(longest > 1.5 * spacing_m):
        n = int(np.ceil(longest[triangle] / spacing_m))
        i, j = np.mgrid[0:n + 1, 0:n + 1]
        grid = np.stack([i, j, n - i - j], -1).reshape(-1, 3)
        grid = grid[(grid >= 0).all(1) & (grid < n).all(1)] / n
        keep: list[npt.NDArray[np.float64]] = []
        for weight in grid:  # thin triangles need fewer points
            point = weight @ corners[triangle]
            if all(np.linalg.norm(point - q @ corners[triangle]) > 0.5 * spacing_m for q in keep):
                keep.append(weight)
        owner.append(np.full(len(keep), triangle))
        weights.append(np.array(keep).reshape(-1, 3))
    return np.concatenate(owner), np.concatenate(weights)


def _nearest_rows(candidates: IndexArray, own: IndexArray, triangles: IndexArray,
                  vertices_m: FloatArray, weights: FloatArray, width: int) -> IndexArray:
    """Return (S, width) candidate triangles nearest to each sample, its own one first."""
    table = np.repeat(own[:, None], width, 1)
    corners = np.asarray(vertices_m, np.float64)[triangles]
    for row, owner in enumerate(own):
        point = weights[row] @ corners[owner]
        others = np.setdiff1d(candidates[row], owner)
        near = corners[others]
        _, offset = closest_on_triangles(point[None], near[:, 0], near[:, 1], near[:, 2])
        order = np.argsort(dot(offset, offset), kind='stable')[:width - 1]
        table[row, 1:1 + len(order)] = others[order]
    return table
