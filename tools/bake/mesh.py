# SPDX-License-Identifier: Apache-2.0
"""Small mesh helpers of the bake."""
from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree


def triangulate(quads: np.ndarray) -> np.ndarray:
    """Return two triangles for each quad."""
    return np.concatenate((quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]))


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return unit normals (V, 3), weighted by area."""
    normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]],
                       vertices[faces[:, 2]] - vertices[faces[:, 0]])
    out = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(out, faces[:, corner], normals)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def compact(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices that some faces use, and the faces in their numbers."""
    used = np.unique(faces)
    number = -np.ones(used.max() + 1, int)
    number[used] = np.arange(len(used))
    return used, number[faces]


def boundary_loops(faces: np.ndarray) -> list[list[int]]:
    """Return the holes of a mesh as vertex loops, wound so that a fan over them closes it."""
    edges = {(int(i), int(j)): None
             for a, b, c in faces for i, j in ((a, b), (b, c), (c, a))}
    after = {j: i for i, j in edges if (j, i) not in edges}
    loops = []
    while after:
        start = next(iter(after))
        loop, here = [start], after.pop(start)
        while here != start and here in after:
            loop.append(here)
            here = after.pop(here)
        loops.append(loop)
    return loops


def fans(loops: list[list[int]]) -> np.ndarray:
    """Return triangles (F, 3) that close holes, all from a hole's first vertex."""
    return np.array([[loop[0], loop[i], loop[i + 1]]
                     for loop in loops for i in range(1, len(loop) - 1)])


def similarity(source: np.ndarray, target: np.ndarray
               ) -> tuple[float, np.ndarray, np.ndarray]:
    """Return scale, rotation and shift with target ~ scale rotation source + shift."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    u, singular, vt = np.linalg.svd((target - target_mean).T @ (source - source_mean))
    signs = np.array((1.0, 1.0, np.sign(np.linalg.det(u @ vt))))
    rotation = (u * signs) @ vt
    scale = float((singular * signs).sum() / ((source - source_mean) ** 2).sum())
    return scale, rotation, target_mean - scale * rotation @ source_mean


def closest_on_mesh(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Return face (N,) and barycentric weights (N, 3) of the nearest point on a mesh."""
    _, candidates = KDTree(vertices[faces].mean(axis=1)).query(points, k=40)
    face, weights = np.zeros(len(points), int), np.zeros((len(points), 3))
    best = np.full(len(points), np.inf)
    for choice in candidates.T:
        triangle = vertices[faces[choice]]
        at = _closest_weights(points, triangle)
        distance = ((np.einsum('nk,nkd->nd', at, triangle) - points) ** 2).sum(axis=1)
        better = distance < best
        best[better], face[better], weights[better] = distance[better], choice[better], at[better]
    return face, weights


def _closest_weights(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return barycentric weights of the point of each triangle (N, 3, 3) nearest to its point."""
    def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a * b).sum(axis=-1)

    first, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], \
        triangles[:, 2] - triangles[:, 0]
    ap = points - first
    e, g, h, m, n = dot(ab, ab), dot(ab, ac), dot(ac, ac), dot(ap, ab), dot(ap, ac)
    determinant = np.maximum(e * h - g * g, 1e-18)
    u, w = (h * m - g * n) / determinant, (e * n - g * m) / determinant
    inside = (u >= 0) & (w >= 0) & (u + w <= 1)
    out = np.stack((1 - u - w, u, w), axis=1)
    best = np.where(inside, 0.0, np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        start, edge = triangles[:, i], triangles[:, j] - triangles[:, i]
        along = np.clip(dot(points - start, edge) / np.maximum(dot(edge, edge), 1e-18), 0, 1)
        distance = ((start + along[:, None] * edge - points) ** 2).sum(axis=1)
        better = ~inside & (distance < best)
        best[better] = distance[better]
        row = np.zeros((len(points), 3))
        row[:, i], row[:, j] = 1 - along, along
        out[better] = row[better]
    return out
