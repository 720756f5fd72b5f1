# SPDX-License-Identifier: Apache-2.0
"""
Choose the touch model's three real constants by cross-validation on the labelled pictures.

    python tools/cross_validate_touch.py --cache FILE [--material DIR]

FILE is what `tools/train_touch.py --cache FILE` keeps. For every choice of the constants the model
is trained on the generated scenes anew; the choice with the best F1 on all sources but one is then
scored on that one. A source is the pictures whose names begin with the same word: one person or
one photographer is rarely in two of them.
"""
from __future__ import annotations

import argparse
import itertools
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import train_touch
from train_touch import Row

from ros2_dice.assets import find_asset
from ros2_dice.bodies import load_open_bodies
from ros2_dice.contact import ContactSolver, LearnedTouchModel, TouchEvidence, load_touch_model
from ros2_dice.contact.touch import APART_LOG_ODDS
from ros2_dice.evaluation.material import load_material
from ros2_dice.evaluation.metrics import Score
from ros2_dice.fitting import PersonFitter
from ros2_dice.landmarks import PersonTracker
from ros2_dice.parameters import Settings
from ros2_dice.pictures import read_picture
from ros2_dice.types import Camera

MISFIT_WEIGHTS = (0.0, 4.0, 8.0, 12.0)
TOUCH_PRIORS = (1.0, 2.0, 3.0, 4.0)
GAP_WEIGHTS = (-0.15, -0.3, -0.6)


class Recorder:
    """A touch model that keeps the evidence that it is asked about."""

    def __init__(self, model: LearnedTouchModel) -> None:
        self.noise = model.noise
        self._model = model
        self.seen: list[TouchEvidence] = []

    def log_odds(self, evidence: TouchEvidence) -> float:
        """Return the model's answer."""
        self.seen.append(evidence)
        return self._model.log_odds(evidence)


def read_pictures(folder: str) -> list[tuple[str, bool, list[TouchEvidence]]]:
    """Return name, label and evidence of each picture whose label settles the question."""
    settings = Settings({'detection.max_persons': 4, 'tracking.deterministic_ids': True})
    recorder = Recorder(load_touch_model(find_asset('touch_model')))
    bodies = load_open_bodies(find_asset('open_bodies'))
    tracker, fitter = PersonTracker(settings, ''), PersonFitter(bodies, settings)
    solver = ContactSolver(bodies, recorder)
    found = []
    for picture in load_material(folder).pictures:
        if picture.is_touch is None:
            continue
        for room in (tracker, fitter, solver):
            room.reset()
        frame = read_picture(picture.path)
        camera = frame.camera or Camera.from_fov(
            frame.width_px, frame.height_px, settings.number('camera.horizontal_fov'))
        recorder.seen = []
        for person in fitter.fit(tracker.observe(frame), camera, 0):
            solver.solve(person, camera, 0)
        found.append((picture.path.stem, picture.is_touch, recorder.seen))
    return found


def inputs(description: str) -> tuple[list[Row], list[tuple[str, bool, list[TouchEvidence]]]]:
    """Return generated rows and labelled pictures (`read_pictures`), as the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--cache', type=Path, required=True)
    parser.add_argument('--material', default='')
    options = parser.parse_args()
    return pickle.loads(options.cache.read_bytes()), read_pictures(options.material)


def says_touch(model: LearnedTouchModel, seen: list[TouchEvidence]) -> bool:
    """Tell whether any hand of a picture touches."""
    return max(map(model.log_odds, seen), default=APART_LOG_ODDS) > 0.0


def main() -> None:
    """Choose, score, print."""
    rows, pictures = inputs('Cross-validate the touch model by source.')
    truth = np.array([touch for _, touch, _ in pictures])
    said = {}
    for choice in itertools.product(MISFIT_WEIGHTS, TOUCH_PRIORS, GAP_WEIGHTS):
        train_touch.MISFIT_WEIGHT, train_touch.PRIOR['touch'], train_touch.GAP_WEIGHT = choice
        model = train_touch.train(rows, 1)
        said[choice] = np.array([says_touch(model, seen) for _, _, seen in pictures])
        print('misfit {:g} prior {:g} gap {:g}:'.format(*choice), Score.of(said[choice], truth))
    sources = np.array([name.split('_')[0] for name, _, _ in pictures])
    predicted, chosen = np.zeros(len(truth), bool), Counter()
    for source in np.unique(sources):
        rest = sources != source
        best = max(said, key=lambda choice: Score.of(said[choice][rest], truth[rest]).f1)
        predicted[~rest] = said[best][~rest]
        chosen[best] += 1
    score = Score.of(predicted, truth)
    print(f'{len(np.unique(sources))} sources left out in turn: {score}, F1 {score.f1:.3f}')
    print(f'chosen: {dict(chosen)}')


if __name__ == '__main__':
    main()
