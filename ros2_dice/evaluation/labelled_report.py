# SPDX-License-Identifier: Apache-2.0
"""The page about labelled pictures and clips."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ros2_dice.evaluation import published
from ros2_dice.evaluation.charts import reliability, timeline
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.evaluation.labelled import Answers
from ros2_dice.evaluation.report import Cell, Report

SCORE_HEADER = ('', 'precision', 'recall', 'F1', 'false alarms', 'n', 'TP', 'FP', 'FN', 'TN')
_KEYS = ('precision', 'recall', 'f1', 'false_alarm_rate', 'n', 'true_positive', 'false_positive',
         'false_negative', 'true_negative')


def score_row(name: str, score: Mapping[str, Any]) -> list[Cell]:
    """Return one row under `SCORE_HEADER`."""
    return [name, *(score[key] for key in _KEYS)]


def score_rows(document: Mapping[str, Any]) -> list[list[Cell]]:
    """Return the four rows that matter: ours and the naive rule, pictures and clips."""
    model, naive = document['model'].split('/')[0], document['naive']
    return [score_row(f'{model}, pictures', document['pictures']),
            score_row('naive, pictures', naive),
            score_row(f'{model}, clip frames', document['clips']),
            score_row('naive, clip frames', naive['clips'])]


def labelled_report(document: Mapping[str, Any], answers: Answers, gallery: Gallery) -> Report:
    """
    Return the page.

    Args:
        document: of `labelled_scores`, with `model`, `seconds` and `environment`.
        answers: for the clips' time lines.
        gallery: of the mistakes.
    """
    report = Report(f'Touch on labelled material: {document["model"]}')
    environment = document['environment']
    report.text(f'{environment["date"]}, {environment["cpu"]}, {environment["cores"]} cores, '
                f'{document["seconds"]:.0f} s. This page holds pictures of the material: the '
                'licence of those goes with it.', quiet=True)
    report.table(SCORE_HEADER, score_rows(document), strong=(0, 2))
    report.text('Scored are the labels "yes" and "no"; an answer says touch from a probability '
                f'of {document["threshold"]:g}. Clips are scored frame by frame, without the '
                'frames that the labels leave open. False alarms are the share of the untouched '
                'that is said to touch. TP: right touches, FP: false ones, FN: missed ones, TN: '
                f'right "no". Naive rule: {document["naive"]["rule"]}, in the picture, on the '
                'same landmarks in the same run. Of a run of wrong frames, the first is shown '
                'below.', quiet=True)
    if document['problems']:
        report.heading('Files without an answer')
        report.table(('problem',), [[problem] for problem in document['problems']])
    mistakes(report, gallery)
    _by_scene(report, document)
    _by_word(report, document['pictures'])
    _calibration(report, document)
    _clips(report, document, answers)
    _listed(report, document)
    publish(report)
    return report


def publish(report: Report) -> None:
    """Add the published table and what may be compared with it."""
    report.heading('Published, for comparison')
    report.table(published.HEADER, [
        [name, *('-' if value is None else f'{value:g}' for value in figures)]
        for name, *figures in published.ROWS])
    report.text(published.SOURCE, quiet=True)
    for text in (published.COMPARABLE, published.SAME_RULES, published.NOT_COMPARABLE):
        report.text(text.replace('`', ''))


def mistakes(report: Report, gallery: Gallery) -> None:
    """Add the pictures of the worst cases."""
    for kind in gallery.kinds:
        cards = gallery.cards(kind)
        report.heading(f'{kind.capitalize()}: the worst {len(cards)}')
        report.cards(cards)


def _by_scene(report: Report, document: Mapping[str, Any]) -> None:
    report.heading('By scene class')
    naive = document['naive']
    for title, ours, theirs in (('Pictures', document['pictures'], naive),
                                ('Clip frames', document['clips'], naive['clips'])):
        report.heading(title, 3)
        rows, strong = [], []
        for scene, score in ours['by_scene'].items():
            strong.append(len(rows))
            rows += [score_row(scene, score),
                     score_row(f'{scene}, naive', theirs['by_scene'][scene])]
        report.table(SCORE_HEADER, rows, strong=strong)


def _by_word(report: Report, pictures: Mapping[str, Any]) -> None:
    report.heading('Where it touches, in pictures')
    report.text('By the words of the labels; a word stands for all regions that it may mean. What '
                'is said but not meant counts against the word that the region is named after.',
                quiet=True)
    for title, key in (('Part of the face', 'by_face_part'), ('Part of the hand', 'by_hand_part')):
        report.table((title, 'precision', 'recall', 'F1', 'right', 'false', 'missed'),
                     [[word, *score.values()] for word, score in pictures[key].items()])
    if pictures['unknown_words']:
        report.text('Words that no table has, not scored: '
                    + ', '.join(pictures['unknown_words']))


def _calibration(report: Report, document: Mapping[str, Any]) -> None:
    report.heading('Does the probability mean frequency')
    report.chart(reliability({'pictures': document['pictures']['calibration'],
                              'clip frames': document['clips']['calibration']}))
    told = document['pictures']['cannot_tell']
    report.text('ECE: expected calibration error, in bins of 0.1. "Cannot tell": '
                f'{told} pictures, {document["clips"]["calibration"]["cannot_tell"]} clip frames; '
                'in no bin, and counted as "no" above.', quiet=True)


def _clips(report: Report, document: Mapping[str, Any], answers: Answers) -> None:
    report.heading('Clips, frame by frame')
    report.text('Bars: probability of a touch, blue = right, red = wrong, grey = not scored. '
                'Orange below: labelled as a touch, pale = uncertain.', quiet=True)
    rows = document['clips']['by_clip']
    for answer in answers.clips:
        row = rows.get(answer.clip.name)
        if row is None:
            continue
        report.heading(answer.clip.name, 3)
        if not answer.clip.is_scored:
            report.text('Not scored: its labels do not say when a hand touches.')
        report.chart(timeline(
            row['probabilities'], [(s.first, s.last, s.certain) for s in answer.clip.touches],
            answer.clip.open_frames() if answer.clip.is_scored else range(len(answer.seen)),
            document['threshold']))
    header = ('clip', 'frames', 'with face', 'with hand', 'said touch', 'median ms', 'p95 ms')
    report.table(header, [
        [name, row['frames'], row['frames_with_face'], row['frames_with_hand'],
         row['frames_said'], row['time']['median_ms'], row['time']['p95_ms']]
        for name, row in rows.items()])
    events = document['clips']['events']
    report.heading('Begin and end of a touch, beyond the label tolerance', 3)
    report.table(('', 'median ms', 'p90 ms', 'n'),
                 [[name, events[f'{name}_median_ms'], events[f'{name}_p90_ms'],
                   events[f'{name}_n']] for name in ('enter', 'leave')])
    report.text(f'{events["missed"]} touches missed, {events["invented"]} invented.')


def _listed(report: Report, document: Mapping[str, Any]) -> None:
    report.heading('Only listed: the label settles nothing')
    report.table(('file', 'scene', 'label', 'probability', 'naive rule'),
                 [[row['file'], row['scene'], row['contact'], row.get('probability'),
                   '' if 'naive' not in row else 'touch' if row['naive'] else 'no']
                  for row in document['listed']])
