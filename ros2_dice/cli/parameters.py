# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice parameters`: the table of the node's parameters."""
from __future__ import annotations

import json
from typing import Annotated

import typer

from ros2_dice.errors import ConfigError

app = typer.Typer(add_completion=False)


@app.command()
def parameters(
        prefix: Annotated[str, typer.Argument(help='Only names that begin so.')] = '',
        as_yaml: Annotated[bool, typer.Option(
            '--yaml', help='As a file for --params-file.')] = False,
        as_json: Annotated[bool, typer.Option('--json', help='As JSON.')] = False) -> None:
    """Print the table of the node's parameters: names, defaults, ranges, meaning."""
    from ros2_dice.parameters import PARAMETERS, yaml_text

    if as_yaml:
        if prefix or as_json:
            raise ConfigError(f'--yaml together with {prefix or "--json"}',
                              expected='one or the other'
                              + (': the file is complete' if prefix else ''))
        typer.echo(yaml_text(), nl=False)
        return
    rows = [row for row in PARAMETERS.values() if row.name.startswith(prefix)]
    if not rows:
        raise ConfigError(f'no parameter begins with {prefix!r}',
                          next_step='ros2-dice parameters lists all')
    if as_json:
        typer.echo(json.dumps([
            {'name': row.name, 'type': row.type_name, 'default': row.default, 'low': row.low,
             'high': row.high, 'choices': list(row.choices), 'unit': row.unit, 'live': row.live,
             'description': row.description} for row in rows], indent=2))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column('name', no_wrap=True), 'default', 'range', 'live', 'meaning', box=SIMPLE)
    for row in rows:
        span = ' '.join(map(str, row.choices)) if row.choices else (
            f'{row.low:g} to {row.high:g}' if row.low is not None else '')
        default = json.dumps(row.default) if isinstance(row.default, (bool, str)) \
            else f'{row.default:g}'
        table.add_row(row.name, default, f'{span} {row.unit}'.strip(), 'yes' if row.live else '',
                      row.description)
    Console().print(table)
