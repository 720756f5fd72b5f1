# SPDX-License-Identifier: Apache-2.0
"""Labelled pictures and clips: the folder with labels.json that ROS2_DICE_MATERIAL names."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ros2_dice.errors import ConfigError

VARIABLE = 'ROS2_DICE_MATERIAL'


@dataclass(frozen=True)
class LabelledPicture:
    """One picture and what a person saw in it."""

    path: Path
    name: str
    """Path inside the material's folder."""
    scene: str
    hands: int
    faces: int
    contact: str
    """yes, likely, no, unknown or drawn."""
    certain: bool
    notes: str

    @property
    def is_touch(self) -> bool | None:
        """The certain answer, or None where the picture does not settle it."""
        if self.certain and self.contact in ('yes', 'no'):
            return self.contact == 'yes'
        return None

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody is in it: no face and no hand."""
        return self.faces == 0 and self.hands == 0


@dataclass(frozen=True)
class TouchSpan:
    """Frames of one contact, first and last included."""

    first: int
    last: int
    certain: bool


@dataclass(frozen=True)
class LabelledClip:
    """One clip and when a hand touches the face in it."""

    path: Path
    name: str
    scene: str
    frames: int
    rate_hz: float
    hands: int
    faces: int
    touches: tuple[TouchSpan, ...]
    tolerance: int
    """Frames by which a span's ends may be off."""

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
        raise ConfigError('folder of labelled material', got=found.name,
                          expected='a folder with labels.json',
                          next_step=f'set {VARIABLE} to it')
    return found


def load_material(folder: str | Path = '') -> Material:
    """
    Return the labelled pictures and clips.

    Raises:
        ConfigError: there is no such folder.
    """
    root = material_folder(folder)
    data = json.loads((root / 'labels.json').read_text())
    pictures = tuple(
        LabelledPicture(root / row['file'], row['file'], row['scene'], row['hands'], row['faces'],
                        row['contact'], row['contact_certain'], row.get('notes', ''))
        for row in data['images'])
    clips = tuple(
        LabelledClip(root / row['file'], row['file'], row['scene'], row['frames'], row['fps'],
                     row['hands_max'], row['faces_max'],
                     tuple(TouchSpan(span['first'], span['last'], span['certain'])
                           for span in row['touch_frames']),
                     row['frame_tolerance'])
        for row in data['videos'])
    return Material(pictures, clips)
