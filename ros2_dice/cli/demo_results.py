# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves behind, made from its recording: overlay.mp4 and the counts."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.ros.playback import Playback, PlaybackFrame

CONTACT_THRESHOLD = 0.5
_LARGEST_SIDE_PX = 1920


@dataclass
class Counts:
    """Frames of a recording, by what is in them."""

    frames: int = 0
    with_face: int = 0
    with_hand: int = 0
    with_contact: int = 0
    without_picture: int = 0
    """Results whose stamp is that of no recorded image."""
    images: int = 0
    model_id: str = ''
    touch_seconds: float = math.nan
    """Time of the first touch since the first frame."""


def write_overlay(recording: Path, path: Path, rate_hz: float,
                  progress: Callable[[int, int], None] = lambda done, of: None) -> Counts:
    """
    Draw every result over its picture and count what was found.

    Args:
        rate_hz: nominal rate of the clip; pictures keep the distances of their stamps.
        progress: called with the frames done and in all.

    Raises:
        ImageError: the recording can't be read.
    """
    from ros2_dice.render import Overlay
    from ros2_dice.render.video import ClipWriter

    counts = Counts()
    writer: ClipWriter | None = None
    size, first_ns, shown = (0, 0), 0, None
    with Playback(recording) as playback:
        counts.images = playback.image_count
        overlay = Overlay(playback.topologies())
        for frame in playback.frames():
            first_ns = first_ns or frame.stamp_ns
            _count(counts, frame, frame.stamp_ns - first_ns)
            progress(counts.frames, playback.count)
            picture = frame.bgr()
            if picture is None:
                counts.without_picture += 1
                continue
            height, width = picture.shape[:2]
            scale = min(1.0, _LARGEST_SIDE_PX / max(height, width))
            shown = overlay.draw(picture, frame.estimates, frame.camera, scale)
            if writer is None:
                size = (max(2, shown.shape[1] & ~1), max(2, shown.shape[0] & ~1))
                writer = ClipWriter(path, *size, rate_hz)
            writer.write(fitted(shown, *size), frame.stamp_ns - first_ns)
    if writer is not None:
        if counts.frames - counts.without_picture == 1 and shown is not None:
            # A clip of one frame has no length; players show nothing.
            writer.write(fitted(shown, *size))
        writer.close()
    return counts


def _count(counts: Counts, frame: PlaybackFrame, time_ns: int) -> None:
    meshes = frame.message.meshes
    touch = any(entry.contact_probability >= CONTACT_THRESHOLD for entry in meshes)
    counts.frames += 1
    counts.with_face += any(entry.face.topology_id for entry in meshes)
    counts.with_hand += any(entry.hand.topology_id for entry in meshes)
    counts.with_contact += touch
    counts.model_id = frame.message.model_id or counts.model_id
    if touch and math.isnan(counts.touch_seconds):
        counts.touch_seconds = 1e-9 * time_ns


def fitted(picture: npt.NDArray[np.uint8], width_px: int, height_px: int
           ) -> npt.NDArray[np.uint8]:
    """Return a picture in the given size, with black bars where its shape differs."""
    height, width = picture.shape[:2]
    if (width, height) == (width_px, height_px):
        return picture
    scale = min(width_px / width, height_px / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    result = np.zeros((height_px, width_px, 3), np.uint8)
    x, y = (width_px - inner[0]) // 2, (height_px - inner[1]) // 2
    result[y:y + inner[1], x:x + inner[0]] = small
    return result
