# SPDX-License-Identifier: Apache-2.0
"""What the sample clip shows besides the open bodies, and how it is lit."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import OpenHand
from ros2_dice.contact.closing import boundary_loops
from ros2_dice.render import interpolate, rasterize
from ros2_dice.types import Camera

FloatArray = npt.NDArray[np.floating]

LIGHT = np.array([-0.45, -0.75, -0.85])
"""Direction to the key light, optical frame."""
_FILL = np.array([0.9, -0.1, -0.6])
_SHADOW_TEXEL_M = 0.0012
_SHADOW_SIZE = 640
_SKIN_LIGHT = (0.855, 0.655, 0.545)
SHIRT = (0.20, 0.36, 0.44)
_HAIR = np.array([0.035, 0.022, 0.014], np.float32)


@dataclass(frozen=True)
class Mesh:
    """A coloured surface; colours are RGB in [0, 1]."""

    vertices_m: FloatArray
    faces: npt.NDArray[np.integer]
    colours: FloatArray
    gloss: float
    rest_m: FloatArray | None = None
    """(V, 3) places in the head's own frame: brows and hair are painted by them."""


def vertex_normals(vertices_m: FloatArray, faces: npt.NDArray[np.integer]) -> FloatArray:
    """Return (V, 3) unit normals."""
    a, b, c = (vertices_m[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    total = np.zeros_like(vertices_m)
    for k in range(3):
        np.add.at(total, faces[:, k], cross)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def _tube(rings: FloatArray, first: int) -> npt.NDArray[np.int64]:
    """Return faces of R rings of n vertices each, numbered from `first`; outside = left turn."""
    count, n = rings.shape[:2]
    here = np.arange(n)
    there = np.roll(here, -1)
    faces = []
    for ring in range(count - 1):
        low, high = first + ring * n, first + (ring + 1) * n
        faces += [np.stack([low + here, low + there, high + there], 1),
                  np.stack([low + here, high + there, high + here], 1)]
    return np.concatenate(faces)


def torso(place_m: FloatArray, turn: FloatArray) -> Mesh:
    """
    Return neck, shoulders and chest in a jumper.

    Args:
        place_m: (3,) origin of the head's frame [m], optical frame.
        turn: (3, 3) rotation of the upper body.
    """
    # Height below the head's origin, half width, half depth, centre's depth [m].
    rows = np.array([(0.098, 0.050, 0.058, 0.037), (0.1015, 0.0625, 0.0745, 0.037),
                     (0.109, 0.0655, 0.0775, 0.038), (0.128, 0.067, 0.078, 0.040),
                     (0.143, 0.073, 0.078, 0.045), (0.155, 0.092, 0.072, 0.056),
                     (0.165, 0.122, 0.077, 0.060), (0.178, 0.158, 0.083, 0.062),
                     (0.195, 0.190, 0.090, 0.062), (0.220, 0.213, 0.098, 0.060),
                     (0.260, 0.226, 0.106, 0.057), (0.310, 0.229, 0.112, 0.055),
                     (0.520, 0.215, 0.115, 0.055)])
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    heights, widths, depths, centres = (rows[:, k, None] for k in range(4))
    rings = np.stack([widths * np.cos(angle), np.broadcast_to(heights, (len(rows), 64)),
                      centres + depths * np.sin(angle)], -1)
    vertices = rings.reshape(-1, 3) @ turn.T + place_m
    colours = np.tile(np.array(SHIRT), (len(vertices), 1))
    colours[:3 * 64] *= 0.86  # the collar's own edge
    return Mesh(vertices, _tube(rings, 0)[:, ::-1], colours, 0.02)


def arm(hand: OpenHand, vertices_m: FloatArray, elbow_m: FloatArray) -> Mesh:
    """
    Return the hand with a forearm and a sleeve grown from its open wrist.

    Args:
        vertices_m: (V, 3) posed hand, optical frame.
        elbow_m: (3,) where the forearm goes, optical frame.
    """
    faces = hand.faces.astype(np.int64)
    loop = max(boundary_loops(faces), key=len)
    rim = vertices_m[loop]
    centre = rim.mean(0)
    axis = elbow_m - centre
    length = float(np.linalg.norm(axis))
    axis /= length
    # The rim's own outline, turned to lie square to the forearm, becomes round on the way.
    spoke = rim - centre
    flat = spoke - np.outer(spoke @ axis, axis)
    radius = np.linalg.norm(flat, axis=1, keepdims=True)
    round_off = flat / np.maximum(radius, 1e-9)
    steps = np.array([0.006, 0.014, 0.026, 0.042, 0.06, 0.08, 0.0801, 0.0802, 0.088, 0.11, 0.16,
                      length])
    widths = np.array([0.0, 0.0272, 0.0275, 0.0290, 0.0310, 0.0332, 0.0332, 0.0395, 0.0420, 0.0440,
                       0.0480, 0.052])
    rings = [rim]
    for step, width in zip(steps, widths):
        share = min(step / 0.05, 1.0)
        outline = flat * (1 - share) + round_off * max(width, 0.026) * share
        lean = np.outer(spoke @ axis, axis) * max(0.0, 1 - step / 0.03)
        rings.append(centre + axis * step + outline + lean)
    added = np.concatenate(rings[1:])
    tube = _tube(np.array(rings), 0)
    number = np.concatenate([loop, len(vertices_m) + np.arange(len(added))])
    tube = number[tube]
    # The loop runs like a lid; the forearm continues the skin, the other way round.
    tube = tube[:, ::-1] if _points_inwards(np.concatenate([vertices_m, added]), tube) else tube
    names = np.array(hand.region_names)[hand.regions]
    nail = np.char.endswith(names, 'nail_side')
    pad = np.char.endswith(names, 'pad')
    skin = np.tile(np.array(_SKIN_LIGHT), (len(vertices_m) + len(added), 1))
    skin[:len(vertices_m)][nail] = (0.88, 0.68, 0.60)
    skin[:len(vertices_m)][pad] = (0.86, 0.61, 0.53)
    sleeve = len(vertices_m) + 6 * len(loop)
    skin[sleeve:] = SHIRT
    return Mesh(np.concatenate([vertices_m, added]), np.concatenate([faces, tube]), skin, 0.16)


def _points_inwards(vertices: FloatArray, tube: npt.NDArray[np.integer]) -> bool:
    a, b, c = (vertices[tube[:, k]] for k in range(3))
    outward = (a + b + c) / 3 - vertices[np.unique(tube)].mean(0)
    return float((np.cross(b - a, c - a) * outward).sum()) < 0


def background(width: int, height: int) -> npt.NDArray[np.float32]:
    """Return (H, W, 3) linear RGB: a room far out of focus."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / width
    picture = np.empty((height, width, 3), np.float32)
    for channel, (top, bottom) in enumerate(((0.56, 0.36), (0.55, 0.33), (0.50, 0.29))):
        picture[..., channel] = top + (bottom - top) * y
    shapes = [((0.04, 0.10, 0.24, 0.72), (0.80, 0.86, 0.90)),
              ((0.70, 0.16, 0.99, 0.22), (0.30, 0.22, 0.16)),
              ((0.70, 0.42, 0.99, 0.48), (0.30, 0.22, 0.16)),
              ((0.74, 0.24, 0.80, 0.42), (0.48, 0.24, 0.19)),
              ((0.81, 0.27, 0.85, 0.42), (0.22, 0.34, 0.40)),
              ((0.88, 0.25, 0.95, 0.42), (0.55, 0.47, 0.30)),
              ((0.73, 0.52, 0.97, 0.95), (0.24, 0.29, 0.25))]
    for (x0, y0, x1, y1), colour in shapes:
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        picture[inside] = colour
    picture = cv2.GaussianBlur(picture, (0, 0), width / 55)
    picture += rng.normal(0, 0.004, picture.shape).astype(np.float32)
    vignette = 1 - 0.35 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    return (np.clip(picture * vignette[..., None], 0, 1) ** 2.2).astype(np.float32)


def _shadow(vertices: FloatArray, faces: npt.NDArray[np.integer], places: FloatArray
            ) -> npt.NDArray[np.float32]:
    """Return (N,) share of the key light that reaches places (N, 3) [m]."""
    to_light = LIGHT / np.linalg.norm(LIGHT)
    side = np.cross(to_light, (0.0, 1.0, 0.0))
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(side, to_light)])
    middle = np.array([0.0, 0.0, 0.72])
    far_m = 10.0  # so far that the rays are parallel for the rasterizer's perspective

    def project(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        local = points - middle
        return (local @ axes.T / _SHADOW_TEXEL_M + _SHADOW_SIZE / 2,
                far_m - local @ to_light)

    points, depth = project(vertices)
    seen = rasterize(points, depth, faces, _SHADOW_SIZE, _SHADOW_SIZE, cull=False)
    nearest = np.full(_SHADOW_SIZE * _SHADOW_SIZE, np.inf, np.float32)
    nearest[seen.pixel] = 1 / seen.inverse_depth
    nearest = nearest.reshape(_SHADOW_SIZE, _SHADOW_SIZE)
    points, depth = project(places)
    lit = np.zeros(len(places), np.float32)
    offsets = [(dx, dy) for dx in (-3.2, -1.5, 0.0, 1.5, 3.2) for dy in (-3.2, -1.5, 0.0, 1.5, 3.2)
               if dx * dx + dy * dy < 16]
    bias_m = 0.004
    for dx, dy in offsets:
        column, row = (np.clip(points[:, k] + d, 0, _SHADOW_SIZE - 1).astype(np.int32)
                       for k, d in ((0, dx), (1, dy)))
        lit += nearest[row, column] > depth - bias_m
    return (lit / len(offsets)).astype(np.float32)


def render(meshes: list[Mesh], camera: Camera, backdrop: npt.NDArray[np.float32],
           samples: int = 2) -> npt.NDArray[np.uint8]:
    """
    Return a lit BGR picture.

    Args:
        backdrop: (H, W, 3) linear RGB.
        samples: side of the grid of samples in each pixel, against jagged edges.
    """
    counts = [len(mesh.vertices_m) for mesh in meshes]
    starts = np.cumsum([0, *counts[:-1]])
    vertices = np.concatenate([mesh.vertices_m for mesh in meshes])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts)])
    normals = np.concatenate([vertex_normals(mesh.vertices_m, mesh.faces) for mesh in meshes])
    colours = np.concatenate([mesh.colours for mesh in meshes]) ** 2.2
    gloss = np.concatenate([np.full(count, mesh.gloss) for mesh, count in zip(meshes, counts)])
    nowhere = np.full(3, 9.0)
    rest = np.concatenate([np.broadcast_to(nowhere, mesh.vertices_m.shape)
                           if mesh.rest_m is None else mesh.rest_m for mesh in meshes])
    width, height = camera.width_px * samples, camera.height_px * samples
    seen = rasterize(camera.project(vertices) * samples, vertices[:, 2], faces, width, height)
    values = interpolate(seen, faces, np.concatenate(
        [vertices, normals, colours, gloss[:, None], rest], 1))
    _paint(values)
    lit = _shade(values, _shadow(vertices, faces, values[:, :3]))
    big = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    big.reshape(-1, 3)[seen.pixel] = lit
    linear = cv2.resize(big, (camera.width_px, camera.height_px), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(np.asarray(linear, np.float32), (0, 0), 0.6)
    shown = np.clip(soft, 0, 1) ** (1 / 2.2)
    return np.ascontiguousarray((255 * shown[..., ::-1] + 0.5).astype(np.uint8))


def _paint(values: npt.NDArray[np.float32]) -> None:
    """Paint brows and short hair on the head, finer than its vertices lie."""
    place = values[:, 10:13]
    index = np.flatnonzero(np.abs(place).max(1) < 1)
    x, y, z = (place[index, k] for k in range(3))
    strand = 0.75 + 0.25 * np.sin(900 * x + 260 * y) * np.sin(1500 * x - 420 * y + 300 * z)
    aside = np.abs(x)
    arc = 0.0232 - 5.0 * (aside - 0.036) ** 2
    half = 0.0052 - 0.10 * np.abs(aside - 0.030)
    brow = np.clip((half - np.abs(y - arc)) / 0.0016, 0, 1) * (aside > 0.008) * (z > 0.03)
    line = 0.072 + 0.012 * np.cos(30 * x) - 0.62 * np.clip(0.062 - z, 0, 0.10) \
        + 0.0016 * np.sin(700 * x) * np.sin(310 * x)
    ear = (aside > 0.071) & (z > -0.035) & (y < 0.03)
    hair = np.clip((y - line) / 0.006, 0, 1) * ~ear * (y > -0.075)
    share = np.maximum(0.85 * brow * strand, 0.93 * hair)[:, None]
    tint = _HAIR * (0.6 + 0.8 * strand)[:, None]
    values[index, 6:9] += share * (tint - values[index, 6:9])
    values[index, 9] *= 1 - 0.5 * hair


def _shade(values: npt.NDArray[np.float32], shadow: npt.NDArray[np.float32]
           ) -> npt.NDArray[np.float32]:
    """Wrapped diffuse light with a red rim for skin, a soft highlight, and a fill light."""
    normal = values[:, 3:6] / np.maximum(
        np.linalg.norm(values[:, 3:6], axis=1, keepdims=True), 1e-6)
    key = (LIGHT / np.linalg.norm(LIGHT)).astype(np.float32)
    fill = (_FILL / np.linalg.norm(_FILL)).astype(np.float32)
    view = -values[:, :3] / np.linalg.norm(values[:, :3], axis=1, keepdims=True)
    wrap = np.array([0.32, 0.20, 0.16], np.float32)
    facing = (normal @ key)[:, None]
    diffuse = np.clip((facing + wrap) / (1 + wrap), 0, 1) * shadow[:, None]
    sky = (0.62 - 0.38 * normal[:, 1:2]) * np.array([0.29, 0.30, 0.33], np.float32)
    light = sky + 0.92 * diffuse * np.array([1.0, 0.96, 0.90], np.float32)
    light += 0.16 * np.clip(normal @ fill, 0, 1)[:, None]
    half = key + view
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = np.clip((normal * half).sum(1), 0, 1) ** 22 * values[:, 9] * shadow
    return np.asarray(values[:, 6:9] * light + 0.55 * shine[:, None], np.float32)
