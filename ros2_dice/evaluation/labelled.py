# SPDX-License-Identifier: Apache-2.0
"""
An estimator on labelled pictures and clips: its answers.

Pictures are estimated one by one from a cold start; clips frame after frame with their own stamps.
`labelled_scores` makes figures of the answers.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ros2_dice.errors import ConfigError, ImageError
from ros2_dice.estimator import Estimator
from ros2_dice.evaluation.clips import clip_frames, clip_rate_hz
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.evaluation.material import LabelledClip, LabelledPicture, Material
from ros2_dice.evaluation.touch import Seen
from ros2_dice.parameters import Settings
from ros2_dice.pictures import read_picture
from ros2_dice.render import Overlay
from ros2_dice.types import Camera, Frame, HandFaceEstimate


@dataclass(frozen=True)
class PictureAnswer:
    """What was said about one picture."""

    picture: LabelledPicture
    seen: Seen | None
    problem: str = ''
    """Why there is no answer."""


@dataclass(frozen=True)
class ClipAnswer:
    """What was said about one clip, frame by frame."""

    clip: LabelledClip
    seen: tuple[Seen, ...]
    rate_hz: float
    times_s: tuple[float, ...]
    """What each frame took."""
    problem: str = ''

    def settled_frames(self) -> list[int]:
        """Return the frames that the labels settle."""
        unsure = self.clip.open_frames()
        return [n for n in range(len(self.seen)) if n not in unsure]


@dataclass(frozen=True)
class Answers:
    """All that was said."""

    pictures: tuple[PictureAnswer, ...]
    clips: tuple[ClipAnswer, ...]


class LabelledRun:
    """
    Asks an estimator.

    Args:
        estimator: is reset before each picture and each clip.
        settings: of the estimator.
        gallery: takes pictures of the mistakes.
        overlay: draws them; None = no pictures.
    """

    def __init__(self, estimator: Estimator, settings: Settings, gallery: Gallery,
                 overlay: Overlay | None = None) -> None:
        self._estimator, self._gallery, self._overlay = estimator, gallery, overlay
        self._threshold = settings.number('contact.threshold')
        self._fov_rad = settings.number('camera.horizontal_fov')

    def ask(self, material: Material, advance: Callable[[str], None]) -> Answers:
        """
        Return the answers; `advance` is called with the name of each file that is done.

        Raises:
            ConfigError: not one of the files can be read.
        """
        pictures, clips = [], []
        for picture in material.pictures:
            pictures.append(self._picture(picture))
            advance(picture.name)
        for clip in material.clips:
            clips.append(self._clip(clip))
            advance(clip.name)
        answers = Answers(tuple(pictures), tuple(clips))
        rows = [*answers.pictures, *answers.clips]
        if rows and all(row.problem for row in rows):
            raise ConfigError('labelled files', got=rows[0].problem,
                              expected='pictures and clips where labels.json says')
        return answers

    def _picture(self, picture: LabelledPicture) -> PictureAnswer:
        if not picture.path.is_file():
            return PictureAnswer(picture, None, f'{picture.name} is missing')
        try:
            frame = self._with_camera(read_picture(picture.path))
        except ImageError as error:
            return PictureAnswer(picture, None, f'{picture.name}: {error}')
        self._estimator.reset()
        estimates = self._estimator.estimate(frame)
        seen = Seen.of(estimates)
        if picture.is_touch is not None and seen.says_touch(self._threshold) != picture.is_touch:
            wrong = abs(seen.probability - picture.is_touch)
            self._show(picture.name, picture.is_touch, seen, wrong, frame, estimates)
        return PictureAnswer(picture, seen)

    def _clip(self, clip: LabelledClip) -> ClipAnswer:
        if not clip.path.is_file():
            return ClipAnswer(clip, (), 0.0, (), f'{clip.name} is missing')
        self._estimator.reset()
        seen: list[Seen] = []
        times_s: list[float] = []
        touch, unsure = clip.touch_frames(), clip.open_frames()
        was_wrong = False
        try:
            rate_hz = clip.rate_hz or clip_rate_hz(clip.path)
            for number, pixels in enumerate(clip_frames(clip.path)):
                frame = self._with_camera(Frame(pixels, round(number * 1e9 / rate_hz)))
                start_s = time.perf_counter()
                estimates = self._estimator.estimate(frame)
                times_s.append(time.perf_counter() - start_s)
                seen.append(Seen.of(estimates))
                truth = number in touch
                wrong = clip.is_scored and number not in unsure \
                    and seen[-1].says_touch(self._threshold) != truth
                if wrong and not was_wrong:
                    self._show(f'{clip.name}, frame {number}', truth, seen[-1],
                               abs(seen[-1].probability - truth), frame, estimates)
                was_wrong = wrong
        except ImageError as error:
            return ClipAnswer(clip, (), 0.0, (), f'{clip.name}: {error}')
        return ClipAnswer(clip, tuple(seen), rate_hz, tuple(times_s))

    def _with_camera(self, frame: Frame) -> Frame:
        """Return the frame with the lens that is assumed, so that a drawing fits the estimate."""
        camera = Camera.from_fov(frame.width_px, frame.height_px, self._fov_rad)
        return Frame(frame.pixels, frame.stamp_ns, frame.frame_id, camera, frame.channel_order)

    def _show(self, name: str, truth: bool, seen: Seen, wrong: float, frame: Frame,
              estimates: Sequence[HandFaceEstimate]) -> None:
        overlay, camera = self._overlay, frame.camera
        if overlay is None or camera is None:
            return
        said = 'cannot tell' if seen.cannot_tell else f'p {seen.probability:.2f}'
        people = f'faces {seen.faces}, hands {seen.hands}, hands with a face {seen.pairs}'
        kind = 'missed touch' if truth else 'false touch'
        self._gallery.offer(kind, f'{name}: {said}; {people}', wrong,
                            lambda: overlay.draw(frame.bgr(), estimates, camera))
