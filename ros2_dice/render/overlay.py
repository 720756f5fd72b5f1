# SPDX-License-Identifier: Apache-2.0
"""Estimates drawn over their picture: shaded meshes, touched skin lit up, a line for each hand."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ros2_dice.bodies import Part, Side, Topology
from ros2_dice.errors import DiceError
from ros2_dice.render.raster import interpolate, rasterize
from ros2_dice.types import BodyEstimate, Camera, HandFaceEstimate, State

_FACE_BGR = (235.0, 195.0, 140.0)
_HAND_BGR = {Side.LEFT: (190.0, 110.0, 170.0), Side.RIGHT: (150.0, 190.0, 60.0),
             Side.NONE: (170.0, 170.0, 110.0)}
_DENT_BGR = (170.0, 40.0, 150.0)
_TOUCH_BGR = (0.0, 120.0, 255.0)
_FULL_DENT_M = 0.003
"""Deformation that is drawn in the full colour of a dent."""
_LIGHT = np.array([-0.35, -0.55, -0.76], np.float32)
_ALPHA, _ALPHA_TOUCH = 0.5, 0.95
_FAINT = 0.45
_GLOW_BGR = (10.0, 90.0, 190.0)
_GLOW_FROM = 0.2
"""Contact from which skin glows beyond its own outline; a fingertip is only a few pixels wide."""


@dataclass(frozen=True)
class Surface:
    """One mesh that is to be drawn."""

    topology: Topology
    vertices_m: npt.NDArray[np.floating]
    contact: npt.NDArray[np.floating]
    """(V,) [0, 1]."""
    dent_m: npt.NDArray[np.floating]
    """(V,) length of the deformation [m]."""
    opacity: float = 1.0
    """Lower for what is predicted and not seen in this picture."""

    def colours_bgr(self) -> npt.NDArray[np.float32]:
        """Return (V, 3) [0, 255]: the part's colour, dents violet, touched skin orange."""
        base = _FACE_BGR if self.topology.part == Part.FACE else _HAND_BGR[self.topology.side]
        colours = np.tile(np.array(base, np.float32), (len(self.vertices_m), 1))
        for strength, colour in ((0.8 * np.clip(self.dent_m / _FULL_DENT_M, 0, 1), _DENT_BGR),
                                 (self.contact, _TOUCH_BGR)):
            share = np.asarray(strength, np.float32)[:, None]
            colours += share * (np.array(colour, np.float32) - colours)
        return colours


def surfaces(topologies: dict[str, Topology],
             estimates: Iterable[HandFaceEstimate]) -> list[Surface]:
    """
    Return what there is to draw: each face once, with the contacts of all its hands.

    Predicted hands are faint; so are faces of which no entry was measured.

    Raises:
        DiceError: an estimate names a topology that isn't among the given ones.
    """
    found: dict[tuple[str, str], Surface] = {}
    for number, estimate in enumerate(estimates):
        hand = estimate.hand_id or f'hand {number}'
        for key, body in (((estimate.person_id, ''), estimate.face),
                          ((estimate.person_id, hand), estimate.hand)):
            if body is None or not len(body.vertices_m):
                continue
            surface = _surface(topologies, body,
                               _FAINT if estimate.state == State.PREDICTED else 1.0)
            before = found.get(key)
            if before is not None and before.topology is surface.topology:
                surface = Surface(surface.topology, surface.vertices_m,
                                  np.maximum(surface.contact, before.contact),
                                  np.maximum(surface.dent_m, before.dent_m),
                                  max(surface.opacity, before.opacity))
            found[key] = surface
    return list(found.values())


def _surface(topologies: dict[str, Topology], body: BodyEstimate, opacity: float) -> Surface:
    topology = topologies.get(body.topology_id)
    if topology is None:
        raise DiceError('topology', got=body.topology_id,
                        expected='one of ' + ', '.join(sorted(topologies)))
    nothing = np.zeros(len(body.vertices_m), np.float32)
    contact = nothing if body.contact is None else np.nan_to_num(body.contact.astype(np.float32))
    dent = nothing
    if body.deformation_m is not None:
        dent = np.nan_to_num(np.linalg.norm(body.deformation_m, axis=1).astype(np.float32))
    return Surface(topology, body.vertices_m, contact, dent, opacity)


class Overlay:
    """
    Draws estimates on pictures; keeps what each topology needs for shading.

    Args:
        topologies: those that estimates may name; their coarser levels are known too.
    """

    def __init__(self, topologies: Sequence[Topology]) -> None:
        self._topologies = {level.topology_id: level for topology in topologies
                            for level in (topology, *topology.coarser)}
        self._sums: dict[str, csr_matrix] = {}

    def draw(self, bgr: npt.NDArray[np.uint8], estimates: Iterable[HandFaceEstimate],
             camera: Camera, scale: float = 1.0, *, legend: bool = True,
             ) -> npt.NDArray[np.uint8]:
        """
        Return a copy of the picture with the meshes over it.

        Args:
            bgr: (H, W, 3) the picture that the estimates were made of.
            camera: the pinhole camera of that picture, in its full size.
            scale: size of the result against the picture.
            legend: write ids, side, probability and distance beside each hand.
        """
        height, width = bgr.shape[:2]
        if scale == 1.0:
            canvas = bgr.copy()
        else:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            canvas = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
        zoom = np.array([canvas.shape[1] / camera.width_px, canvas.shape[0] / camera.height_px])
        estimates = list(estimates)
        self._draw_surfaces(canvas, surfaces(self._topologies, estimates), camera, zoom)
        if legend:
            self._write(canvas, estimates, camera, zoom)
        return canvas

    def _draw_surfaces(self, canvas: npt.NDArray[np.uint8], found: list[Surface], camera: Camera,
                       zoom: npt.NDArray[np.floating]) -> None:
        if not found:
            return
        counts = [len(surface.vertices_m) for surface in found]
        offsets = np.cumsum([0, *counts[:-1]])
        vertices = np.concatenate([surface.vertices_m for surface in found])
        faces = np.concatenate([surface.topology.faces.astype(np.int64) + offset
                                for surface, offset in zip(found, offsets)])
        with np.errstate(all='ignore'):
            points = camera.project(vertices.astype(np.float64)) * zoom
        height, width = canvas.shape[:2]
        seen = rasterize(points, vertices[:, 2], faces, width, height)
        if not len(seen.pixel):
            return
        # Colour, light already applied, opacity and touch are interpolated over each triangle.
        paint = np.empty((len(vertices), 5), np.float32)
        for surface, offset, count in zip(found, offsets, counts):
            part = slice(offset, offset + count)
            lit = 0.45 + 0.65 * np.clip(self.normals(surface) @ _LIGHT, 0, 1)
            lit = np.maximum(lit, 0.9 * surface.contact)
            paint[part, :3] = surface.colours_bgr() * lit[:, None]
            paint[part, 3] = surface.opacity * (
                _ALPHA + (_ALPHA_TOUCH - _ALPHA) * surface.contact)
            paint[part, 4] = surface.opacity * surface.contact
        values = interpolate(seen, faces, paint)
        alpha = values[:, 3:4]
        flat = canvas.reshape(-1, 3)
        under = flat[seen.pixel].astype(np.float32)
        under += alpha * (values[:, :3] - under)
        flat[seen.pixel] = np.clip(under, 0, 255).astype(np.uint8)
        _glow(canvas, seen.pixel, values[:, 4])

    def normals(self, surface: Surface) -> npt.NDArray[np.float32]:
        """Return (V, 3) unit vertex normals, zero where they are undefined."""
        topology = surface.topology
        corners = topology.faces.astype(np.int64)
        sums = self._sums.get(topology.topology_id)
        if sums is None:
            triangle = np.repeat(np.arange(len(corners)), 3)
            sums = csr_matrix((np.ones(corners.size, np.float32), (corners.ravel(), triangle)),
                              shape=(topology.vertex_count, len(corners)))
            self._sums[topology.topology_id] = sums
        points = np.nan_to_num(surface.vertices_m.astype(np.float32), posinf=0.0, neginf=0.0)
        a, b, c = (points[corners[:, k]] for k in range(3))
        u, v = b - a, c - a
        cross = np.stack([u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1],
                          u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
                          u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]], 1)
        normals = sums @ cross
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

    def _write(self, canvas: npt.NDArray[np.uint8], estimates: list[HandFaceEstimate],
               camera: Camera, zoom: npt.NDArray[np.floating]) -> None:
        size = max(0.35, canvas.shape[0] / 1100)
        named = set()
        for estimate in estimates:
            labels: list[tuple[BodyEstimate | None, str]] = [(estimate.hand, hand_label(estimate))]
            if estimate.person_id not in named:
                labels.append((estimate.face, f'person {estimate.person_id}'))
                named.add(estimate.person_id)
            for body, text in labels:
                if body is None or not len(body.vertices_m):
                    continue
                points = np.asarray(body.vertices_m, np.float64)
                points = points[np.isfinite(points).all(1) & (points[:, 2] > 0.01)]
                if not len(points):
                    continue
                pixels = camera.project(points) * zoom
                below = body is estimate.hand
                place = (pixels[:, 0].mean(), pixels[:, 1].max() if below else pixels[:, 1].min())
                _put_text(canvas, text, place, size, below)


def _glow(canvas: npt.NDArray[np.uint8], pixel: npt.NDArray[np.integer],
          touch: npt.NDArray[np.floating]) -> None:
    """Add warm light around touched pixels."""
    lit = touch > _GLOW_FROM
    if not lit.any():
        return
    height, width = canvas.shape[:2]
    reach = max(2.0, height / 60)
    row, column = np.divmod(pixel[lit], width)
    margin = int(3 * reach)
    top, bottom = max(row.min() - margin, 0), min(row.max() + margin + 1, height)
    left, right = max(column.min() - margin, 0), min(column.max() + margin + 1, width)
    light = np.zeros((bottom - top, right - left), np.float32)
    light[row - top, column - left] = touch[lit]
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), reach))
    light = np.minimum(2.2 * light, 1.0)[..., None]
    part = canvas[top:bottom, left:right]
    part[:] = np.clip(part + light * np.array(_GLOW_BGR, np.float32), 0, 255).astype(np.uint8)


def hand_label(estimate: HandFaceEstimate) -> str:
    """Return one line on a hand: id, side, probability of touching, distance."""
    words = [estimate.hand_id, estimate.handedness.name.lower()]
    if math.isfinite(estimate.contact_probability):
        words.append(f'touch {estimate.contact_probability:.2f}')
    if math.isfinite(estimate.min_distance_m):
        words.append(f'{round(1e3 * estimate.min_distance_m)} mm')
    if estimate.state == State.PREDICTED:
        words.append('(predicted)')
    return ' '.join(word for word in words if word)


def _put_text(canvas: npt.NDArray[np.uint8], text: str, place: tuple[float, float], size: float,
              below: bool) -> None:
    """Write centred at a place, moved into the picture, on a dark ground."""
    thick = max(1, round(1.6 * size))
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    margin = round(5 * size) + 1
    x = round(min(max(place[0] - width / 2, margin), max(canvas.shape[1] - width - margin,
                                                         margin)))
    y = place[1] + (height + 3 * margin if below else -3 * margin)
    y = round(min(max(y, height + 2 * margin), max(canvas.shape[0] - base - margin, 0)))
    top, bottom = max(y - height - margin, 0), min(y + base + margin, canvas.shape[0])
    left, right = max(x - margin, 0), min(x + width + margin, canvas.shape[1])
    canvas[top:bottom, left:right] = canvas[top:bottom, left:right] // 3
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (245, 245, 245), thick,
                cv2.LINE_AA)
