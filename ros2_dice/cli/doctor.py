# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice doctor`: what is installed, what can run here, how to get the rest."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from ros2_dice.cli.assets import AsJson, Check, Directory

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(add_completion=False)


@app.command()
def doctor(directory: Directory = '', check: Check = False, as_json: AsJson = False) -> None:
    """
    Say what is installed, what can run here, and how to get the rest.

    Exit status 0: the open estimator can run; 1: it can't.
    """
    from ros2_dice.cli.inventory import inventory

    report = inventory(directory, check)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        from rich.console import Console

        show(report, Console(highlight=False, soft_wrap=True))
    if not report['estimators']['open']['ready']:
        raise typer.Exit(1)


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report for a person to read."""
    from rich.markup import escape

    machine = report['machine']
    console.print(f'[bold]ros2_dice {report["version"]}[/bold], Python {machine["python"]}, '
                  f'{machine["system"]}')
    console.print(f'  files  {report["share_folder"]}')
    console.print(f'  data   {report["data_folder"]}')
    _head(console, 'Machine')
    console.print(f'  {machine["cpu"]}, {machine["threads"]} usable threads')
    for title, wanted in (('CPU has', True), ('CPU lacks', False)):
        names = [name for name, there in machine['instructions'].items() if there is wanted]
        console.print(f'  {title} {", ".join(names) or "none of those looked for"}')
    if machine['shared_memory_mb'] is not None:
        console.print(f'  /dev/shm has {machine["shared_memory_mb"]} MB free; DDS wants 64')
    if machine['nvidia_driver']:
        console.print(f'  NVIDIA driver {machine["nvidia_driver"]}')
    _head(console, 'Packages')
    for row in report['packages']:
        state = f'{row["version"] or "missing":<13}'
        colour = 'green' if row['version'] else 'yellow'
        help_text = '' if row['version'] else f': {escape(row["get"])}'
        console.print(f'  {row["name"]:<24}[{colour}]{state}[/]{row["for"]}{help_text}')
    _head(console, 'ROS 2')
    ros = report['ros']
    console.print(f'  rclpy {_state(ros["rclpy"])}, messages of this package '
                  f'{_state(ros["messages"])}, middleware {ros["middleware"]}')
    if not (ros['rclpy'] and ros['messages']):
        console.print(f'  {ros["get"]}', markup=False)
    _head(console, 'Engines')
    for name, row in report['engines'].items():
        console.print(f'  {name:<14}{_ready(row, "can run")}{escape(row["note"])}')
    _head(console, 'Estimators')
    for name, row in report['estimators'].items():
        console.print(f'  {name:<14}{_ready(row, "ready")}{escape(row["note"])}')
        for problem in row['missing']:
            console.print(f'      {problem["name"]} is {problem["state"]}: {problem["next_step"]}',
                          markup=False)


def _head(console: Console, text: str) -> None:
    console.print(f'\n[bold]{text}[/bold]')


def _ready(row: dict[str, Any], word: str) -> str:
    return f'[green]{word:<9}[/]' if row['ready'] else f'[yellow]{"no":<9}[/]'


def _state(good: bool) -> str:
    return '[green]there[/]' if good else '[yellow]missing[/]'
