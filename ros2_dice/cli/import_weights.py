# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice import`: read the user's DICE files into a folder that the node can load."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ros2_dice.cli.assets import AsJson, Directory
from ros2_dice.cli.progress import progress_bar

app = typer.Typer(add_completion=False, rich_markup_mode='rich')

DEFAULT_NAME, STANDIN_NAME = 'dice', 'dice_standin'

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice import --from dice_files    [dim]all official files in one folder[/dim]

  ros2-dice import --checkpoint model.bin \\
    --mano MANO_RIGHT.pkl --flame generic_model.pkl \\
    --landmarks landmark_embedding.npy --neck neck_idx.npy \\
    --hand-transforms hand_mesh_transforms.pt \\
    --head-transforms head_mesh_transforms.pt

  ros2-dice import --stand-ins --verify [dim]without any licensed file[/dim]

docs/bring_your_own_weights.md says where each file is to be had.
"""


def _file(text: str) -> Any:
    return typer.Option(help=text, show_default=False)


@app.command(epilog=EXAMPLES)
def import_weights(
        checkpoint: Annotated[Path | None, _file(
            'Weights: model.bin as released, a state dict, or safetensors.')] = None,
        mano: Annotated[Path | None, _file('Hand model: MANO_RIGHT.pkl.')] = None,
        flame: Annotated[Path | None, _file('Head model: generic_model.pkl.')] = None,
        landmarks: Annotated[Path | None, _file(
            'Points of the face: landmark_embedding.npy.')] = None,
        neck: Annotated[Path | None, _file(
            'Vertices of the neck: neck_idx.npy; without it the neck may deform.')] = None,
        hand_transforms: Annotated[Path | None, _file(
            'Coarse vertices of the hand: hand_mesh_transforms.pt.')] = None,
        head_transforms: Annotated[Path | None, _file(
            'Coarse vertices of the head: head_mesh_transforms.pt.')] = None,
        hand_template: Annotated[Path | None, _file(
            'Template hand: rh_ref_vs.pt; without it the hand model at rest.')] = None,
        head_template: Annotated[Path | None, _file(
            'Template head: head_ref_vs.pt; without it the head model at rest.')] = None,
        folder: Annotated[Path | None, typer.Option(
            '--from', help='Folder in which the files lie under their official names; a file '
                           'named by an option of its own counts instead.')] = None,
        name: Annotated[str, typer.Option(
            help=f'What parameter model.id will call it; default: {DEFAULT_NAME}, with '
                 f'--stand-ins {STANDIN_NAME}.')] = '',
        out: Annotated[Path | None, typer.Option(
            help='Folder to make instead of <data folder>/models/<name>.')] = None,
        directory: Directory = '',
        stand_ins: Annotated[bool, typer.Option(
            '--stand-ins', help='Make weights and bodies by formula instead: no licensed file, no '
                                'meaning, the whole way.')] = False,
        seed: Annotated[int, typer.Option(min=0, max=2**31, help='Of the stand-ins.')] = 0,
        verify: Annotated[bool, typer.Option(
            '--verify', help='Run network and bodies on a picture; print a fingerprint.')] = False,
        as_json: AsJson = False) -> None:
    """
    Read the DICE weights and the bodies that you hold into a folder that the node can load.

    No code in the files is run; what is not known is refused. An imported model of the same name
    is replaced when all went well.
    """
    from ros2_dice.dice import model_folder

    given = {'checkpoint': checkpoint, 'mano': mano, 'flame': flame, 'landmarks': landmarks,
             'hand-transforms': hand_transforms, 'head-transforms': head_transforms, 'neck': neck,
             'hand-template': hand_template, 'head-template': head_template}
    named = {key: path for key, path in given.items() if path is not None}
    place = out.expanduser().absolute() if out else model_folder(
        name or (STANDIN_NAME if stand_ins else DEFAULT_NAME), directory)
    manifest = _run(named, folder, place, stand_ins, seed)
    report: dict[str, Any] = {'folder': str(place), **{key: manifest[key] for key in (
        'stand_in', 'note', 'weights_hash', 'facts', 'missing', 'sources', 'files')}}
    if verify:
        report['verified'] = _verified(place)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    _show(report, manifest, place, directory)


def _run(named: Mapping[str, Path], folder: Path | None, place: Path, stand_ins: bool,
         seed: int) -> dict[str, Any]:
    from ros2_dice.dice.sources import find_sources
    from ros2_dice.errors import ConfigError, install_hint

    if stand_ins and (named or folder):
        raise ConfigError('--stand-ins takes no files', expected='it without ' + ', '.join(
            [f'--{key}' for key in named] + (['--from'] if folder else [])))
    try:
        from ros2_dice.dice.importing import import_model, import_standins

        with progress_bar(unit='bytes', steps=True) as bar:
            if stand_ins:
                return import_standins(place, seed, bar.show)
            found = find_sources(folder, set(named)) if folder else {}
            return import_model({**found, **named}, place, bar.show)
    except ImportError as error:
        raise ConfigError(f"ros2-dice import can't start: {error}",
                          next_step=install_hint('dice')) from error


def _verified(place: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from ros2_dice.dice import load_imported
    from ros2_dice.dice.verify import verify

    with progress_bar(unit='share', steps=True) as bar:
        bar.show('Running network and bodies on a picture', 0, 0)
        fingerprint = verify(load_imported(place))
    return {**asdict(fingerprint), 'text': fingerprint.text()}


def _show(report: dict[str, Any], manifest: Mapping[str, Any], place: Path,
          directory: str) -> None:
    from ros2_dice.dice import models_folder
    from ros2_dice.dice.folder import next_import

    facts, dropped = report['facts'], manifest['dropped']
    if 'form' in facts:
        typer.echo(f'{facts["numbers"] / 1e6:.1f} M numbers from a {facts["form"]}, '
                   f'{facts["heads"]} attention heads (from {facts["heads_from"]})')
    if dropped:
        typer.echo(f'{len(dropped["tensors"])} tensors that nothing reads were left out '
                   f'({dropped["numbers"] / 1e6:.1f} M numbers, listed in manifest.json)')
    for row in report['missing']:
        effect = f'instead: {row["instead"]}' if row['instead'] else 'needed'
        typer.echo(f'without {row["option"]} ({row["what"]}; {effect})')
    if 'verified' in report:
        typer.echo(f'fingerprint: {report["verified"]["text"]}')
        typer.echo(f'one picture in {report["verified"]["seconds"]:.1f} s')
    typer.echo(f'imported into {place}')
    typer.echo(f'note: {report["note"]}')
    lacking = next_import(manifest)
    if lacking:
        typer.echo(f'not complete yet: {lacking}')
    elif place.parent == models_folder(directory):
        more = f' -p model.directory:={directory}' if directory else ''
        typer.echo('use it: ros2 run ros2_dice dice_node --ros-args -p autostart:=true '
                   f'-p model.id:={place.name}{more}')
        if not directory:
            typer.echo(f'without ROS: ros2-dice estimate PICTURE --out results '
                       f'--model {place.name}')
