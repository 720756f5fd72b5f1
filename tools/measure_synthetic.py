# SPDX-License-Identifier: Apache-2.0
"""
Score fit and contact on scenes made from the bodies, against their truth.

    python tools/measure_synthetic.py [--scenes 30] [--noise 1 2 3] [--json FILE]

As many scenes each of a hand that touches (0 to 4 mm of overlap), hovers 1 to 5 cm before the skin
and is 8 to 20 cm away; hand size against head size varies by 5 % (one sigma). Landmarks get the
noise given, world points 5 % of scale, some tilt and 4 mm each. Every scene is one frame from a
cold start, no tracking, no filter. The same table was made for the prototype.

Columns: PA-PVE, the mean vertex distance after a similarity alignment, of hand and of head skin;
share of scenes said to touch, per kind; precision and recall of "touch" over all; AUC of the
probability, touch against hover; precision and recall of touched vertices in scenes that touch,
hand and head; mean distance of the hand's vertices with the heads put onto each other's centre;
relative depth error.
"""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ros2_dice.assets import find_asset
from ros2_dice.bodies import OpenBodies, load_open_bodies
from ros2_dice.contact import ContactSolver
from ros2_dice.evaluation.metrics import Score, area_under_curve, vertex_error_m
from ros2_dice.evaluation.synthetic import Scene, SceneSampler, observe
from ros2_dice.evaluation.truth import true_contact
from ros2_dice.fitting import PersonFitter
from ros2_dice.parameters import Settings

KINDS = ('touch', 'hover', 'apart')
HALF = 0.5


@dataclass(frozen=True)
class Result:
    """One scene's outcome."""

    kind: str
    probability: float
    hand_pa_mm: float
    head_pa_mm: float
    hand_in_head_mm: float
    """Mean vertex distance of the hand after the heads are put onto each other's centre."""
    depth_ratio: float
    """Relative error of the hand's depth over the head's."""
    hand_vertices: Score
    head_vertices: Score


class Bench:
    """The rooms behind the landmarks: fit, then contact."""

    def __init__(self, bodies: OpenBodies) -> None:
        settings = Settings({'smoothing.enabled': False, 'tracking.deterministic_ids': True})
        self._bodies = bodies
        self._fitter = PersonFitter(bodies, settings)
        self._solver = ContactSolver(bodies, settings)

    def run(self, scene: Scene, rng: np.random.Generator, noise_px: float) -> Result:
        """Observe a scene with noise, fit it and look for contact."""
        self._fitter.reset()
        self._solver.reset()
        person = observe(scene, self._bodies, rng, noise_px)
        fitted, = self._fitter.fit((person,), scene.camera, 0)
        solved = self._solver.solve(fitted, scene.camera, 0)
        assert fitted.head is not None
        contact, = solved.hands.values()
        skin = self._bodies.head.is_skin
        head, true_head = fitted.head.vertices_m[skin], scene.head_vertices_m[skin]
        hand = contact.vertices_m
        offset = (hand - head.mean(0)) - (scene.hand_vertices_m - true_head.mean(0))
        ratio = (hand[:, 2].mean() / head[:, 2].mean()
                 / (scene.hand_vertices_m[:, 2].mean() / true_head[:, 2].mean()))
        true_hand_touch, true_head_touch = true_contact(
            scene.hand_vertices_m, scene.head_vertices_m, self._bodies.head)
        assert contact.hand_contact is not None
        assert contact.face_contact is not None
        return Result(
            scene.kind, contact.contact_probability,
            1e3 * vertex_error_m(hand, scene.hand_vertices_m, aligned=True),
            1e3 * vertex_error_m(head, true_head, aligned=True),
            1e3 * float(np.linalg.norm(offset, axis=1).mean()), float(ratio - 1),
            Score.of(contact.hand_contact >= HALF, true_hand_touch),
            Score.of(contact.face_contact >= HALF, true_head_touch))


def table_row(noise_px: float, results: list[Result]) -> str:
    """Return one line of the table, in Markdown."""
    of = {kind: [r for r in results if r.kind == kind] for kind in KINDS}
    said = {kind: float(np.mean([r.probability >= HALF for r in rows]))
            for kind, rows in of.items()}
    frames = Score.of([r.probability >= HALF for r in results],
                      [r.kind == 'touch' for r in results])
    auc = area_under_curve([r.probability for r in of['touch']],
                           [r.probability for r in of['hover']])
    hand = sum((r.hand_vertices for r in of['touch']), Score())
    head = sum((r.head_vertices for r in of['touch']), Score())
    place = ' / '.join(f'{np.mean([r.hand_in_head_mm for r in of[k]]):.0f}' for k in KINDS)
    return (f'| {noise_px:g} | {np.mean([r.hand_pa_mm for r in results]):.1f} '
            f'| {np.mean([r.head_pa_mm for r in results]):.1f} '
            f'| {said["touch"]:.2f} / {said["hover"]:.2f} / {said["apart"]:.2f} '
            f'| {frames.precision:.2f} | {frames.recall:.2f} | {auc:.2f} '
            f'| {hand.precision:.2f} / {hand.recall:.2f} '
            f'| {head.precision:.2f} / {head.recall:.2f} | {place} '
            f'| {100 * np.std([r.depth_ratio for r in results]):.1f} |')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Score fit and contact on synthetic scenes.')
    parser.add_argument('--scenes', type=int, default=30, help='of each kind and noise')
    parser.add_argument('--noise', type=float, nargs='+', default=[1.0, 2.0, 3.0])
    parser.add_argument('--seed', type=int, default=5)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    bodies = load_open_bodies(find_asset('open_bodies'))
    sampler, bench = SceneSampler(bodies), Bench(bodies)
    record = {}
    print('| noise px | PA-PVE hand mm | PA-PVE head mm | said touch: touch / hover / apart '
          '| P | R | AUC | hand verts P / R | head verts P / R '
          '| hand in head frame mm | depth sd % |')
    print('| --- ' * 11 + '|')
    for noise_px in options.noise:
        rng = np.random.default_rng(options.seed)
        results = [bench.run(sampler.sample(rng, KINDS[n % 3]), rng, noise_px)
                   for n in range(3 * options.scenes)]
        print(table_row(noise_px, results), flush=True)
        record[f'{noise_px:g}'] = [asdict(result) for result in results]
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
