# SPDX-License-Identifier: Apache-2.0
"""
A z-buffered triangle rasterizer on arrays, without a display and without a loop over triangles.

Each triangle becomes one span for each pixel row that it covers, all spans of all triangles become
one list of pixels, and a scatter-maximum of the inverse depth leaves those in front. Neighbours
share the exact arithmetic of their common edge, so that no pixel is missed or drawn twice.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FRAGMENTS_AT_ONCE = 2_000_000
_LAYERS = 24
"""Surfaces behind one another that can be real; broken vertices give thousands."""


@dataclass(frozen=True)
class Fragments:
    """What is seen at each covered pixel: N of them, at most one for a pixel."""

    pixel: npt.NDArray[np.int32]
    """(N,) index into the picture, row * width + column."""
    face: npt.NDArray[np.int32]
    """(N,) index of the triangle."""
    weights: npt.NDArray[np.float32]
    """(N, 3) barycentric weights of the triangle's corners, in the picture plane."""
    inverse_depth: npt.NDArray[np.float32]
    """(N,) 1 / z [1/m]."""


def rasterize(points_px: npt.NDArray[np.floating], depth_m: npt.NDArray[np.floating],
              faces: npt.NDArray[np.integer], width_px: int, height_px: int, *,
              cull: bool = True, near_m: float = 0.01) -> Fragments:
    """
    Return the visible pixels of a triangle mesh.

    Triangles with a corner that isn't finite or is nearer than `near_m` (behind the camera too)
    are left out.

    Args:
        points_px: (V, 2) picture coordinates, pixel centres at integers plus one half [px].
        depth_m: (V,) distance along the optical axis [m].
        faces: (T, 3) vertex indices, counter-clockwise seen from outside.
        cull: leave out triangles that are seen from inside.
    """
    points = np.asarray(points_px, np.float64)
    depth = np.asarray(depth_m, np.float64)
    triangles = np.asarray(faces, np.int64).reshape(-1, 3)
    with np.errstate(invalid='ignore', over='ignore'):
        # Far outside the picture exact places don't matter, but overflow does.
        good = np.isfinite(points).all(1) & (np.abs(points) < 1e7).all(1)
        good &= np.isfinite(depth) & (depth > near_m)
    inverse = np.zeros_like(depth)
    np.divide(1.0, depth, out=inverse, where=good)
    kept = np.flatnonzero(good[triangles].all(1))
    # Three rows, one for each corner: contiguous, or every step below takes twice as long.
    x, y = (np.ascontiguousarray(points[:, axis][triangles[kept].T]) for axis in (0, 1))
    # Twice the signed area; with y down, counter-clockwise seen from outside is negative.
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    seen = (area < -1e-9) if cull else (np.abs(area) > 1e-9)
    seen &= (x.max(0) > 0) & (x.min(0) < width_px) & (y.max(0) > 0) & (y.min(0) < height_px)
    kept, x, y, area = kept[seen], x[:, seen], y[:, seen], area[seen]

    # Edge k runs from corner k + 1 to corner k + 2: a x + b y + c is the doubled area that the
    # pixel spans with it, corner k's weight before division by the whole area.
    following, after = (1, 2, 0), (2, 0, 1)
    a = y[following, :] - y[after, :]
    b = x[after, :] - x[following, :]
    c = x[following, :] * y[after, :] - x[after, :] * y[following, :]
    first = np.clip(np.ceil(y.min(0) - 0.5), 0, height_px).astype(np.int64)
    last = np.clip(np.ceil(y.max(0) - 0.5), 0, height_px).astype(np.int64)
    rows = last - first

    buffer = np.zeros(width_px * height_px, np.float32)
    parts = []
    # Far fewer pixels than this limit cover any real scene.
    allowed = _LAYERS * width_px * height_px
    for begin, end in _batches(rows * np.maximum(1, np.ptp(x, axis=0).clip(0, width_px))):
        pick = slice(begin, end)
        part = _scan(a[:, pick], b[:, pick], c[:, pick], area[pick], first[pick], rows[pick],
                     inverse[triangles[kept[pick]]].T, width_px)
        allowed -= len(part[0])
        if allowed < 0:
            break
        np.maximum.at(buffer, part[0], part[2])
        parts.append((part[0], part[1] + begin, part[2]))
    if not parts:
        nothing = np.zeros(0, np.int32)
        return Fragments(nothing, nothing, np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
    pixel, local, nearness = (np.concatenate(column) for column in zip(*parts))
    front = np.flatnonzero(nearness == buffer[pixel])
    # Two triangles at exactly the same depth: the later one counts, everywhere.
    owner = np.empty(len(buffer), np.int32)
    owner[pixel[front]] = front
    front = front[owner[pixel[front]] == front]
    pixel, local, nearness = pixel[front], local[front], nearness[front]
    row, column = np.divmod(pixel, np.int32(width_px))
    scale = 1.0 / area
    offset = (0.5 * (a + b) + c) * scale
    weights = np.empty((len(pixel), 3), np.float32)
    for k in range(3):
        weights[:, k] = (a[k] * scale)[local] * column + (b[k] * scale)[local] * row \
            + offset[k][local]
    return Fragments(pixel, kept.astype(np.int32)[local], weights, nearness)


def _batches(cost: npt.NDArray[np.floating]) -> list[tuple[int, int]]:
    """Cut a list of triangles so that no batch has too many pixels."""
    total = np.cumsum(cost)
    if not len(total):
        return []
    group = (total // _FRAGMENTS_AT_ONCE).astype(np.int64)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(total)]))


def _scan(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], c: npt.NDArray[np.float64],
          area: npt.NDArray[np.float64], first: npt.NDArray[np.int64],
          rows: npt.NDArray[np.int64], inverse: npt.NDArray[np.float64], width_px: int,
          ) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """Return pixel, triangle and inverse depth of every covered pixel."""
    triangle = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(triangle)) - np.repeat(np.cumsum(rows) - rows - first, rows)
    edge_a = a.take(triangle, 1)
    rest = b.take(triangle, 1) * (row + 0.5) + c.take(triangle, 1)
    with np.errstate(divide='ignore', invalid='ignore'):
        crossing = -rest / edge_a
    turned = np.where(area[triangle] < 0, -edge_a, edge_a)
    low, high = (_fold(fold, np.where(side, crossing, limit)) for fold, side, limit in (
        (np.maximum, turned > 0, -np.inf), (np.minimum, turned < 0, np.inf)))
    start = np.ceil(np.clip(low, 0, width_px) - 0.5).astype(np.int64)
    stop = np.ceil(np.clip(high, 0, width_px) - 0.5).astype(np.int64)
    length = np.maximum(stop - start, 0)

    # Inverse depth is linear along a row: its value at the first pixel, and its slope.
    at_start = _fold(np.add, (rest + edge_a * (start + 0.5)) * inverse.take(triangle, 1))
    at_start /= area[triangle]
    slope = _fold(np.add, a * inverse) / area
    step = np.arange(length.sum(), dtype=np.int32)
    step -= np.repeat((np.cumsum(length) - length).astype(np.int32), length)
    pixel = step + np.repeat((row * width_px + start).astype(np.int32), length)
    owner = np.repeat(triangle.astype(np.int32), length)
    nearness = np.repeat(slope.astype(np.float32)[triangle], length)
    nearness *= step.astype(np.float32)
    nearness += np.repeat(at_start.astype(np.float32), length)
    # Rounding must not let a sliver through all that lies before it.
    limits = inverse.astype(np.float32)
    np.maximum(nearness, np.repeat(_fold(np.minimum, limits)[triangle], length), out=nearness)
    np.minimum(nearness, np.repeat(_fold(np.maximum, limits)[triangle], length), out=nearness)
    return pixel, owner, nearness


def _fold(combine: np.ufunc, rows: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Reduce three rows; numpy's own reduction over so short an axis takes twice as long."""
    return combine(combine(rows[0], rows[1]), rows[2])


def interpolate(fragments: Fragments, faces: npt.NDArray[np.integer],
                values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return (N, C) values of (V, C) vertex values at the fragments."""
    table = np.ascontiguousarray(values, np.float32)
    corners = np.asarray(faces).T
    result = np.zeros((len(fragments.face), table.shape[1]), np.float32)
    for k in range(3):
        part = table.take(corners[k].take(fragments.face), 0)
        part *= fragments.weights[:, k:k + 1]
        result += part
    return result
