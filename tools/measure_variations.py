#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Count what the open estimator finds and says of touch in labelled pictures that were made harder.

    tools/measure_variations.py --material DIR [--only VARIATION ...] [--scenes SCENE ...]
                                [--json FILE] [--threads N]

Every picture is turned, scaled, darkened, blurred, ... and shown as a cold start with up to four
persons, as `ros2-dice evaluate labelled` does. That something was found is counted, not where;
touches are those of pictures labelled yes or no, at a probability of 0.5, and by the naive rule.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.estimator import Estimator, create_estimator
from ros2_dice.evaluation.touch import Seen
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame

Picture = npt.NDArray[np.uint8]


def main() -> None:
    """Measure, print a Markdown table and write."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--material', type=Path, required=True, help='folder with labels.json')
    parser.add_argument('--only', nargs='+', choices=sorted(VARIATIONS),
                        default=list(VARIATIONS), help='these variations')
    parser.add_argument('--scenes', nargs='+', help='only pictures of these scenes, e.g. touch')
    parser.add_argument('--json', type=Path, help='write the counts of each picture here')
    parser.add_argument('--threads', type=int, default=2)
    arguments = parser.parse_args()
    entries = json.loads((arguments.material / 'labels.json').read_text())['images']
    if arguments.scenes:
        entries = [entry for entry in entries if entry['scene'] in arguments.scenes]
    estimator = create_estimator(Settings({
        'model.id': 'open', 'detection.max_persons': 4, 'tracking.deterministic_ids': True,
        'backend.threads': arguments.threads}))
    print('| variation | touch pictures with a face | with a hand | faces | hands | invented '
          '| touches found | false | naive: found | false |\n'
          '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |')
    rows: dict[str, list[dict]] = {}
    for name in arguments.only:
        rows[name] = [
            _counts(estimator, entry, VARIATIONS[name](_read(arguments.material, entry)))
            for entry in entries]
        print(_line(name, rows[name]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


def _read(material: Path, entry: dict) -> Picture:
    picture = cv2.imread(str(material / entry['file']))
    assert picture is not None, entry['file']
    return picture  # type: ignore[return-value]


def _counts(estimator: Estimator, entry: dict, picture: Picture) -> dict:
    """Return what is found and what is labelled in one picture."""
    estimator.reset()
    seen = Seen.of(estimator.estimate(Frame(picture, channel_order='bgr')))
    return {'file': entry['file'], 'scene': entry['scene'], 'contact': entry['contact'],
            'faces_labelled': entry['faces'], 'hands_labelled': entry['hands'],
            'faces': seen.faces, 'hands': seen.hands, 'probability': seen.probability,
            'touch': seen.says_touch(), 'naive': seen.naive_touch()}


def _line(name: str, rows: list[dict]) -> str:
    """Return one line of the table; invented = more than labelled, faces and hands."""
    touch = [row for row in rows if row['scene'] == 'touch']
    found = [sum(min(row[part], row[part + '_labelled']) for row in rows)
             for part in ('faces', 'hands')]
    invented = [sum(max(0, row[part] - row[part + '_labelled']) for row in rows)
                for part in ('faces', 'hands')]
    said = [f'{sum(row[rule] for row in rows if row["contact"] == truth)}'
            for rule in ('touch', 'naive') for truth in ('yes', 'no')]
    return (f'| {name} | {sum(row["faces"] > 0 for row in touch)} of {len(touch)} '
            f'| {sum(row["hands"] > 0 for row in touch)} | {found[0]} | {found[1]} '
            f'| {invented[0]} + {invented[1]} | {" | ".join(said)} |')


def _turned(degrees: float) -> Callable[[Picture], Picture]:
    def turn(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        matrix = cv2.getRotationMatrix2D((0.5 * width, 0.5 * height), degrees, 1.0)
        c, s = abs(matrix[0, 0]), abs(matrix[0, 1])
        size = int(width * c + height * s), int(width * s + height * c)
        matrix[:, 2] += 0.5 * (np.array(size) - (width, height))
        return cv2.warpAffine(picture, matrix, size)  # type: ignore[return-value]
    return turn


def _scaled(side_px: int, interpolation: int) -> Callable[[Picture], Picture]:
    def scale(picture: Picture) -> Picture:
        factor = side_px / max(picture.shape[:2])
        return cv2.resize(picture, None, fx=factor, fy=factor,  # type: ignore[return-value]
                          interpolation=interpolation)
    return scale


def _dark(picture: Picture) -> Picture:
    """Return a fifth of the light, with the noise of a sensor that has no more."""
    noise = np.random.default_rng(0).normal(0.0, 3.0, picture.shape)
    return np.clip(0.2 * picture + noise, 0, 255).astype(np.uint8)


def _moved(picture: Picture) -> Picture:
    """Return a picture blurred by a motion of 2 % of its longer side, aslant."""
    length = max(3, round(0.02 * max(picture.shape[:2])))
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (0, length // 3), (length - 1, length - 1 - length // 3), 1.0)
    return cv2.filter2D(picture, -1, kernel / kernel.sum())  # type: ignore[return-value]


def _letterbox(picture: Picture) -> Picture:
    """Return a picture with black bars at the sides, twice as wide."""
    bar = picture.shape[1] // 2
    return cv2.copyMakeBorder(picture, 0, 0, bar, bar,  # type: ignore[return-value]
                              cv2.BORDER_CONSTANT, value=(0, 0, 0))


def _jpeg(picture: Picture) -> Picture:
    _, data = cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_QUALITY, 20))
    return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def _grey(picture: Picture) -> Picture:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]


VARIATIONS: dict[str, Callable[[Picture], Picture]] = {
    'as it is': lambda picture: picture,
    'mirrored': lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    'turned by 30 degrees': _turned(-30.0),
    'turned by -30 degrees': _turned(30.0),
    'turned by 12 degrees': _turned(-12.0),
    'turned by -12 degrees': _turned(12.0),
    '320 px': _scaled(320, cv2.INTER_AREA),
    '3840 px': _scaled(3840, cv2.INTER_CUBIC),
    'dark': _dark,
    'blurred by motion': _moved,
    'black bars': _letterbox,
    'JPEG quality 20': _jpeg,
    'grey': _grey,
}


if __name__ == '__main__':
    main()
