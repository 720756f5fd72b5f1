# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice build-engine`: build ahead what the node would build in the background."""
from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.cli.engine_options import CacheDirectory, Device, Directory
from ros2_dice.cli.interrupt import end_at_once
from ros2_dice.cli.progress import progress_bar
from ros2_dice.ros.children import end_with_parent

if TYPE_CHECKING:
    from ros2_dice.dice.rungs import Weights
    from ros2_dice.parameters import Settings
    from ros2_dice.runtime.rung import Choice, Stage

app = typer.Typer(add_completion=False, rich_markup_mode='rich')

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice build-engine                [dim]for the model named dice[/dim]

  ros2-dice build-engine --backend openvino --precision bf16

  ros2-dice build-engine --formula      [dim]with made-up weights, to try it[/dim]

What was built stays; run it again after an interruption and it goes on
with the rest.
"""


@app.command(epilog=EXAMPLES)
def build_engine(
        model: Annotated[str, typer.Option(help='Value of model.id, an imported model.')] = 'dice',
        formula: Annotated[bool, typer.Option(
            '--formula', help='Made-up weights of the same sizes instead of a model.')] = False,
        backend: Annotated[str, typer.Option(help='Value of backend.name.')] = 'auto',
        device: Device = 'auto',
        precision: Annotated[str, typer.Option(help='Value of backend.precision.')] = 'auto',
        threads: Annotated[int, typer.Option(min=0, help='CPU threads; 0 = all usable.')] = 0,
        force: Annotated[bool, typer.Option(
            '--force', help='Build also what is there.')] = False,
        directory: Directory = '', cache_directory: CacheDirectory = '',
        as_json: Annotated[bool, typer.Option(
            '--json', help='Print progress and result as JSON, a line each.')] = False,
        background: Annotated[bool, typer.Option(
            '--background', hidden=True,
            help='--json, and leave the processor to others.')] = False) -> None:
    """
    Build the fastest engine that is fine enough, and keep it for the node.

    Fine enough: no vertex moves by more than 1 mm and no probability by more than 0.02 against
    fp32, on stored pictures. A forced precision is built whatever its difference, which is stated.
    """
    from ros2_dice.parameters import Settings

    settings = Settings({
        'model.id': model, 'model.directory': directory, 'backend.name': backend,
        'backend.device': device, 'backend.precision': precision, 'backend.threads': threads,
        'backend.cache_directory': cache_directory})
    end_at_once('given up; what was finished stays, and the next build goes on from there')
    if background:
        os.nice(10)
        end_with_parent()
    if as_json or background:
        _build_as_json(settings, formula, force)
    else:
        _build(settings, formula, force)


def weights_of(settings: Settings, formula: bool) -> Weights:
    """
    Return an imported model's weights, or made-up ones.

    Raises:
        AssetError: the model was not imported.
        EngineError: torch is not installed.
    """
    from ros2_dice.errors import EngineError, install_hint

    try:
        import torch  # noqa: F401  (every engine is made from the network in torch)
    except ImportError as error:
        raise EngineError(f"the network can't be built: {error}",
                          next_step=install_hint('dice')) from error
    from ros2_dice.dice.rungs import Weights

    if formula:
        return Weights.by_formula()
    from ros2_dice.dice.folder import model_folder
    from ros2_dice.dice.imported import load_imported

    return Weights.of(load_imported(model_folder(settings.text('model.id'),
                                                 settings.text('model.directory'))))


def _build(settings: Settings, formula: bool, force: bool) -> None:
    from ros2_dice.dice.choosing import build

    with progress_bar(unit='share', steps=True) as bar:
        def show(stage: Stage, share: float, detail: str) -> None:
            bar.show(f'{stage.name.lower()}: {detail}', share, 1.0)

        choice = build(weights_of(settings, formula), settings, force=force, progress=show,
                       say=bar.say)
    for verdict in choice.verdicts:
        typer.echo(verdict.text() + (f': {_words(verdict.difference)}' if verdict.difference
                                     else ''))
    typer.echo(f'engine: {choice.engine_id or "needs no building"}')


def _build_as_json(settings: Settings, formula: bool, force: bool) -> None:
    from ros2_dice.dice.choosing import build
    from ros2_dice.errors import DiceError

    began_s = time.monotonic()
    put = _printer()
    try:
        choice: Choice = build(
            weights_of(settings, formula), settings, force=force,
            progress=lambda stage, share, detail: put(
                {'stage': stage.name, 'progress': share, 'detail': detail}),
            say=lambda line: put({'detail': line}))
    except DiceError as error:
        put({'error': error.text(), 'what': error.what, 'kind': type(error).__name__})
        raise typer.Exit(1) from None
    put({'engine_id': choice.engine_id, 'engine': choice.engine.name,
         'precision': choice.engine.precision, 'build_s': time.monotonic() - began_s,
         'difference': choice.verdict.difference or {},
         'verdicts': [verdict.text() for verdict in choice.verdicts]})


def _printer() -> Callable[[dict[str, Any]], None]:
    """Return a function that prints a row of JSON at once; libraries print elsewhere."""
    stream = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)

    def put(row: dict[str, Any]) -> None:
        stream.write(json.dumps(row) + '\n')

    return put


def _words(difference: Any) -> str:
    return ', '.join(f'{name} {value:.3g}' for name, value in difference.items())
