# SPDX-License-Identifier: Apache-2.0
"""The dent that a touching hand makes in the face: smooth, local, limited."""
from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]

FALLOFF_M = 0.012
"""Standard deviation of the dent around a pressing point."""
REACH = 3.0
"""The dent ends at so many standard deviations; it is e^-4.5 there, and tapered to nothing."""


def indentation(skin_m: FloatArray, normals: FloatArray, limits_m: FloatArray,
                points_m: FloatArray, depths_m: FloatArray) -> FloatArray:
    """
    Return the displacement of skin vertices under pressing points.

    Each point presses a Gaussian dent; the deepest one counts at each vertex, and a soft limit
    keeps it above bone.

    Args:
        skin_m: (N, 3) skin vertices [m].
        normals: (N, 3) unit, out of the head.
        limits_m: (N,) how far each vertex may give way [m].
        points_m: (P, 3) where the hand presses, on the skin [m].
        depths_m: (P,) how deep, positive [m].

    Returns:
        (N, 3) displacement [m], into the head; deformed = rest + displacement.
    """
    if not len(points_m) or not len(skin_m):
        return np.zeros((len(skin_m), 3))
    # In falloffs from the first point, so that single precision does.
    skin = ((skin_m - points_m[0]) / FALLOFF_M).astype(np.float32)
    points = ((points_m - points_m[0]) / FALLOFF_M).astype(np.float32)
    scaled = ((skin ** 2).sum(1)[:, None] + (points ** 2).sum(1)[None] - 2.0 * skin @ points.T)
    scaled = np.maximum(scaled, 0.0)
    taper = np.clip(1.0 - scaled / REACH ** 2, 0.0, 1.0)
    field = (np.exp(-0.5 * scaled) * taper * depths_m.astype(np.float32)).max(1)
    limit = np.maximum(limits_m, 1e-9)
    return -(limit * np.tanh(field / limit))[:, None] * normals
