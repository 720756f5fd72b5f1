# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on many triangles at once."""
from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]


def vertex_normals(vertices_m: FloatArray, triangles: IndexArray) -> FloatArray:
    """Return (V, 3) unit vertex normals, weighted by angle; zero where no triangle is."""
    corner = [vertices_m[triangles[:, k]] for k in range(3)]
    edge = [corner[(k + 1) % 3] - corner[k] for k in range(3)]
    length = [np.maximum(np.sqrt(dot(e, e)), 1e-15) for e in edge]
    normal = cross(edge[0], edge[1])
    normal /= np.maximum(np.sqrt(dot(normal, normal)), 1e-15)[:, None]
    angle = np.concatenate([
        np.arccos(np.clip(-dot(edge[k], edge[k - 1]) / (length[k] * length[k - 1]), -1, 1))
        for k in range(3)])
    index = triangles.T.ravel()
    total = np.stack([np.bincount(index, angle * np.tile(normal[:, k], 3), len(vertices_m))
                      for k in range(3)], 1).astype(np.float64)
    return total / np.maximum(np.sqrt(dot(total, total)), 1e-15)[:, None]


def vertex_areas(vertices_m: FloatArray, triangles: IndexArray) -> FloatArray:
    """Return (V,) a third of the area of the triangles around each vertex [m^2]."""
    corner = vertices_m[triangles]
    normal = cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    third = np.sqrt(dot(normal, normal)) / 6.0
    area = np.bincount(triangles.T.ravel(), np.tile(third, 3), len(vertices_m))
    return area.astype(np.float64)


def dot(u: FloatArray, v: FloatArray) -> FloatArray:
    """Return the inner products of (..., 3) vectors."""
    return u[..., 0] * v[..., 0] + u[..., 1] * v[..., 1] + u[..., 2] * v[..., 2]


def cross(u: FloatArray, v: FloatArray) -> FloatArray:
    """Return the cross products of (..., 3) vectors; numpy's own is slow on small arrays."""
    out = np.empty(np.broadcast_shapes(u.shape, v.shape), np.result_type(u, v))
    out[..., 0] = u[..., 1] * v[..., 2] - u[..., 2] * v[..., 1]
    out[..., 1] = u[..., 2] * v[..., 0] - u[..., 0] * v[..., 2]
    out[..., 2] = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return out


def closest_on_triangles(p: FloatArray, a: FloatArray, b: FloatArray, c: FloatArray
                          ) -> tuple[FloatArray, FloatArray]:
    """
    Return barycentric weights of the closest point, and the offset from it to p.

    Follows Ericson, Real-Time Collision Detection (2005), section 5.1.5, all regions at once.
    """
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = dot(ab, ap), dot(ac, ap)
    ab_ab, ab_ac, ac_ac = dot(ab, ab), dot(ab, ac), dot(ac, ac)
    d3, d4, d5, d6 = d1 - ab_ab, d2 - ab_ac, d1 - ab_ac, d2 - ac_ac
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    total = np.maximum(va + vb + vc, 1e-30)
    v, w = vb / total, vc / total
    tiny = 1e-30
    on_bc = (va <= 0) & (d4 - d3 >= 0) & (d5 - d6 >= 0)
    t = (d4 - d3) / np.maximum((d4 - d3) + (d5 - d6), tiny)
    v, w = np.where(on_bc, 1 - t, v), np.where(on_bc, t, w)
    on_ac = (vb <= 0) & (d2 >= 0) & (d6 <= 0)
    v, w = np.where(on_ac, 0.0, v), np.where(on_ac, d2 / np.maximum(d2 - d6, tiny), w)
    on_ab = (vc <= 0) & (d1 >= 0) & (d3 <= 0)
    v, w = np.where(on_ab, d1 / np.maximum(d1 - d3, tiny), v), np.where(on_ab, 0.0, w)
    at_c = (d6 >= 0) & (d5 <= d6)
    v, w = np.where(at_c, 0.0, v), np.where(at_c, 1.0, w)
    at_b = (d3 >= 0) & (d4 <= d3)
    v, w = np.where(at_b, 1.0, v), np.where(at_b, 0.0, w)
    at_a = (d1 <= 0) & (d2 <= 0)
    v, w = np.where(at_a, 0.0, v), np.where(at_a, 0.0, w)
    offset = ap - v[..., None] * ab - w[..., None] * ac
    return np.stack([1 - v - w, v, w], -1), offset
