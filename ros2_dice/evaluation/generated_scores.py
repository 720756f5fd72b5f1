# SPDX-License-Identifier: Apache-2.0
"""Figures of what became of generated scenes."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ros2_dice.evaluation.calibration import calibration, interval_coverage
from ros2_dice.evaluation.events import NO_EVENTS, score_events
from ros2_dice.evaluation.generated import MeshOutcome, MotionOutcome, Outcome
from ros2_dice.evaluation.metrics import Score, area_under_curve, number
from ros2_dice.evaluation.plausibility import FramePlausibility, Plausibility

HOVER_BINS_M = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
COVERAGE = 0.9
_ERRORS_MM = {
    'hand_pa_pve_mm': 'hand_aligned_m', 'head_pa_pve_mm': 'head_aligned_m',
    'pve_centred_mm': 'centred_m', 'hand_in_head_mm': 'hand_in_head_m',
    'mpjpe_mm': 'joints_m', 'pa_mpjpe_mm': 'joints_aligned_m',
    'pa_mpjpe_mirrored_mm': 'joints_mirrored_m',
}


def scene_scores(outcomes: Sequence[Outcome], threshold: float) -> dict[str, Any]:
    """
    Return the figures of scenes of every kind.

    Args:
        outcomes: of scenes.
        threshold: probability from which an answer says touch; "cannot tell" is no.
    """
    said = [_says(o, threshold) for o in outcomes]
    score = Score.of(said, [o.touch for o in outcomes])
    found = [o.meshes for o in outcomes if o.meshes is not None]
    hovers = [o for o in outcomes if o.kind == 'hover']
    touches = [o for o in outcomes if o.kind == 'touch']
    named = [o.region_right for o in outcomes if o.region_right is not None]
    ratios = [m.depth_ratio for m in found]
    return {
        **score.as_json(),
        'said_touch': {kind: number(float(np.mean(rows))) for kind in _kinds(outcomes)
                       if (rows := [s for o, s in zip(outcomes, said) if o.kind == kind])},
        'auc_touch_hover': _auc(touches, hovers),
        'auc_by_hover_distance': [
            {'from_m': low, 'to_m': high, 'n': len(rows), 'auc': _auc(touches, rows),
             'said_touch': number(float(np.mean([_says(o, threshold) for o in rows])))
             if rows else None}
            for low, high in zip(HOVER_BINS_M, HOVER_BINS_M[1:])
            for rows in [[o for o in hovers if low <= o.gap_m < high]]],
        'calibration': calibration([o.probability for o in outcomes],
                                   [o.touch for o in outcomes]).as_json(),
        'distance': distance_scores([o for o in outcomes if o.kind in ('touch', 'hover')]),
        'lost': sum(o.is_lost for o in outcomes),
        'region_right': {'n': len(named),
                         'share': number(float(np.mean(named))) if named else None},
        'meshes': {**_errors(found), 'depth_ratio_stddev':
                   number(float(np.std(ratios))) if ratios else None},
        'meshes_by_kind': {kind: _errors([o.meshes for o in outcomes
                                          if o.kind == kind and o.meshes is not None])
                           for kind in _kinds(outcomes)},
        'hand_vertices': sum((o.meshes.hand_vertices for o in touches if o.meshes is not None),
                             Score()).as_json(),
        'head_vertices': sum((o.meshes.head_vertices for o in touches if o.meshes is not None),
                             Score()).as_json(),
        'plausibility': Plausibility.of([m.plausibility for m in found],
                                        [m.truth_touches for m in found]).as_json(),
        'consistency': consistency(outcomes, threshold),
    }


def bar_scores(outcomes: Sequence[Outcome], threshold: float) -> dict[str, Any]:
    """Return the figures of touch against hover at 2 cm."""
    score = Score.of([_says(o, threshold) for o in outcomes], [o.touch for o in outcomes])
    return {
        'auc': _auc([o for o in outcomes if o.touch], [o for o in outcomes if not o.touch]),
        **score.as_json(),
        'calibration': calibration([o.probability for o in outcomes],
                                   [o.touch for o in outcomes]).as_json(),
        'distance': distance_scores(outcomes),
    }


def motion_scores(outcomes: Sequence[MotionOutcome], threshold: float) -> dict[str, Any]:
    """
    Return the figures of motions: frame by frame, and of their begins and ends.

    Args:
        outcomes: of motions.
        threshold: probability from which a frame says touch.
    """
    frames = [(p, t) for o in outcomes for p, t in zip(o.probabilities, o.truth)]
    events = sum((score_events(o.times_s, o.truth, [p >= threshold for p in o.probabilities])
                  for o in outcomes), NO_EVENTS)
    touch, hover = ([o.stay_probability for o in outcomes if any(o.truth) is touches
                     and math.isfinite(o.stay_probability)] for touches in (True, False))
    return {
        'motions': len(outcomes),
        **Score.of([p >= threshold for p, _ in frames], [t for _, t in frames]).as_json(),
        'said_touch': {kind: number(float(np.mean([o.stay_probability >= threshold
                                                   for o in outcomes if o.kind == kind])))
                       for kind in dict.fromkeys(o.kind for o in outcomes)},
        'auc_of_the_stay': number(area_under_curve(touch, hover)),
        'events': events.as_json(),
        'calibration': calibration([p for p, _ in frames], [t for _, t in frames]).as_json(),
    }


def distance_scores(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return how far the smallest distance is off, and whether its interval holds the truth."""
    values, sigmas, truth = (np.array([getattr(o, key) for o in outcomes], float)
                             for key in ('distance_m', 'distance_stddev_m', 'gap_m'))
    known = np.isfinite(values)
    error_mm = 1e3 * np.abs(values - truth)[known]
    return {
        'n': int(known.sum()), 'interval': COVERAGE,
        'coverage': number(interval_coverage(values, sigmas, truth, COVERAGE)),
        'median_error_mm': number(float(np.median(error_mm))) if len(error_mm) else None,
        'mean_error_mm': number(float(np.mean(error_mm))) if len(error_mm) else None,
        'median_stddev_mm': number(1e3 * float(np.nanmedian(sigmas))) if known.any() else None,
    }


def consistency(outcomes: Sequence[Outcome], threshold: float) -> dict[str, Any]:
    """Return whether the meshes agree with the verdict: on the skin, or off it."""
    touching, free = ([o.meshes.plausibility for o in outcomes
                       if o.meshes is not None and _says(o, threshold) is says]
                      for says in (True, False))
    return {
        'said_touch': len(touching),
        'said_touch_on_skin': sum(p.touches for p in touching),
        'said_touch_deepest_mm': _deepest_mm(touching),
        'said_no': len(free),
        'said_no_in_skin': sum(p.deepest_m > 0 for p in free),
        'said_no_deepest_mm': _deepest_mm(free),
    }


def _deepest_mm(frames: Sequence[FramePlausibility]) -> float | None:
    return number(1e3 * max(p.deepest_m for p in frames)) if frames else None


def _errors(found: Sequence[MeshOutcome]) -> dict[str, float | None]:
    """Return mean errors [mm]."""
    return {name: number(1e3 * float(np.mean([getattr(m, key) for m in found])))
            if found else None for name, key in _ERRORS_MM.items()}


def _kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(o.kind for o in outcomes))


def _says(outcome: Outcome, threshold: float) -> bool:
    return outcome.probability >= threshold  # NaN says no


def _auc(positive: Sequence[Outcome], negative: Sequence[Outcome]) -> float | None:
    """Return the area under the curve; scenes without a probability are left out."""
    a, b = ([o.probability for o in rows if math.isfinite(o.probability)]
            for rows in (positive, negative))
    return number(area_under_curve(a, b))
