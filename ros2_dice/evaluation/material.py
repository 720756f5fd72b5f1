# SPDX-License-Identifier: Apache-2.0
"""
Labelled pictures and clips: a folder with labels.json, by default ROS2_DICE_MATERIAL's.

The format is described in docs/evaluation.md. Only `file` has to be in a row; what else is absent
is unknown. A file that does not lie where its row says is looked for by its name below the folder.
"""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ros2_dice.errors import ConfigError, why

Labelled = TypeVar('Labelled')

VARIABLE = 'ROS2_DICE_MATERIAL'
ANSWERS = ('yes', 'no')
"""Contact labels that are scored; others are only listed."""
_TOLERANCE = 4
_FORMAT = 'docs/evaluation.md shows the format'


@dataclass(frozen=True)
class LabelledPicture:
    """One picture and what a person saw in it."""

    path: Path
    name: str
    """Path inside the material's folder, as labelled."""
    scene: str
    hands: int | None
    faces: int | None
    contact: str
    """yes, likely, no, unknown or another word."""
    certain: bool
    notes: str
    face_words: tuple[str, ...] = ()
    """Parts of the face that are touched, in the labels' words."""
    hand_words: tuple[str, ...] = ()
    """Fingers and parts of the hand that touch."""

    @property
    def is_touch(self) -> bool | None:
        """The answer that is scored, or None where the label gives none."""
        return self.contact == 'yes' if self.contact in ANSWERS else None


@dataclass(frozen=True)
class TouchSpan:
    """Frames of one contact, first and last included."""

    first: int
    last: int
    certain: bool
    words: tuple[str, ...] = ()
    """Parts of the face, in the labels' words."""


@dataclass(frozen=True)
class LabelledClip:
    """One clip and when a hand touches the face in it."""

    path: Path
    name: str
    scene: str
    frames: int
    """0 = not labelled."""
    rate_hz: float
    """0 = not labelled."""
    hands: int | None
    faces: int | None
    touches: tuple[TouchSpan, ...]
    tolerance: int
    """Frames by which a span's ends may be off."""
    is_scored: bool = True
    """False where nothing says when, or whether, a hand touches."""

    def touch_frames(self) -> set[int]:
        """Return the frames in which the hand certainly touches."""
        return {frame for span in self.touches if span.certain
                for frame in range(span.first, span.last + 1)}

    def open_frames(self) -> set[int]:
        """Return frames that settle nothing: uncertain spans, and those near a span's end."""
        unsure: set[int] = set()
        for span in self.touches:
            if not span.certain:
                unsure |= set(range(span.first - self.tolerance, span.last + self.tolerance + 1))
            for end in (span.first, span.last + 1):
                unsure |= set(range(end - self.tolerance, end + self.tolerance))
        return unsure


@dataclass(frozen=True)
class Material:
    """All that is labelled."""

    pictures: tuple[LabelledPicture, ...]
    clips: tuple[LabelledClip, ...]


def material_folder(folder: str | Path = '') -> Path:
    """
    Return the folder of the labelled material.

    Args:
        folder: as given by the user; empty = environment variable ROS2_DICE_MATERIAL, else
            `shared/material` beside the source tree.

    Raises:
        ConfigError: it has no labels.json.
    """
    default = Path(__file__).resolve().parents[3] / 'shared' / 'material'
    found = Path(folder or os.environ.get(VARIABLE, '') or default)
    if not (found / 'labels.json').is_file():
        raise ConfigError('folder of labelled material', got=str(folder or found.name),
                          expected='a folder with labels.json',
                          next_step=_FORMAT if folder else f'set {VARIABLE} to it')
    return found


def load_material(folder: str | Path = '') -> Material:
    """
    Return the labelled pictures and clips; whether their files are there is not looked at.

    Raises:
        ConfigError: there is no such folder, or its labels.json is not in the format or empty.
    """
    root = material_folder(folder)
    try:
        data = json.loads((root / 'labels.json').read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ConfigError(f"labels.json can't be read: {why(error)}", expected='a JSON file',
                          next_step=_FORMAT) from error
    if not isinstance(data, Mapping) or not ({'images', 'videos'} & data.keys()):
        raise ConfigError('labels.json', state=type(data).__name__,
                          expected='an object with the lists "images" and "videos"',
                          next_step=_FORMAT)
    images, videos = _rows(data, 'images'), _rows(data, 'videos')
    if not images and not videos:
        raise ConfigError('labels.json', state='empty: no picture and no clip',
                          expected='a row or more in "images" or "videos"', next_step=_FORMAT)
    files = _Files(root)
    return Material(tuple(_made(_picture, files, row) for row in images),
                    tuple(_made(_clip, files, row) for row in videos))


@dataclass(frozen=True)
class _Files:
    """Finds a row's file in the folder."""

    root: Path

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        return {path.name: path for path in sorted(self.root.rglob('*')) if path.is_file()}

    def find(self, name: str) -> Path:
        """Return where the file is, or should be."""
        path = self.root / name
        return path if path.exists() else self._by_name.get(path.name, path)


def _rows(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = data.get(key)
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise ConfigError(f'labels.json, {key}', state=type(rows).__name__,
                          expected='a list of objects with "file"', next_step=_FORMAT)
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or not isinstance(row.get('file'), str):
            raise ConfigError(f'labels.json, {key}, row {number}', got=row,
                              expected='an object with "file"', next_step=_FORMAT)
    return rows


def _made(make: Callable[[_Files, Mapping[str, Any]], Labelled], files: _Files,
          row: Mapping[str, Any]) -> Labelled:
    """Return what a row says; ConfigError where an entry of it is of another kind."""
    try:
        return make(files, row)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f'labels.json, row of {row["file"]}',
                          state=f'not in the format ({error})',
                          expected='numbers, words and lists where they belong',
                          next_step=_FORMAT) from error


def _picture(files: _Files, row: Mapping[str, Any]) -> LabelledPicture:
    contact = str(row.get('contact') or 'unknown').strip().lower()
    hands = [hand for hand in row.get('person_hands') or () if isinstance(hand, Mapping)]
    return LabelledPicture(
        files.find(row['file']), row['file'], str(row.get('scene') or 'unknown'), row.get('hands'),
        row.get('faces'), contact, bool(row.get('contact_certain', contact in ANSWERS)),
        str(row.get('notes') or ''),
        tuple(dict.fromkeys(word for hand in hands for word in _words(hand.get('touches')))),
        tuple(dict.fromkeys(word for hand in hands for word in _words(hand.get('fingers')))))


def _words(value: Any) -> list[str]:
    """Return words, given as one, as a list of them, or not at all."""
    return [str(word) for word in (value if isinstance(value, (list, tuple)) else [value]) if word]


def _clip(files: _Files, row: Mapping[str, Any]) -> LabelledClip:
    spans = row.get('touch_frames')
    says_no = str(row.get('contact') or '').strip().lower() == 'no'
    try:
        touches = tuple(
            TouchSpan(int(span['first']), int(span['last']), bool(span.get('certain', True)),
                      tuple(word.strip() for text in _words(span.get('region'))
                            for word in text.split('/') if word.strip()))
            for span in spans or ())
        given = row.get('frame_tolerance')
        tolerance = _TOLERANCE if given is None else int(given)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ConfigError(f'labels.json, touch_frames of {row["file"]}', got=spans,
                          expected='a list of objects with "first" and "last"',
                          next_step=_FORMAT) from error
    return LabelledClip(
        files.find(row['file']), row['file'], str(row.get('scene') or 'unknown'),
        int(row.get('frames') or 0), float(row.get('fps') or 0.0), row.get('hands_max'),
        row.get('faces_max'), touches, tolerance, spans is not None or says_no)
