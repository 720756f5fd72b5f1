# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice evaluate`: how good an estimator is, on labels, on generated truth, on data sets."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.errors import ConfigError

if TYPE_CHECKING:
    from ros2_dice.evaluation.report import Cell, Report

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode='rich',
                  context_settings={'help_option_names': ['-h', '--help']},
                  help='Say how good an estimator is.')

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice evaluate labelled photos/ --json labelled.json --report page
"""

Json = Annotated[Path | None, typer.Option('--json', help='Write all figures here.')]
ReportFolder = Annotated[Path | None, typer.Option(
    '--report', help='Write a page with pictures of the worst cases into this folder.')]
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
    gallery = Gallery()
    start_s = time.monotonic()
    try:
        overlay = None if report is None else Overlay(estimator.topologies)
        run = LabelledRun(estimator, settings, gallery, overlay)
        with _progress(len(material.pictures) + len(material.clips)) as advance:
            answers = run.ask(material, advance)
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


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Give a function to call with the name of what is done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True,
                  disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task('', total=total)

        def advance(name: str) -> None:
            progress.update(task, advance=1, description=name)

        yield advance
