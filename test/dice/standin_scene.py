# SPDX-License-Identifier: Apache-2.0
"""A scene for the dice estimator: scripted people, and an engine that answers by formula."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice import dice_estimator
from ros2_dice.bodies.parametric import with_levels
from ros2_dice.dice import ImportedModel, standin_hand, standin_head, standin_references
from ros2_dice.dice.postprocess import Outputs
from ros2_dice.landmarks import FaceObservation, HandObservation, PersonObservation, Region
from ros2_dice.landmarks.persons import TrackedHand
from ros2_dice.parameters import Settings
from ros2_dice.types import Camera, Frame, Handedness

WIDTH, HEIGHT = 640, 480
CAMERA = Camera(WIDTH, HEIGHT, 600.0, 600.0, WIDTH / 2, HEIGHT / 2)
SETTINGS = Settings({'model.id': 'dice_standin', 'smoothing.enabled': False})


def frame_at(stamp_ns: int = 0, camera: Camera | None = CAMERA) -> Frame:
    """Return a grey picture."""
    return Frame(np.full((HEIGHT, WIDTH, 3), 127, np.uint8), stamp_ns, 'camera', camera)


def answer(seed: int = 0, presence: float = 0.9, offset: Sequence[float] = (0.05, 0.04, -0.1),
           metres: float = 0.7) -> dict[str, np.ndarray]:
    """Return one row of outputs: a head in the middle of its crop, a hand before it."""
    rng = np.random.default_rng(seed)
    sizes = {'rh_betas': 10, 'rh_pose': 45, 'face_shape': 100, 'face_exp': 50, 'face_pose': 6,
             'rh_rot': 3, 'face_rot': 3}
    row = {name: rng.normal(0.0, 0.1, size) for name, size in sizes.items()}
    contact = np.zeros((5023, 1))
    contact[1000:1100] = 0.8
    deform = np.zeros((5023, 3))
    deform[1000:1100, 2] = -0.003
    pixels = 600.0 / metres * 224.0 / 400.0  # of the crop, for each metre
    row |= {'cam_param': np.array((-0.1 * pixels, 112.0, 110.0)),
            'rh_transl': np.array(offset), 'face_transl': np.zeros(3),
            'deform_ungated': deform, 'hand_contact': np.full((778, 1), 0.3),
            'head_contact': contact, 'presence': np.array([presence])}
    return {name: values.astype(np.float32) for name, values in row.items()}


class ScriptedEngine:
    """Answers each crop with the next row of a list, the last one over and over."""

    name, device, precision = 'scripted', 'cpu', 'fp32'

    def __init__(self, rows: Sequence[Mapping[str, np.ndarray]], batch: int = 1) -> None:
        self.rows, self.asked, self.closed = list(rows), 0, False
        self.batches: list[np.ndarray] = []
        self.inputs: Mapping[str, tuple[int, ...]] = {'image': (batch, 3, 224, 224)}
        self.outputs: Mapping[str, tuple[int, ...]] = {
            field.name: (batch, *np.shape(rows[0][field.name])) for field in fields(Outputs)}

    def buffer(self, name: str) -> np.ndarray:
        """Return memory for an input."""
        return np.zeros(self.inputs[name], np.float32)

    def infer(self, values: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the next rows."""
        batch = values['image']
        assert batch.shape == self.inputs['image']
        self.batches.append(batch.copy())
        rows = []
        for _ in batch:
            rows.append(self.rows[min(self.asked, len(self.rows) - 1)])
            self.asked += 1
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def close(self) -> None:
        """Remember."""
        self.closed = True


class ScriptedTracker:
    """Says who is there: what `people` holds."""

    stage_times_s: Mapping[str, float] = {'detection': 0.001}

    def __init__(self, settings: Settings, directory: str = '') -> None:
        self.people: tuple[PersonObservation, ...] = ()
        self.resets = 0

    def observe(self, frame: Frame) -> tuple[PersonObservation, ...]:
        """Return them."""
        return self.people

    def apply(self, settings: Settings) -> None:
        """Take no notice."""

    def reset(self) -> None:
        """Count."""
        self.resets += 1

    def close(self) -> None:
        """Do nothing."""


def face(cx_px: float = 320.0, cy_px: float = 220.0, size_px: float = 120.0) -> FaceObservation:
    """Return landmarks in a box."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (468, 2))
    points[:2] = (-0.5, -0.5), (0.5, 0.5)
    return FaceObservation((points * size_px + (cx_px, cy_px)).astype(np.float32),
                           np.zeros(468, np.float32), 0.9,
                           Region(cx_px, cy_px, 1.5 * size_px, 0.0))


def tracked(hand_id: str, side: Handedness, cx_px: float, *, fresh: bool = True) -> TrackedHand:
    """Return a hand in a box."""
    points = np.random.default_rng(1).uniform(-40.0, 40.0, (21, 2)) + (cx_px, 260.0)
    seen = HandObservation(points.astype(np.float32), np.zeros(21, np.float32),
                           np.zeros((21, 3), np.float32), 0.8, 0.9,
                           Region(cx_px, 260.0, 120.0, 0.0))
    return TrackedHand(hand_id, side, 0.9, seen, fresh)


def person(*hands: TrackedHand, person_id: str = 'p0000', **face_place: float
           ) -> PersonObservation:
    """Return a person with a face."""
    return PersonObservation(person_id, face(**face_place), tuple(hands))


_LOADED: dict[str, Any] = {}
_KINDS = {name: getattr(dice_estimator, name)
          for name in ('ParametricHand', 'ParametricHead', 'TouchFinder')}


def model() -> ImportedModel:
    """Return stand-in bodies without a network."""
    if not _LOADED:
        _LOADED.update(hand=with_levels(standin_hand()), head=with_levels(standin_head()))
    return ImportedModel(Path('dice_standin'), {}, standin_references(), _LOADED['hand'],
                         _LOADED['head'], {'stand_in': True, 'facts': {'heads': 4},
                                           'weights_hash': '0' * 64})


_MADE: dict[tuple[str, Any], Any] = {}


def _once(name: str) -> Any:
    """Return a maker of bodies that makes each only once: they never change."""
    kind = _KINDS[name]

    def make_one(*arguments: Any, **options: Any) -> Any:
        key = name, options.get('left')
        if key not in _MADE:
            _MADE[key] = kind(*arguments, **options)
        return _MADE[key]

    return make_one


def make(monkeypatch: Any, rows: Sequence[Mapping[str, np.ndarray]], settings: Settings = SETTINGS,
         batch: int = 1) -> tuple[Any, Any, Any]:
    """Return an estimator with its engine and its tracker."""
    monkeypatch.setattr(dice_estimator, 'PersonTracker', ScriptedTracker)
    for name in ('ParametricHand', 'ParametricHead', 'TouchFinder'):
        monkeypatch.setattr(dice_estimator, name, _once(name))
    engine = ScriptedEngine(rows, batch)
    estimator = dice_estimator.DiceEstimator(settings, model(), engine)
    return estimator, engine, estimator._tracker
