# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice benchmark`: time an estimator or the node on a clip; count the work of DICE."""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.cli.benchmark_dice import dice
from ros2_dice.cli.benchmark_engines import engines
from ros2_dice.cli.outputs import file_to_write
from ros2_dice.cli.progress import progress_bar

if TYPE_CHECKING:
    from ros2_dice.evaluation.timing import Timing

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode='rich',
                  context_settings={'help_option_names': ['-h', '--help']},
                  help='Time an estimator on a clip, stage by stage.')

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice benchmark open              [dim]the shipped clip, two threads[/dim]

  ros2-dice benchmark open --source talk.mp4 --json open.json

  ros2-dice benchmark open --peer-python peer/bin/python   [dim]beside MediaPipe[/dim]
"""
_SIZE_PX = (1280, 720)
_MOST_FRAMES = 150
"""Frames kept: 415 MB at 1280x720. Longer runs play them there and back."""


app.command('dice')(dice)
app.command('engines')(engines)


Source = Annotated[str, typer.Option(help='A clip, or sample for the shipped one.')]
JsonFile = Annotated[Path | None, typer.Option(
    '--json', callback=file_to_write, help='Write the figures here, too.')]


@app.callback()
def verbs() -> None:
    """Time an estimator on a clip, stage by stage."""


@app.command('open', epilog=EXAMPLES)
def time_open(
        source: Source = 'sample',
        json_file: JsonFile = None,
        threads: Annotated[int, typer.Option(min=1, help='Threads, and processors used.')] = 2,
        frames: Annotated[int, typer.Option(min=1, help='Frames to time.')] = 300,
        warmup: Annotated[int, typer.Option(min=0, help='Frames before those.')] = 30,
        native_size: Annotated[bool, typer.Option(
            '--native-size', help='Keep the size of the clip; else 1280x720.')] = False,
        peer_python: Annotated[Path | None, typer.Option(
            help='Python with mediapipe 0.10.21: it gets the same frames, in turns.')] = None,
        peer_hands: Annotated[int, typer.Option(
            min=1, max=2, help='Hands that the peer may follow; it looks for a missing one in '
                               'every frame.')] = 1,
        model: Annotated[str, typer.Option(help='Value of model.id.')] = 'open') -> None:
    """
    Time the open estimator in this process, without ROS.

    The clip is decoded beforehand and played there and back, frame after frame.
    """
    from ros2_dice.estimator import create_estimator
    from ros2_dice.evaluation.clips import load_clip
    from ros2_dice.evaluation.machine import environment, limited_processors
    from ros2_dice.evaluation.peer import Peer
    from ros2_dice.evaluation.timing import measure
    from ros2_dice.parameters import Settings

    path = _source(source)
    settings = Settings({'model.id': model, 'backend.threads': threads,
                         'tracking.deterministic_ids': True})
    with ExitStack() as stack:
        stack.enter_context(limited_processors(threads))
        file = stack.enter_context(tempfile.NamedTemporaryFile(suffix='.rgb'))
        clip = load_clip(path, Path(file.name), limit=min(frames + warmup, _MOST_FRAMES),
                         size_px=None if native_size else _SIZE_PX)
        peer = None
        if peer_python is not None:
            peer = stack.enter_context(
                Peer(peer_python, Path(file.name), clip.pixels.shape, peer_hands))
        estimator = create_estimator(settings)
        stack.callback(estimator.close)
        bar = stack.enter_context(progress_bar(frames))
        timing = measure(estimator, clip, frames, warmup=warmup, peer=peer,
                         progress=lambda done: bar.show('frames', done, frames),
                         threshold=settings.number('contact.threshold'))
        report = _report(timing, estimator.model_id, path.name, clip.pixels.shape, threads)
        if peer is not None:
            report['peer'] = {**peer.description, **timing.peer.as_json(),
                              'frames_with_face': timing.peer_with_face,
                              'frames_with_hand': timing.peer_with_hand,
                              'ratio': round(timing.ratio, 3)}
            del report['peer']['ready']
        report['environment'] = environment()
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + '\n')
    _show(report)


@app.command('node')
def time_node(
        source: Source = 'sample',
        json_file: JsonFile = None,
        threads: Annotated[int, typer.Option(min=1, help='Threads of the estimator.')] = 2,
        frames: Annotated[int, typer.Option(min=1, help='Frames to send.')] = 200,
        rate: Annotated[float, typer.Option(
            min=0.1, help='Frames per second; low, so that none has to wait.')] = 10.0) -> None:
    """
    Time what the node adds to the estimator: arrival to publication, less the estimator's time.

    A second process sends the clip, scaled to 1280x720, as raw images over DDS and receives the
    meshes. The first tenth of the frames is left out.
    """
    from ros2_dice.evaluation.clips import load_clip
    from ros2_dice.evaluation.machine import environment
    from ros2_dice.evaluation.timing import node_report

    path = _source(source)
    with tempfile.NamedTemporaryFile(suffix='.rgb') as file:
        clip = load_clip(path, Path(file.name), limit=_MOST_FRAMES, size_px=_SIZE_PX)
        measured = _run_node([file.name, *map(str, clip.pixels.shape[:3]), '--frames',
                              str(frames), '--rate', str(rate), '--threads', str(threads)])
    report = {**node_report(measured), 'source': path.name, 'size_px': list(_SIZE_PX),
              'threads': threads, 'rate_hz': rate, 'environment': environment()}
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + '\n')
    _show(report)
    sizes = report['message_byte']
    typer.echo(f'mesh message: median {sizes["median"]} byte, largest {sizes["max"]}; '
               f'{report["received"]} of {frames} frames came back')


def _run_node(words: list[str]) -> dict[str, Any]:
    """Run the ROS side in a process of its own: only ros2_dice.ros imports rclpy."""
    from ros2_dice.errors import EstimatorError

    done = subprocess.run([sys.executable, '-m', 'ros2_dice.ros.overhead', *words],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise EstimatorError('exit status of the node', got=done.returncode, expected='0',
                             next_step='ros2-dice doctor says what is missing')
    return json.loads(done.stdout.splitlines()[-1])


def _source(source: str) -> Path:
    if source != 'sample':
        return Path(source)
    from ros2_dice.share import share_folder

    return share_folder() / 'model' / 'sample.mp4'


def _report(timing: Timing, model: str, source: str, shape: tuple[int, ...],
            threads: int) -> dict[str, Any]:
    from ros2_dice.evaluation.timing import Spread

    stages = {}
    for name, times_s in timing.stages_s.items():
        if name != 'total':
            spread = Spread.of(times_s).as_json()
            stages[name] = {**spread, 'frames': len(times_s)}
    return {
        'model': model, 'source': source, 'size_px': [shape[2], shape[1]], 'threads': threads,
        'frames': len(timing.total_s), **timing.total.as_json(), 'stages': stages,
        'frames_with_face': timing.with_face, 'frames_with_hand': timing.with_hand,
        'frames_with_contact': timing.with_contact,
    }


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    names = ('median ms', 'p95 ms', 'max ms', 'frames')
    numbers = [Column(name, justify='right') for name in names]
    table = Table(
        Column('stage'), *numbers, box=None,
        title=f'{report["model"]} on {report["source"]}, '
              f'{report["size_px"][0]}x{report["size_px"][1]}, {report["threads"]} threads',
        title_justify='left')
    rows = [*report['stages'].items()]
    if 'median_ms' in report:
        rows.append(('whole frame', report))
    if 'peer' in report:
        rows.append((f'MediaPipe {report["peer"]["mediapipe"]}',
                     {**report['peer'], 'frames': report['frames']}))
    for name, row in rows:
        table.add_row(name, *(f'{row[key]:.1f}' for key in ('median_ms', 'p95_ms', 'max_ms')),
                      str(row['frames']))
    console = Console()
    console.print(table)
    if 'frames_with_face' in report:
        console.print(f'{report["frames"]} frames: face in {report["frames_with_face"]}, hand in '
                  f'{report["frames_with_hand"]}, touch in {report["frames_with_contact"]}')
    if 'peer' in report:
        console.print(f'ratio of the medians, ours to the peer\'s: {report["peer"]["ratio"]:.2f}')
