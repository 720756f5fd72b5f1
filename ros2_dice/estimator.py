# SPDX-License-Identifier: Apache-2.0
"""The estimator protocol, and the only place that knows every estimator."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ros2_dice.bodies import Topology
from ros2_dice.errors import AssetError, EstimatorError
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame, HandFaceEstimate

OPEN, DICE = 'open', 'dice'
"""Values of `model.id`: the open estimator, and the name that an import gives by default."""


class Estimator(Protocol):
    """Finds hands and faces in pictures; keeps what it needs of the past."""

    topologies: tuple[Topology, ...]
    """All surfaces it can report, at level of detail 0."""

    @property
    def model_id(self) -> str:
        """`<model.id>/<engine>-<precision>`, e.g. `open/openvino-fp32`; the engine may change."""
        ...

    @property
    def stage_times_s(self) -> Mapping[str, float]:
        """Seconds that each stage of the last frame took."""
        ...

    def estimate(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """
        Return who is in the picture, sorted by person_id and hand_id.

        Pictures come upright and not mirrored: `ros2_dice.upright` sees to turned cameras.

        An odd picture is not an error: nobody in it is an empty tuple. The same frames, settings
        and engine give the same bytes.

        Raises:
            EstimatorError: the engine is broken; the message says what to do.
        """
        ...

    def apply(self, settings: Settings) -> None:
        """Take over new values of live parameters, between frames."""
        ...

    def reset(self) -> None:
        """Forget the past: ids, tracks and filters."""
        ...

    def close(self) -> None:
        """Release engines and memory."""
        ...


class EngineKeeper(Protocol):
    """What an estimator whose engine is built says of it; its property `upgrade`."""

    @property
    def report(self) -> Mapping[str, object]:
        """Return engine, device, engine_id, reason, building, build_error and differences."""
        ...

    def listen(self, say: Callable[[str], object]) -> None:
        """Hand on, a line each and from any thread, what happened and what happens from now."""
        ...

    def start_building(self) -> None:
        """Build what is missing in a process of its own, if the parameters allow it."""
        ...

    def take_built(self) -> None:
        """Look for a better engine that somebody else built; returns at once."""
        ...


class EngineBuild(Protocol):
    """A process that builds an engine."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    def stop(self) -> None:
        """Give it up; what was finished stays."""
        ...


def engine_build(settings: Settings, force: bool,
                 on_progress: Callable[[Mapping[str, object]], None],
                 on_done: Callable[[str], None]) -> EngineBuild:
    """
    Return a process, not started yet, that builds what `model.*` and `backend.*` ask for.

    Args:
        force: build also what is there.
        on_progress: gets `stage`, `progress`, `detail`, and at the end `engine_id`, `build_s` and
            `difference`, or `error`, `what` and `kind`; on a thread of its own.
        on_done: gets an error or '' at the end, likewise.
    """
    from ros2_dice.dice.choosing import build_process

    return build_process(settings, force, on_progress, on_done)


def engine_keeper(estimator: Estimator | None) -> EngineKeeper | None:
    """Return what builds an estimator's engines, None where nothing is built."""
    return getattr(estimator, 'upgrade', None)


def learnt_sizes(estimator: Estimator | None) -> Mapping[str, str]:
    """
    Return what a session has learnt of people's sizes, as values of parameters, by person_id.

    Empty where nothing was learnt, or the estimator learns nothing. Any thread may ask.
    """
    return getattr(estimator, 'learnt_sizes', {})


def known_models(directory: str = '') -> tuple[str, ...]:
    """
    Return the values that `model.id` may have on this machine.

    Args:
        directory: parameter `model.directory`.
    """
    from ros2_dice.dice import imported_folders

    return (OPEN, *(folder.name for folder in imported_folders(directory)))


def check_model(name: str, directory: str = '') -> None:
    """
    Say that no estimator has this name, without loading anything.

    Args:
        name: parameter `model.id`.
        directory: parameter `model.directory`.

    Raises:
        AssetError: it is DICE's own name, and nothing was imported under it.
        EstimatorError: no estimator has this name.
    """
    known = known_models(directory)
    if name in known:
        return
    if name == DICE:
        raise AssetError(
            f'model {DICE} was not imported yet', expected='your own weights and bodies',
            next_step='ros2-dice import --from FOLDER_OF_THE_OFFICIAL_FILES; '
                      'docs/bring_your_own_weights.md names them')
    from ros2_dice.dice import is_model_name

    raise EstimatorError(
        'parameter model.id', got=name, expected=' or '.join(known),
        next_step=f'ros2-dice import --name {name} makes another one' if is_model_name(name)
        else 'ros2-dice assets lists the imported ones')


def create_estimator(settings: Settings) -> Estimator:
    """
    Return the estimator that `model.id` names, loaded and warm.

    Raises:
        AssetError: a file is missing or is not what the manifest names.
        EngineError: no engine can run a network.
        EstimatorError: no estimator has this name.
    """
    name = settings.text('model.id')
    check_model(name, settings.text('model.directory'))
    if name == OPEN:
        from ros2_dice.open_estimator import OpenEstimator

        return OpenEstimator(settings)
    from ros2_dice.dice_estimator import DiceEstimator

    return DiceEstimator(settings)
