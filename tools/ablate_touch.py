# SPDX-License-Identifier: Apache-2.0
"""
Take one cue after another away from the touch model, and see what it was worth.

    python tools/ablate_touch.py --cache FILE [--material DIR]

FILE is what `tools/train_touch.py --cache FILE` keeps. Without each cue (a constant stands for it)
the model is trained anew on seven of ten scenes and scored on the others, in the shares of
`train_touch.PRIOR`; and, as it has to do without the cue there too, on the labelled pictures.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import train_touch
from cross_validate_touch import inputs, says_touch
from train_touch import Row

from ros2_dice.contact import LearnedTouchModel, TouchEvidence
from ros2_dice.contact.learned import DOUBTFUL_COST
from ros2_dice.contact.touch import probability
from ros2_dice.evaluation.calibration import calibration
from ros2_dice.evaluation.metrics import Score, area_under_curve

REPEATS = {'touch': 3, 'hover': 1, 'pass': 3, 'apart': 3}
"""How often a scene of each kind counts: as many as in `PRIOR`, of shares 3:3:1:1 as drawn."""
TRAINED = 0.7
Change = Callable[[TouchEvidence], TouchEvidence]
CHANGES: dict[str, Change] = {
    'all that is kept': lambda seen: seen,
    'without the depth': lambda seen: replace(
        seen, depth_factor=0.0 if math.isfinite(seen.depth_factor) else math.inf),
    'without the spread of sizes': lambda seen: replace(seen, size_sigma=0.05),
    "without the fits' quality": lambda seen: replace(
        seen, fit_cost=DOUBTFUL_COST, face_residual=0.012),
    'without how hand and face are seen': lambda seen: replace(
        seen, edge_on=0.5, hand_px=80.0, face_cut=0.0, hand_cut=0.0, before_face=0.5),
    'without the gap in the picture': lambda seen: replace(seen, picture_gap=0.0),
    'without the way across the rays': lambda seen: replace(seen, beside_m=math.inf)}


def scored(model: LearnedTouchModel, rows: list[Row]) -> tuple[float, float, float, float]:
    """Return log loss, ECE, and AUC of touch against hover and against hover at 2 cm."""
    rows = [row for row in rows if not
            train_touch.UNCLEAR_M[0] < row.gap_m < train_touch.UNCLEAR_M[1]]
    odds = np.array([model.log_odds(row.evidence) for row in rows])
    truth = np.array([row.is_touch for row in rows])
    times = np.array([REPEATS[row.kind] for row in rows])
    loss = np.logaddexp(0.0, np.where(truth, -odds, odds))
    said = np.repeat([probability(value) for value in odds], times)
    low, high = train_touch.HARD_GAP_M
    hover = np.array([row.kind == 'hover' for row in rows])
    hard = np.array([low <= row.gap_m <= high for row in rows]) & hover
    return (float(np.average(loss, weights=times)),
            calibration(said, np.repeat(truth, times).tolist()).expected_error,
            area_under_curve(odds[truth].tolist(), odds[hover].tolist()),
            area_under_curve(odds[truth].tolist(), odds[hard].tolist()))


def main() -> None:
    """Train without each cue, score, print a table."""
    rows, pictures = inputs('Take cues away from the touch model.')
    order = np.random.default_rng(0).permutation(len(rows))
    cut = int(TRAINED * len(rows))
    print('| | log loss | ECE | AUC touch / hover | AUC, hover at 2 cm | pictures |')
    print('| --- | --- | --- | --- | --- | --- |')
    for name, change in CHANGES.items():
        changed = [replace(row, evidence=change(row.evidence)) for row in rows]
        model = train_touch.train([changed[n] for n in order[:cut]], 1)
        figures = scored(model, [changed[n] for n in order[cut:]])
        score = Score.of([says_touch(model, [change(one) for one in seen])
                          for _, _, seen in pictures], [touch for _, touch, _ in pictures])
        print(f'| {name} |', ' | '.join(f'{value:.3f}' for value in figures),
              f'| {score.true_positive} found, {score.false_positive} false |', flush=True)


if __name__ == '__main__':
    main()
