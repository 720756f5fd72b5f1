# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice benchmark dice`: what an image costs the DICE network, in work and in time."""
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ros2_dice.cli.engine_options import (
    CacheDirectory,
    Device,
    Directory,
    ModelOrFormula,
)
from ros2_dice.cli.outputs import file_to_write

if TYPE_CHECKING:
    from ros2_dice.dice.work import Work


def dice(
        flops: Annotated[bool, typer.Option(
            '--flops', help='Only count multiply-adds and parameters; needs no weights.')] = False,
        json_file: Annotated[Path | None, typer.Option(
            '--json', callback=file_to_write,
            help='Write the figures here, too.')] = None,
        rungs: Annotated[str, typer.Option(
            help='What to measure, with commas between: simplified_eager, openvino-bf16, ...; '
                 'empty = all that run here.')] = '',
        model: ModelOrFormula = '',
        directory: Directory = '',
        device: Device = 'auto',
        threads: Annotated[int, typer.Option(min=1, help='CPU threads.')] = 2,
        runs: Annotated[int, typer.Option(min=1, help='Of each engine at batch 1.')] = 20,
        batches: Annotated[str, typer.Option(
            help='Sizes whose throughput is measured, from 1 to 4.')] = '1,2,4',
        fresh: Annotated[bool, typer.Option(
            '--fresh', help='Build all engines anew, so that first starts are timed, too.'
        )] = False,
        cache_directory: CacheDirectory = '',
        plot: Annotated[Path | None, typer.Option(
            '--plot', callback=file_to_write,
            help='Draw the medians into this PNG.')] = None) -> None:
    """Time the DICE network on every engine that runs here, beside it as published."""
    from ros2_dice.errors import ConfigError

    if flops:
        show_flops(json_file)
        return
    try:
        sizes = tuple(int(size) for size in batches.split(','))
    except ValueError:
        sizes = (0,)
    if not all(1 <= size <= 4 for size in sizes):
        raise ConfigError('--batches', got=batches, expected='sizes from 1 to 4 like 1,2,4')
    from ros2_dice.cli.benchmark_engines import measure_engines
    from ros2_dice.evaluation.engines import Plan

    measure_engines(Plan(threads, device, runs, sizes, model, directory, cache_directory, fresh),
                    rungs, json_file, plot)


def show_flops(json_file: Path | None) -> None:
    """
    Print multiply-adds of every part of the network, as published and simplified.

    Raises:
        ConfigError: torch is not installed.
    """
    from ros2_dice.errors import ConfigError, install_hint

    try:
        from ros2_dice.dice.work import count_published
    except ImportError as error:
        raise ConfigError(f"the network can't be counted: {error}",
                          next_step=install_hint('dice')) from error
    counted = count_published()
    if json_file is not None:
        json_file.write_text(json.dumps({
            name: {'multiply_adds': work.multiply_adds, 'multiply_adds_total': work.total,
                   'parameters': work.parameters} for name, work in counted.items()},
            indent=2) + '\n')
    _print(counted)


def _print(counted: dict[str, Work]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column('part'), *(Column(name, justify='right') for name in counted), box=None,
                  title='DICE, million multiply-adds for one image', title_justify='left')
    for part in next(iter(counted.values())).multiply_adds:
        table.add_row(part, *(f'{work.multiply_adds.get(part, 0) / 1e6:,.1f}'
                              for work in counted.values()))
    table.add_row('total', *(f'{work.total / 1e6:,.1f}' for work in counted.values()))
    table.add_row('million parameters to load',
                  *(f'{work.parameters / 1e6:,.1f}' for work in counted.values()))
    Console().print(table)
