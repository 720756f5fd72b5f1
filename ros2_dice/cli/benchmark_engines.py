# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice benchmark dice` and `benchmark engines`: the network of DICE on every engine."""
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.cli.engine_options import (
    CacheDirectory,
    Device,
    Directory,
    ModelOrFormula,
)
from ros2_dice.cli.outputs import file_to_write

if TYPE_CHECKING:
    from ros2_dice.evaluation.engines import Plan


def engines(
        model: ModelOrFormula = '',
        directory: Directory = '',
        device: Device = 'auto',
        cache_directory: CacheDirectory = '',
        json_file: Annotated[Path | None, typer.Option(
            '--json', callback=file_to_write, help='Write the rows here, too.')] = None) -> None:
    """Say of every engine whether it can run here, whether it is built, and how exact it is."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ros2_dice.cli.build_engine import weights_of
    from ros2_dice.dice.choosing import make_ladder
    from ros2_dice.parameters import Settings

    settings = Settings({'model.directory': directory, 'backend.device': device,
                         'backend.cache_directory': cache_directory,
                         **({'model.id': model} if model else {})})
    ladder, networks = make_ladder(weights_of(settings, not model), settings)
    rows = ladder.survey(networks.rungs(
        device=device if device.startswith('cuda') else 'cuda:0'))
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=2) + '\n')
    table = Table('engine', 'precision', 'device', 'state', box=None)
    for row in rows:
        table.add_row(' '.join(filter(None, (row['engine'], row['variant']))), row['precision'],
                      row['device'], escape(row['state']))
    Console(highlight=False).print(table)


def measure_engines(plan: Plan, rungs: str, json_file: Path | None, plot: Path | None) -> None:
    """
    Measure, show and write what `ros2-dice benchmark dice` is asked for.

    Args:
        plan: what to measure.
        rungs: names with commas between; empty = all.
        json_file: gets the figures.
        plot: gets a picture of them.

    Raises:
        EngineError: a name is unknown, or the network can't be run at all.
    """
    from rich.console import Console

    from ros2_dice.evaluation.engines import measure_ways
    from ros2_dice.evaluation.machine import environment, limited_processors
    from ros2_dice.runtime.processor import processor_flags

    console = Console(stderr=True, highlight=False)
    with limited_processors(plan.threads):
        report = measure_ways(plan, [name for name in rungs.split(',') if name],
                              lambda line: console.print(line, markup=False))
    report.update(weights=plan.model or 'formula', threads=plan.threads, runs=plan.runs,
                  instructions=list(processor_flags()), environment=environment())
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + '\n')
    show(report)
    if plot is not None:
        from ros2_dice.evaluation.engine_plot import draw

        plot.write_bytes(draw(report['rungs']))


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        Column('way'), *(Column(name, justify='right') for name in (
            'median ms', 'p95 ms', 'ratio', 'per s at 1 / 2 / 4', 'frame to meshes ms',
            'first start s', 'cached start s', 'MiB', 'vertices mm', 'contact')), box=None,
        title=f'DICE on {report["weights"]} weights, {report["threads"]} threads',
        title_justify='left')
    for name, row in report['rungs'].items():
        difference = row.get('difference') or {}
        rates, frames = row['throughput_hz'], row.get('frame_to_meshes_ms') or {}
        table.add_row(
            name, _milliseconds(row['latency_ms']['p50']),
            _milliseconds(row['latency_ms']['p95']), f'{row["ratio_to_reference"]:.2f}',
            ' / '.join(f'{rates[size]:.2f}' if size in rates else '-' for size in '124'),
            ' / '.join(_milliseconds(times_ms['p50']) for times_ms in frames.values()),
            *(_number(row[key]) for key in ('first_start_s', 'cached_start_s')),
            f'{row["memory_mib"]}',
            f'{1e3 * difference["vertices_m"]:.3g}' if difference else '',
            f'{difference["contact"]:.2g}' if difference else '')
    console = Console(highlight=False, width=160)
    console.print(table)
    for name, reason in report['passed_over'].items():
        console.print(f'{name}: {reason}', markup=False)
    limits = report['limits']
    console.print(f'auto takes {report["auto"] or "none of these"} (vertices within '
                  f'{1e3 * limits["vertices_m"]:g} mm, contact within {limits["contact"]:g})')


def _milliseconds(value_ms: float) -> str:
    return f'{value_ms:.0f}' if value_ms >= 100.0 else f'{value_ms:.2f}'


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.1f}'
