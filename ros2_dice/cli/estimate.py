# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice estimate`: pictures to overlays, meshes and JSON, without ROS."""
from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ros2_dice.cli.progress import progress_bar
from ros2_dice.cli.standins import warn_of_standin
from ros2_dice.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from ros2_dice.estimator import Estimator
    from ros2_dice.render import Overlay
    from ros2_dice.types import Frame

app = typer.Typer(add_completion=False, rich_markup_mode='rich')

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice estimate photo.jpg --out results

  ros2-dice estimate holiday/ talk/*.png --out results --level 1

  ros2-dice estimate photo.jpg --out results --focal 1180 --json

For each picture: NAME.png (overlay), NAME.json, NAME.glb (all meshes),
NAME_*.ply (one mesh each, with contact and deformation for every vertex).
"""

STILL = {'detection.max_persons': 8, 'tracking.enabled': False, 'smoothing.enabled': False,
         'tracking.deterministic_ids': True}
"""Settings for pictures that have nothing to do with each other."""


@dataclass
class Result:
    """What became of one picture."""

    picture: str
    error: str = ''
    files: list[str] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)

    def line(self) -> str:
        """Return what was found, for a person to read."""
        if self.error:
            return self.error if self.picture in self.error else f'{self.picture}: {self.error}'
        faces = sum(person['face'] is not None for person in self.people)
        hands = [hand for person in self.people for hand in person['hands']]
        touches = [f'{hand["handedness"]} hand: {_touch(hand["contact_probability"])}'
                   for hand in hands]
        found = f'{_count(faces, "face")}, {_count(len(hands), "hand")}'
        return f'{self.picture}: ' + '; '.join([found, *touches])


@app.command(epilog=EXAMPLES)
def estimate(
        pictures: Annotated[list[str], typer.Argument(
            metavar='PICTURE...', help='Pictures, folders of pictures, or patterns.')],
        out: Annotated[Path, typer.Option('--out', '-o', help='Folder of the results.')],
        model: Annotated[str, typer.Option(
            '--model', help='Estimator: open, dice, or the name of an imported model.')] = 'open',
        focal_px: Annotated[float | None, typer.Option(
            '--focal', help='Focal length of the lens in pixels of the picture.')] = None,
        fov_deg: Annotated[float | None, typer.Option(
            '--fov', help='Field of view along the longer side in degrees, a guess.')] = None,
        level: Annotated[int, typer.Option(
            '--level', min=0, max=2,
            help='Detail of the meshes: 0 full, 1 medium, 2 coarse.')] = 0,
        as_json: Annotated[bool, typer.Option('--json', help='Print JSON.')] = False) -> None:
    """Estimate pictures without ROS: overlay, meshes and JSON for each."""
    from ros2_dice.cli.sources import check_out, expand
    from ros2_dice.estimator import create_estimator
    from ros2_dice.parameters import Settings

    lens = _lens(focal_px, fov_deg)
    settings = Settings({**STILL, **lens, 'model.id': model})
    files, problems = expand(pictures)
    check_out(files, out)
    results = [Result(argument, str(error)) for argument, error in problems.items()]
    if files:
        estimator = create_estimator(settings)
        warn_of_standin(model)
        try:
            results += estimate_files(
                files, out, estimator, settings.number('camera.horizontal_fov'),
                focal_px=focal_px, lens_given=focal_px is not None or fov_deg is not None,
                level=level, quiet=as_json)
        finally:
            estimator.close()
    failed = [result for result in results if result.error]
    for result in failed:
        print(f'ros2-dice: {result.line()}', file=sys.stderr)
    if as_json:
        typer.echo(json.dumps([vars(result) for result in results], indent=2))
    else:
        done = len(results) - len(failed)
        typer.echo(f'{_count(done, "picture")} done, {len(failed)} failed; look at '
                   f'{out}/*.png' if done else 'No picture done.')
    if failed:
        raise typer.Exit(1)


def estimate_files(files: Sequence[Path], out: Path, estimator: Estimator,
                   horizontal_fov_rad: float, *, focal_px: float | None = None,
                   lens_given: bool = False, level: int = 0, quiet: bool = True) -> list[Result]:
    """
    Estimate pictures one by one and write what was found beside each other.

    Args:
        horizontal_fov_rad: the lens that is assumed without `focal_px`, along the longer side.
        lens_given: whether the user said which lens; noted in the JSON.
        quiet: neither progress nor a line for each picture on stderr.

    Returns:
        One result for each file; a picture that can't be read has its reason there.

    Raises:
        ConfigError: the folder can't be written.
        EstimatorError: the estimator is broken.
    """
    from ros2_dice.cli.sources import check_results, result_names
    from ros2_dice.pictures import read_picture
    from ros2_dice.render import Overlay

    overlay = Overlay(estimator.topologies)
    results = []
    try:
        with progress_bar(len(files), quiet=quiet) as bar:
            for path, name in zip(files, result_names(files)):
                result = Result(str(path))
                try:
                    frame = _with_camera(read_picture(path, result.picture), focal_px,
                                         horizontal_fov_rad)
                    check_results(out / name)
                    _estimate_one(frame, out / name, estimator, overlay, level, result,
                                  lens_given)
                except (ConfigError, ImageError) as error:
                    result.error = str(error)
                results.append(result)
                bar.advance()
                if not result.error:
                    bar.say(result.line())
    except OSError as error:
        raise ConfigError(f"--out {out} can't be written ({error.strerror or error})",
                          expected='a folder that this user may write') from error
    return results


def _estimate_one(frame: Frame, stem: Path, estimator: Estimator, overlay: Overlay, level: int,
                  result: Result, lens_given: bool) -> None:
    """Write the files of one picture and note them in its result."""
    import cv2

    from ros2_dice.cli.people import people_document
    from ros2_dice.cli.sources import remove_meshes
    from ros2_dice.render.export import export_meshes, write_glb, write_ply

    estimator.reset()  # pictures know nothing of each other
    estimates = estimator.estimate(frame)
    camera = frame.camera
    assert camera is not None
    picture = overlay.draw(frame.bgr(), estimates, camera)
    document = people_document(estimates)
    result.people = document['people']
    document |= {
        'picture': Path(result.picture).name,
        'width_px': frame.width_px, 'height_px': frame.height_px,
        'focal_px': round(camera.fx_px, 3),
        'focal_source': 'given' if lens_given else 'assumed',
        'model': estimator.model_id,
    }
    stem.parent.mkdir(parents=True, exist_ok=True)
    remove_meshes(stem)
    # First the JSON: it is how the next run knows that the other files may be overwritten.
    _put(stem, '.json', (json.dumps(document, indent=2, allow_nan=False) + '\n').encode(), result)
    _put(stem, '.png', cv2.imencode('.png', picture)[1].tobytes(), result)
    meshes = export_meshes(estimator.topologies, estimates, level)
    for mesh in meshes:
        path = _beside(stem, f'_{mesh.name}.ply')
        write_ply(path, mesh)
        result.files.append(str(path))
    if meshes:
        path = _beside(stem, '.glb')
        write_glb(path, meshes)
        result.files.append(str(path))


def _beside(stem: Path, ending: str) -> Path:
    # not with_suffix: a stem may hold points of its own
    return stem.with_name(stem.name + ending)


def _put(stem: Path, ending: str, data: bytes, result: Result) -> None:
    path = _beside(stem, ending)
    path.write_bytes(data)
    result.files.append(str(path))


def _lens(focal_px: float | None, fov_deg: float | None) -> dict[str, float]:
    """Return the settings that --fov means."""
    if focal_px is not None and fov_deg is not None:
        raise ConfigError('--focal and --fov exclude each other',
                          expected='the measured focal length, or a guess of the field of view')
    if focal_px is not None and not (math.isfinite(focal_px) and focal_px > 0):
        raise ConfigError('--focal', got=focal_px, expected='a positive number of pixels')
    if fov_deg is None:
        return {}
    if not 12 <= fov_deg <= 166:
        raise ConfigError('--fov', got=fov_deg, expected='12 to 166 degrees')
    return {'camera.horizontal_fov': math.radians(fov_deg)}


def _with_camera(frame: Frame, focal_px: float | None, horizontal_fov_rad: float) -> Frame:
    """Return the frame with the camera that overlay and estimate share."""
    from ros2_dice.types import Camera

    width, height = frame.width_px, frame.height_px
    camera = Camera.from_fov(width, height, horizontal_fov_rad) if focal_px is None \
        else Camera(width, height, focal_px, focal_px, 0.5 * width, 0.5 * height)
    return replace(frame, camera=camera)


def _touch(probability: float | None) -> str:
    from ros2_dice.parameters import Settings

    if probability is None:
        return 'touch unknown'
    threshold = Settings({}).number('contact.threshold')
    return f'{"touch" if probability >= threshold else "no touch"} ({probability:.2f})'


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}' + ('' if number == 1 else 's')
