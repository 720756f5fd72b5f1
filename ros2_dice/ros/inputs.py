# SPDX-License-Identifier: Apache-2.0
"""What the demo can play: the sample, a picture, a folder of pictures, a clip, a bag, a camera."""
from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ros2_dice.errors import ConfigError, ImageError
from ros2_dice.pictures import read_picture
from ros2_dice.render.video import ClipReader
from ros2_dice.ros.bag import IMAGE_TYPES, INFO_TYPE, BagReader, header_stamp_ns
from ros2_dice.share import share_folder

Report = Callable[[str], None]

SAMPLE = 'sample'
EPOCH_NS = 1_000_000_000_000_000_000
"""Stamp of the first picture of a paced file: fixed, so that every run is the same."""
PICTURE_STEP_NS = 1_000_000_000
"""Between pictures of a folder: long enough that nobody is tracked from one to the next."""

_PICTURES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.webp')
_BAGS = ('.mcap', '.db3')
_CAMERA = re.compile(r'(?:camera(?::(\d+))?|/dev/video(\d+)|(\d+))$')


@dataclass(frozen=True)
class Shot:
    """One image to publish: pixels, or a recorded message as it is."""

    time_ns: int
    """Since the first one; the header's stamp for recorded messages [ns]."""
    bgr: npt.NDArray[np.uint8] | None = None
    """(H, W, 3)."""
    message: bytes = b''
    infos: tuple[bytes, ...] = ()
    """Recorded CameraInfo messages that come before it."""


class Source(Protocol):
    """Something that gives images."""

    live: bool
    """True = it can't wait: a camera."""
    transport: str
    """raw or compressed: what it is published as."""
    recorded: bool
    """True = messages with stamps of their own."""
    count: int
    """Images to come; 0 = unknown."""
    rate_hz: float
    name: str

    def __iter__(self) -> Iterator[Shot]:
        """Yield the images in order."""
        ...

    def close(self) -> None:
        """Release files and devices."""
        ...


def open_source(text: str, report: Report = lambda line: None, *, topic: str = '') -> Source:
    """
    Return what a word means: sample, a picture, a folder, a clip, a bag, camera or camera:N.

    Args:
        report: called with one line for everything that is left out.
        topic: of the images in a bag; empty = the one with the most messages.

    Raises:
        ImageError: it can't be read.
        ConfigError: it is none of these.
    """
    path = share_folder() / 'model' / 'sample.mp4' if text == SAMPLE else Path(text)
    camera = _CAMERA.match(text)
    if camera and not (camera.group(2) is None and path.exists()):
        return CameraSource(int(next(filter(None, camera.groups()), '0')))
    if not path.exists():
        raise ConfigError('source', got=text,
                          expected='sample, a picture, a folder of pictures, a clip, a bag '
                                   '(.mcap, .db3 or its folder), camera or camera:N',
                          next_step='check the spelling; there is no such file')
    if path.is_dir():
        if (path / 'metadata.yaml').is_file():
            return BagSource(path, topic)
        files = sorted(entry for entry in path.iterdir()
                       if entry.is_file() and entry.suffix.lower() in _PICTURES)
        if not files:
            raise ImageError(f'folder {path.name}', state='without pictures',
                             expected='files that end in ' + ' '.join(_PICTURES))
        return PictureSource(files, report)
    suffix = path.suffix.lower()
    if suffix in _BAGS:
        return BagSource(path, topic)
    if suffix in _PICTURES:
        read_picture(path)  # the reason at once, not from another process
        return PictureSource([path], report)
    return ClipSource(path, report)


class PictureSource:
    """Pictures, one a second; those that can't be read are left out."""

    live, transport, recorded = False, 'raw', False

    def __init__(self, files: list[Path], report: Report) -> None:
        self._files, self._report = files, report
        self.count, self.rate_hz = len(files), 1e9 / PICTURE_STEP_NS
        self.name = files[0].name if len(files) == 1 else files[0].parent.name

    def __iter__(self) -> Iterator[Shot]:
        for index, path in enumerate(self._files):
            try:
                frame = read_picture(path)
            except ImageError as error:
                self._report(f'skipped {error}')
                continue
            yield Shot(index * PICTURE_STEP_NS, frame.bgr())

    def close(self) -> None:
        """Nothing is open."""


class ClipSource:
    """A clip; damaged parts are left out."""

    live, transport, recorded = False, 'raw', False

    def __init__(self, path: Path, report: Report) -> None:
        self._clip = ClipReader(path, report)
        self.count, self.rate_hz, self.name = (
            self._clip.frame_count, self._clip.rate_hz, self._clip.name)

    def __iter__(self) -> Iterator[Shot]:
        for frame in self._clip:
            yield Shot(frame.time_ns, frame.bgr)

    def close(self) -> None:
        """Close the file."""
        self._clip.close()


class BagSource:
    """The images of a bag with their own stamps, and the CameraInfo that belongs to them."""

    live, recorded = False, True

    def __init__(self, path: Path, topic: str) -> None:
        self._bag = BagReader(path)
        self.name = path.name
        images = {name: row for name, row in self._bag.topics.items() if row[0] in IMAGE_TYPES}
        if not images or (topic and topic not in images):
            known = ', '.join(images) or ', '.join(self._bag.topics) or 'nothing'
            self._bag.close()
            raise ImageError(f'recording {path.name}',
                             state=f'without images on {topic or "any topic"}',
                             expected=f'a topic of images; it holds {known}')
        # Raw images before compressed ones, then the topic with the most messages.
        self.topic = topic or max(
            images, key=lambda name: (images[name][0] == IMAGE_TYPES[0], images[name][1], name))
        type_name, self.count = images[self.topic]
        self.transport = 'raw' if type_name == IMAGE_TYPES[0] else 'compressed'
        base = self.topic.removesuffix('/compressed').rpartition('/')[0]
        self._info = next((name for name, row in self._bag.topics.items()
                           if row[0] == INFO_TYPE and name == f'{base}/camera_info'), '')
        self.rate_hz = 30.0

    def __iter__(self) -> Iterator[Shot]:
        infos: list[bytes] = []
        for record in self._bag.messages([self.topic, *filter(None, [self._info])]):
            if record.topic == self._info:
                infos.append(record.cdr)
                continue
            yield Shot(header_stamp_ns(record.cdr), None, record.cdr, tuple(infos))
            infos = []

    def close(self) -> None:
        """Close the file."""
        self._bag.close()


class CameraSource:
    """A camera of this machine, through OpenCV."""

    live, transport, recorded, count = True, 'raw', False, 0

    def __init__(self, index: int) -> None:
        import cv2

        self.name = f'camera {index}'
        device = Path(f'/dev/video{index}')
        if sys.platform == 'linux' and not device.exists():
            there = ', '.join(str(path) for path in sorted(Path('/dev').glob('video[0-9]*')))
            raise ImageError(self.name, state='not connected', expected=f'a device {device}',
                             next_step=f'there is {there or "no /dev/video* at all"}')
        with opencv_silent():
            self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise ImageError(self.name, state='not to be opened', expected='a camera that is free',
                             next_step='another program may use it; or this user is not in the '
                                       'group video: sudo usermod -aG video $USER')
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, 1280)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 720)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.rate_hz = self._capture.get(cv2.CAP_PROP_FPS) or 30.0

    def __iter__(self) -> Iterator[Shot]:
        index = 0
        while True:
            found, bgr = self._capture.read()
            if not found:
                return
            yield Shot(round(index * 1e9 / self.rate_hz), np.asarray(bgr, np.uint8))
            index += 1

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()


@contextmanager
def opencv_silent() -> Iterator[None]:
    """Keep OpenCV from printing what an error says better."""
    import cv2

    # OpenCV 5 moved these names.
    log: Any = cv2 if hasattr(cv2, 'setLogLevel') else cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(before)
