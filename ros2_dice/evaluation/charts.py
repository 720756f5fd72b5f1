# SPDX-License-Identifier: Apache-2.0
"""Drawings for reports, as SVG text."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_BLUE, _ORANGE, _RED, _GREY, _LINE = '#2b6cb0', '#e08a1e', '#c53030', '#c3ccd6', '#8a97a6'


def reliability(diagrams: Mapping[str, Mapping[str, Any]], size_px: int = 240) -> str:
    """
    Return reliability diagrams side by side: frequency over probability, dots as large as bins.

    Args:
        diagrams: title to `Calibration.as_json()`.
        size_px: of each square.
    """
    left, top, gap = 34, 22, 56
    parts = []
    for number, (title, diagram) in enumerate(diagrams.items()):
        x0 = left + number * (size_px + gap)
        y1 = top + size_px
        error = diagram['ece']
        parts += [
            f'<text x="{x0}" y="{top - 8}">{title}: ECE '
            f'{"-" if error is None else format(error, ".3f")}, n {diagram["n"]}</text>',
            f'<rect x="{x0}" y="{top}" width="{size_px}" height="{size_px}" fill="none" '
            f'stroke="{_GREY}"/>',
            f'<line x1="{x0}" y1="{y1}" x2="{x0 + size_px}" y2="{top}" stroke="{_GREY}" '
            'stroke-dasharray="4 4"/>',
            *(f'<text x="{x0 + size_px * v - 6}" y="{y1 + 15}">{v:g}</text>' for v in (0, .5, 1)),
            *(f'<text x="{x0 - 22}" y="{y1 - size_px * v + 4}">{v:g}</text>' for v in (.5, 1)),
        ]
        total = max(diagram['n'], 1)
        for part in diagram['bins']:
            x = x0 + size_px * part['mean_probability']
            y = y1 - size_px * part['frequency']
            radius = 3 + 14 * (part['n'] / total) ** 0.5
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{_BLUE}" '
                         f'fill-opacity="0.55"><title>{part["n"]} answers</title></circle>')
    width = left + len(diagrams) * (size_px + gap)
    return _svg(width, top + size_px + 24, parts)


def timeline(probabilities: Sequence[float | None], touches: Iterable[tuple[int, int, bool]],
             open_frames: Iterable[int], threshold: float, size_px: tuple[int, int] = (960, 84)
             ) -> str:
    """
    Return a clip's probability over its frames, above what is labelled.

    Args:
        probabilities: of each frame, None = cannot tell.
        touches: first and last frame, certain or not.
        open_frames: left out of the score.
        threshold: drawn as a line.
        size_px: width and height.
    """
    width, height = size_px
    left, band = 34, 12
    plot = height - band - 18
    step = (width - left) / max(len(probabilities), 1)
    touches = list(touches)
    unsure = set(open_frames)
    certain = {n for a, b, sure in touches if sure for n in range(a, b + 1)}

    def box(first: int, end: int, y: float, tall: float, colour: str, opacity: float = 1.0) -> str:
        return (f'<rect x="{left + step * first:.1f}" y="{y:.1f}" '
                f'width="{max(step * (end - first), 0.5):.1f}" height="{tall:.1f}" '
                f'fill="{colour}" fill-opacity="{opacity}"/>')

    parts = [box(a, min(b + 1, len(probabilities)), plot + 6, band, _ORANGE, 1.0 if sure else 0.35)
             for a, b, sure in touches if a < len(probabilities)]
    for number, value in enumerate(probabilities):
        if value is None:
            continue
        wrong = number not in unsure and (value >= threshold) != (number in certain)
        colour = _RED if wrong else _LINE if number in unsure else _BLUE
        parts.append(box(number, number + 1, plot * (1 - value) + 2,
                         max(plot * value, 0.6), colour, 0.75))
    y = plot * (1 - threshold) + 2
    parts += [f'<line x1="{left}" y1="{y:.1f}" x2="{width}" y2="{y:.1f}" stroke="{_LINE}" '
              'stroke-dasharray="3 3"/>',
              f'<text x="0" y="{y + 4:.1f}">{threshold:g}</text>',
              f'<text x="0" y="{plot + 16}">label</text>',
              f'<text x="{width - 70}" y="{height - 1}">{len(probabilities)} frames</text>']
    return _svg(width, height, parts)


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">' + ''.join(parts) + '</svg>')
