# SPDX-License-Identifier: Apache-2.0
"""
Exact signed distance from points to any triangle mesh: slow, for scoring only.

The distance is the smallest over all triangles that could be nearest. The side comes from the
winding number (van Oosterom and Strackee, "The solid angle of a plane triangle", 1983), which
stays meaningful on meshes with holes such as a head that is open at the neck.
"""
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from ros2_dice.contact.triangles import closest_on_triangles, cross, dot
from ros2_dice.types import FloatArray

_INSIDE = 0.5
_SLACK_M = 1e-6
"""Rounding of distances that only choose candidates."""
_CHUNK = 2_000_000
"""Pairs of point and triangle at a time: some 100 MB."""


def signed_distances_m(points_m: FloatArray, vertices_m: FloatArray,
                       faces: npt.NDArray[np.integer],
                       within_m: float = np.inf) -> npt.NDArray[np.float64]:
    """
    Return (N,) distance of points to the surface [m], negative inside.

    Args:
        points_m: (N, 3) [m].
        vertices_m: (V, 3) [m].
        faces: (F, 3), counter-clockwise seen from outside.
        within_m: points outside that are certainly farther may get inf, which is faster.
    """
    vertices = np.asarray(vertices_m, np.float64)
    middle = vertices.mean(0)  # products of coordinates lose digits far from the origin
    points, vertices = np.asarray(points_m, np.float64) - middle, vertices - middle
    corners = vertices[np.asarray(faces)]
    inside = winding_numbers(points, vertices, faces) > _INSIDE
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max()
    bound, _ = KDTree(corners.reshape(-1, 3)).query(points)
    signed = np.full(len(points), np.inf)
    near = np.flatnonzero(inside | (np.asarray(bound) - longest <= within_m))
    signed[near] = np.where(inside[near], -1.0, 1.0) * _unsigned_m(
        points[near], corners, np.asarray(bound)[near])
    return signed


def _unsigned_m(points_m: FloatArray, corners_m: FloatArray, bound_m: FloatArray
                ) -> npt.NDArray[np.float64]:
    """Return (N,) distance to the nearest of triangles (F, 3, 3), given the nearest corner's."""
    centre = corners_m.mean(1)
    radius = np.linalg.norm(corners_m - centre[:, None], axis=2).max(1)
    squared = np.empty(len(points_m))
    for chunk in _chunks(len(points_m), len(corners_m)):
        points = points_m[chunk]
        apart = _lengths(points, centre)
        row, triangle = np.nonzero(apart - radius <= bound_m[chunk, None] + _SLACK_M)
        a, b, c = (corners_m[triangle, k] for k in range(3))
        _, offset = closest_on_triangles(points[row], a, b, c)
        first = np.flatnonzero(np.diff(row, prepend=-1))
        squared[chunk] = np.minimum.reduceat(dot(offset, offset), first)
    return np.sqrt(squared)


def winding_numbers(points_m: FloatArray, vertices_m: FloatArray,
                    faces: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """
    Return (N,) how often a mesh winds around points (N, 3): 1 inside, 0 outside.

    Points outside the box around the mesh get 0 at once: from there even an open mesh fills less
    than half of the view, so that they are outside anyway. All products with a point p are written
    out as those of the corners a, b, c plus terms linear in p, which are matrix products.
    """
    corners = vertices_m[faces]
    low, high = corners.min((0, 1)), corners.max((0, 1))
    found = np.zeros(len(points_m))
    boxed = np.flatnonzero(((points_m >= low) & (points_m <= high)).all(1))
    a, b, c = (corners[:, k] for k in range(3))
    volume, area = dot(a, cross(b, c)), cross(b, c) + cross(c, a) + cross(a, b)
    for chunk in _chunks(len(boxed), len(corners)):
        points = points_m[boxed[chunk]]
        square = (points ** 2).sum(1)[:, None]
        length = _lengths(points, vertices_m)
        la, lb, lc = (length[:, faces[:, k]] for k in range(3))
        below = la * lb * lc
        for u, v, lw in ((a, b, lc), (b, c, la), (c, a, lb)):
            below += (dot(u, v) - points @ (u + v).T + square) * lw
        solid = np.arctan2(volume - points @ area.T, below)
        found[boxed[chunk]] = solid.sum(1) / (2 * np.pi)
    return found


def _lengths(points: FloatArray, others: FloatArray) -> npt.NDArray[np.float64]:
    """Return (N, M) distances of points (N, 3) and (M, 3)."""
    squared = (points ** 2).sum(1)[:, None] - 2.0 * (points @ others.T) + (others ** 2).sum(1)
    return np.sqrt(np.maximum(squared, 0.0))


def _chunks(points: int, triangles: int) -> list[slice]:
    step = max(1, _CHUNK // max(triangles, 1))
    return [slice(start, start + step) for start in range(0, points, step)]
