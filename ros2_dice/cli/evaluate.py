# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice evaluate`: how good an estimator is, on labels, on generated truth, on data sets."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.cli.outputs import file_to_write, folder_to_write
from ros2_dice.cli.progress import progress_bar
from ros2_dice.cli.standins import warn_of_standin
from ros2_dice.errors import ConfigError

if TYPE_CHECKING:
    from ros2_dice.evaluation.gallery import Gallery
    from ros2_dice.evaluation.report import Cell, Report

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode='rich',
                  context_settings={'help_option_names': ['-h', '--help']},
                  help='Say how good an estimator is.')

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice evaluate labelled photos/ --json labelled.json --report page

  ros2-dice evaluate generated --samples 300 --json generated.json

  ros2-dice evaluate decaf DecafDataset --camera 102 --every 10 --report page

  ros2-dice evaluate predictions ours.npz theirs.npz --truth truth.npz
"""

Json = Annotated[Path | None, typer.Option(
    '--json', callback=file_to_write, help='Write all figures here.')]
ReportFolder = Annotated[Path | None, typer.Option(
    '--report', callback=folder_to_write,
    help='Write a page with pictures of the worst cases into this folder.')]
Model = Annotated[str, typer.Option('--model', help='Value of model.id.')]


@app.callback()
def verbs() -> None:
    """Say how good an estimator is."""


@app.command('labelled', epilog=EXAMPLES)
def on_labelled(
        folder: Annotated[Path, typer.Argument(
            metavar='DIR', help='Folder with labels.json, pictures and clips.')],
        json_file: Json = None, report: ReportFolder = None, model: Model = 'open',
        persons: Annotated[int, typer.Option(
            '--persons', min=1, max=8, help='detection.max_persons.')] = 4) -> None:
    """
    Score touch on labelled pictures and clips, beside a naive rule.

    Rows with contact yes or no are scored, others are listed. docs/evaluation.md shows the format.
    """
    from ros2_dice.estimator import create_estimator
    from ros2_dice.evaluation.gallery import Gallery
    from ros2_dice.evaluation.labelled import LabelledRun
    from ros2_dice.evaluation.labelled_report import SCORE_HEADER, labelled_report, score_rows
    from ros2_dice.evaluation.labelled_scores import labelled_scores
    from ros2_dice.evaluation.machine import environment
    from ros2_dice.evaluation.material import load_material
    from ros2_dice.parameters import Settings
    from ros2_dice.render import Overlay

    material = load_material(folder)
    settings = Settings({'model.id': model, 'detection.max_persons': persons,
                         'tracking.deterministic_ids': True})
    estimator = create_estimator(settings)
    warn_of_standin(model)
    gallery = Gallery()
    start_s = time.monotonic()
    try:
        overlay = None if report is None else Overlay(estimator.topologies)
        run = LabelledRun(estimator, settings, gallery, overlay)
        with progress_bar(len(material.pictures) + len(material.clips)) as bar:
            answers = run.ask(material, bar.advance)
        document = {
            'format': 'ros2-dice evaluate labelled 1', 'material': folder.resolve().name,
            'model': estimator.model_id, **labelled_scores(
                answers, settings.number('contact.threshold')),
            'seconds': round(time.monotonic() - start_s, 1), 'environment': environment()}
    finally:
        estimator.close()
    write_json(json_file, document)
    print_problems(document['problems'])
    print_table(SCORE_HEADER, score_rows(document))
    wrong = [f'  {"missed" if row["touch"] else "false"}: {row["file"]} (p {row["probability"]})'
             for row in document['pictures']['answers'] if row['said'] != row['touch']]
    typer.echo('\n'.join([f'{len(wrong)} pictures wrong', *wrong]))
    typer.echo(f'{len(document["listed"])} rows listed only: their label settles nothing')
    if report is not None:
        write_report(labelled_report(document, answers, gallery), report)


@app.command('generated')
def on_generated(
        samples: Annotated[int, typer.Option(
            '--samples', min=2, help='Scenes of every kind, and of touch and hover at 2 cm.')],
        json_file: Json = None, report: ReportFolder = None, model: Model = 'open',
        motions: Annotated[int | None, typer.Option(
            '--motions', min=0, help='Motions; a tenth of the samples if not given.')] = None,
        noise_px: Annotated[float | None, typer.Option(
            '--noise', min=0.0,
            help='Plain noise of the landmarks in pixels, instead of the errors that the '
                 'networks make.')] = None,
        spread: Annotated[str, typer.Option(
            '--spread', help='people: every kind of person, camera and touch; bench: the scenes '
                             'of the prototype.')] = 'people',
        seed: Annotated[int, typer.Option('--seed', min=0, help='Of everything drawn.')] = 1
        ) -> None:
    """
    Score touch, distance and meshes on scenes and motions made from the open bodies.

    The truth is exact and the bodies are those that are fitted: for the meshes an upper bound.
    """
    from ros2_dice.evaluation.gallery import Gallery
    from ros2_dice.evaluation.generated_report import (
        BAR_HEADER,
        bar_rows,
        event_rows,
        frame_rows,
        generated_report,
    )
    from ros2_dice.evaluation.generated_run import SPREADS, run_generated
    from ros2_dice.evaluation.labelled_report import SCORE_HEADER
    from ros2_dice.evaluation.machine import environment
    from ros2_dice.parameters import Settings

    if model != 'open':
        raise ConfigError('--model', got=model, expected='open',
                          next_step='generated scenes are landmarks without pictures, which only '
                                    'the open estimator is made of')
    if spread not in SPREADS:
        raise ConfigError('--spread', got=spread, expected=' or '.join(SPREADS))
    settings = Settings({'tracking.deterministic_ids': True})
    motions = samples // 10 if motions is None else motions
    gallery = Gallery()
    start_s = time.monotonic()
    with progress_bar(3 * samples + 2 * motions) as bar:
        document = run_generated(settings, samples, motions, noise_px, seed, spread, gallery,
                                 bar.advance)
    document |= {'format': 'ros2-dice evaluate generated 1', 'model': model,
                 'seconds': round(time.monotonic() - start_s, 1), 'environment': environment()}
    write_json(json_file, document)
    print_table(SCORE_HEADER, frame_rows(document))
    print_table(BAR_HEADER, bar_rows(document))
    if document['motions'] is not None:
        print_table(('delay', 'median ms', 'p90 ms', 'n'), event_rows(document))
    if report is not None:
        write_report(generated_report(document, gallery), report)


@app.command('decaf')
def on_decaf(
        folder: Annotated[Path, typer.Argument(
            metavar='DIR', help='Your copy of the Decaf data set: assets, train, test.')],
        json_file: Json = None, report: ReportFolder = None, model: Model = 'open',
        split: Annotated[str, typer.Option(
            '--split', help='test (subjects S1, S3, S6) or train.')] = 'test',
        cameras: Annotated[list[str] | None, typer.Option(
            '--camera', help='Only this camera; may be given more than once.')] = None,
        every: Annotated[int, typer.Option('--every', min=1, help='Take each N-th frame.')] = 1,
        limit: Annotated[int, typer.Option(
            '--limit', min=0, help='Frames of each video at most; 0 = all.')] = 0,
        masked: Annotated[bool, typer.Option(
            '--masked/--unmasked', help='Black out the background, as published.')] = True
        ) -> None:
    """
    Score an estimator on the Decaf data set, beside the published table.

    The files are read where they are; nothing of them is copied.
    """
    from ros2_dice.assets import find_asset
    from ros2_dice.bodies import load_open_bodies
    from ros2_dice.errors import AssetError
    from ros2_dice.estimator import create_estimator
    from ros2_dice.evaluation.decaf import DecafDataset
    from ros2_dice.evaluation.decaf_run import run_decaf
    from ros2_dice.evaluation.decaf_truth import DecafTruth
    from ros2_dice.evaluation.gallery import Gallery
    from ros2_dice.evaluation.machine import environment
    from ros2_dice.parameters import Settings
    from ros2_dice.render import Overlay

    dataset = DecafDataset(folder, split)
    sequences = dataset.sequences(tuple(cameras or ()))
    problems = []
    try:
        truth = DecafTruth(dataset.assets, load_open_bodies(find_asset('open_bodies')))
    except AssetError as error:
        truth = None
        problems.append(f'true meshes: {error}; touch and plausibility are scored by the contact '
                        'labels alone')
    settings = Settings({'model.id': model, 'tracking.deterministic_ids': True})
    estimator = create_estimator(settings)
    warn_of_standin(model)
    gallery = Gallery()
    overlay = None if report is None else Overlay(estimator.topologies)
    total = sum(min(-(-len(sequence) // every), limit or len(sequence)) for sequence in sequences)
    try:
        with progress_bar(total) as bar:
            system = run_decaf(estimator, sequences, truth, masked=masked, every=every,
                               limit=limit, advance=bar.advance, gallery=gallery, overlay=overlay,
                               threshold=settings.number('contact.threshold'))
    finally:
        estimator.close()
    document = {'format': 'ros2-dice evaluate decaf 1', 'truth': f'Decaf, {split} split',
                'every': every, 'limit': limit, 'masked': masked, 'problems': problems,
                'systems': [system], 'environment': environment()}
    print_problems(problems)
    _show_systems(f'On the Decaf data set, {split} split', document, gallery, json_file, report)


@app.command('predictions')
def of_predictions(
        files: Annotated[list[Path], typer.Argument(
            metavar='FILE...', help='Results of other systems, or ours: .npz, one file each.')],
        labels: Annotated[Path | None, typer.Option(
            '--labels', help='Hold them against the labels.json of this folder.')] = None,
        truth: Annotated[Path | None, typer.Option(
            '--truth', help='Hold them against this file of the same format.')] = None,
        json_file: Json = None, report: ReportFolder = None,
        threshold: Annotated[float, typer.Option(
            '--threshold', min=0.0, max=1.0,
            help='Probability from which an answer says touch.')] = 0.5) -> None:
    """
    Score results of any system: touch, meshes, plausibility, beside the published table.

    docs/evaluation.md describes the format.
    """
    from ros2_dice.evaluation.gallery import Gallery
    from ros2_dice.evaluation.machine import environment
    from ros2_dice.evaluation.material import load_material
    from ros2_dice.evaluation.prediction_scores import score_against_labels, score_against_truth
    from ros2_dice.evaluation.predictions import load_predictions

    if (labels is None) == (truth is None):
        raise ConfigError('predictions need something to be held against',
                          expected='either --labels DIR or --truth FILE')
    found = [load_predictions(path) for path in files]
    if labels is not None:
        material = load_material(labels)
        systems = [score_against_labels(one, material, threshold) for one in found]
    else:
        assert truth is not None
        true = load_predictions(truth)
        with progress_bar(len(found) * len(true.frames)) as bar:
            systems = [score_against_truth(one, true, threshold, bar.advance) for one in found]
    document = {'format': 'ros2-dice evaluate predictions 1',
                'truth': (labels or truth or Path()).resolve().name, 'threshold': threshold,
                'systems': systems, 'environment': environment()}
    _show_systems('Predictions against truth', document, Gallery(), json_file, report)


def _show_systems(title: str, document: dict[str, Any], gallery: Gallery, json_file: Path | None,
                  report: Path | None) -> None:
    """Write and print the figures of systems beside each other."""
    from ros2_dice.evaluation.labelled_report import SCORE_HEADER
    from ros2_dice.evaluation.prediction_report import (
        MESH_HEADER,
        mesh_rows,
        prediction_report,
        touch_rows,
    )

    write_json(json_file, document)
    systems = document['systems']
    for header, rows in ((SCORE_HEADER, touch_rows(systems)), (MESH_HEADER, mesh_rows(systems))):
        if rows:
            print_table(header, rows)
    if report is not None:
        write_report(prediction_report(title, document, gallery), report)


def write_json(path: Path | None, document: dict[str, Any]) -> None:
    """
    Write the figures, if a file is wanted.

    Raises:
        ConfigError: it can't be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + '\n', encoding='utf-8')
    except OSError as error:
        raise ConfigError(f"--json {path} can't be written ({error.strerror or error})",
                          expected='a file that this user may write') from error


def write_report(report: Report, folder: Path) -> None:
    """Write a page and say where it is."""
    typer.echo(f'look at {report.write(folder)}')


def print_problems(problems: Iterable[str]) -> None:
    """Name what could not be scored, on stderr."""
    for problem in problems:
        print(f'ros2-dice: not scored: {problem}', file=sys.stderr)


def print_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table; the first column holds names."""
    from rich.console import Console
    from rich.table import Column, Table

    from ros2_dice.evaluation.report import cell

    table = Table(Column(header[0], no_wrap=True),
                  *(Column(name, justify='right') for name in header[1:]), box=None)
    for row in rows:
        table.add_row(*map(cell, row))
    Console().print(table)
