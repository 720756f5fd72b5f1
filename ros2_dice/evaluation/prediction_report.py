# SPDX-License-Identifier: Apache-2.0
"""Tables and the page that put systems beside each other and beside the published ones."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ros2_dice.evaluation.charts import reliability
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.evaluation.labelled_report import SCORE_HEADER, mistakes, publish, score_row
from ros2_dice.evaluation.report import Cell, Report

MESH_HEADER = ('system', 'PVE* mm', 'MPJPE mm', 'PA-MPJPE mm', 'collision mm', 'non-collision %',
               'touchness %', 'F-score %', 'buried', 'strict F %')
_ERRORS = ('pve_centred_mm', 'mpjpe_mm', 'pa_mpjpe_mm')
_RATIOS = ('collision_distance_mm', 'non_collision_percent', 'touchness_percent',
           'f_score_percent', 'buried_frames', 'strict_f_score_percent')


def touch_rows(systems: Sequence[Mapping[str, Any]]) -> list[list[Cell]]:
    """Return the scores of "touch" of each system that has some."""
    rows = [(s['system'], s.get('touch')) for s in systems] + [
        (f'{s["system"]}, {part}', s.get(part)) for s in systems for part in ('pictures', 'clips')]
    return [score_row(name, score) for name, score in rows if score]


def mesh_rows(systems: Sequence[Mapping[str, Any]]) -> list[list[Cell]]:
    """Return errors and plausibility of each system that has meshes, in the published order."""
    rows = []
    for system in systems:
        errors, ratios = system.get('errors') or {}, system.get('plausibility') or {}
        figures = [*(errors.get(key) for key in _ERRORS), *(ratios.get(key) for key in _RATIOS)]
        if any(value is not None for value in figures):
            rows.append([system['system'], *figures])
    return rows


def prediction_report(title: str, document: Mapping[str, Any], gallery: Gallery) -> Report:
    """
    Return the page.

    Args:
        title: of the page.
        document: with `systems`, `truth` and `environment`.
        gallery: of the mistakes.
    """
    systems = document['systems']
    report = Report(title)
    report.text(f'{document["environment"]["date"]}; truth: {document["truth"]}', quiet=True)
    touches, meshes = touch_rows(systems), mesh_rows(systems)
    if touches:
        report.heading('Touch')
        report.table(SCORE_HEADER, touches)
        report.text('A frame that a system does not answer, and one where it cannot tell, says '
                    '"no touch".', quiet=True)
        found = {name: part['calibration'] for name, part in _calibrated(systems).items()}
        report.chart(reliability(found))
    if meshes:
        report.heading('Meshes')
        report.table(MESH_HEADER, meshes)
    mistakes(report, gallery)
    for system in systems:
        if system['frames_missing']:
            missing = system['frames_missing']
            count = missing if isinstance(missing, int) else len(missing)
            report.text(f'{system["system"]}: {count} frames are not among its predictions.')
    publish(report)
    return report


def _calibrated(systems: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found = {}
    for system in systems:
        for part in ('touch', 'pictures', 'clips'):
            if system.get(part) and system[part]['calibration']['n']:
                found[f'{system["system"]} {part}'] = system[part]
    return found
