# SPDX-License-Identifier: Apache-2.0
"""All of the evaluation on generated truth, from a number of samples to one document."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from ros2_dice.assets import find_asset
from ros2_dice.bodies import OpenBodies, load_open_bodies
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.evaluation.generated import (
    Bench,
    Observer,
    Outcome,
    PlainNoise,
    known_ratio,
    run_bar,
    run_motions,
    run_samples,
)
from ros2_dice.evaluation.generated_scores import bar_scores, motion_scores, scene_scores
from ros2_dice.evaluation.network_noise import NetworkNoise
from ros2_dice.evaluation.synthetic import BENCH, PEOPLE, Scene, SceneSampler
from ros2_dice.parameters import Settings
from ros2_dice.render import Overlay
from ros2_dice.types import BodyEstimate, HandFaceEstimate

SPREADS = {'people': PEOPLE, 'bench': BENCH}
"""What scenes may be drawn from: people and cameras of every kind, or the prototype's bench."""


def run_generated(settings: Settings, samples: int, motions: int, noise_px: float | None,
                  seed: int, spread: str, gallery: Gallery, advance: Callable[[str], None]
                  ) -> dict[str, Any]:
    """
    Return the document: `scenes`, `bar`, `bar_known`, and of motions `motions`, `bar_motions`.

    Args:
        settings: of fit and contact.
        samples: scenes of every kind, and as many of touch and hover at 2 cm.
        motions: of every kind, and as many likewise; 0 = none, their parts are None.
        noise_px: plain noise of the landmarks [px]; None = the errors that the networks make.
        seed: of all that is drawn.
        spread: one of `SPREADS`.
        gallery: takes drawings of the scenes whose touch is misjudged worst.
        advance: called after each of 3 x samples scenes and 2 x motions.
    """
    bodies = load_open_bodies(find_asset('open_bodies'))
    sampler, bench = SceneSampler(bodies, spread=SPREADS[spread]), Bench(bodies, settings)
    observer = observer_of(bodies, noise_px)
    threshold = settings.number('contact.threshold')
    # As in the open estimator: OpenBLAS' threads gain nothing here and take the cores.
    with ThreadpoolController().limit(limits=1, user_api='blas'):
        document: dict[str, Any] = {
            'samples': samples, 'spread': spread, 'seed': seed, 'threshold': threshold,
            'noise': 'the errors of the landmark networks' if noise_px is None
                     else f'plain noise of {noise_px:g} px',
            'scenes': scene_scores(
                run_samples(bench, sampler, observer, samples, seed,
                            _Show(bodies, gallery, threshold), advance), threshold),
            'bar': bar_scores(
                run_bar(bench, sampler, observer, samples, seed, None, advance), threshold),
            'bar_known': bar_scores(
                run_bar(bench, sampler, observer, samples, seed, known_ratio(bodies, settings),
                        advance), threshold),
            'motions': None, 'bar_motions': None}
        bench.apply(settings)
        for key, bar in (('motions', False), ('bar_motions', True)):
            if motions:
                document[key] = motion_scores(run_motions(
                    bench, sampler, observer, motions, seed, bar=bar, advance=advance), threshold)
    return document


class _Show:
    """Draws the true meshes of misjudged scenes."""

    def __init__(self, bodies: OpenBodies, gallery: Gallery, threshold: float) -> None:
        self._bodies, self._gallery, self._threshold = bodies, gallery, threshold
        self._overlay = Overlay(bodies.topologies)

    def __call__(self, scene: Scene, outcome: Outcome) -> None:
        if (outcome.probability >= self._threshold) == outcome.touch:
            return
        p = 0.0 if math.isnan(outcome.probability) else outcome.probability
        said = 'cannot tell' if math.isnan(outcome.probability) else f'p {p:.2f}'
        self._gallery.offer(
            'missed touch' if outcome.touch else 'false touch',
            f'{scene.kind}, {1e3 * outcome.gap_m:.1f} mm from {scene.hand_region} to '
            f'{scene.face_region}: {said}', abs(p - outcome.touch), lambda: self._drawn(scene))

    def _drawn(self, scene: Scene) -> npt.NDArray[np.uint8]:
        canvas = np.full((scene.camera.height_px, scene.camera.width_px, 3), 235, np.uint8)
        body = self._bodies.hand(scene.left)
        true = HandFaceEstimate(
            'a0000', hand=BodyEstimate(body.topology.topology_id, scene.hand_vertices_m, 1.0),
            face=BodyEstimate(self._bodies.head.topology.topology_id, scene.head_vertices_m, 1.0))
        return self._overlay.draw(canvas, (true,), scene.camera, legend=False)


def observer_of(bodies: OpenBodies, noise_px: float | None) -> Observer:
    """Return what makes landmarks of scenes: the networks' errors, or plain noise."""
    if noise_px is not None:
        return PlainNoise(bodies, noise_px)
    with np.load(find_asset('landmark_noise'), allow_pickle=False) as file:
        return NetworkNoise(bodies, dict(file))
