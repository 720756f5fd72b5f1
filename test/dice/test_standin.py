# SPDX-License-Identifier: Apache-2.0
"""Formula-made bodies and references against the published table of their sums."""
from __future__ import annotations

import numpy as np

from ros2_dice.dice import standin_hand, standin_head, standin_references
from ros2_dice.dice.standin import standin_decimation, standin_templates

NAMES = {'lmk_faces_idx': 'full_lmk_faces_idx', 'lmk_bary_coords': 'full_lmk_bary_coords',
         'neck_idx': 'neck_idx'}


def test_they_are_the_published_ones(shared_dice):
    stored = np.load(shared_dice / 'postprocess.npz')
    table = dict(zip(stored['assets_names'].tolist(), stored['assets_sum_abssum']))
    made = {f'hand_{name}': values for name, values in standin_hand().items()}
    made |= {NAMES.get(name, f'head_{name}'): values for name, values in standin_head().items()}
    made |= standin_templates()
    for name, (rows, columns, values) in standin_decimation().items():
        made |= {f'{name}_row': rows, f'{name}_col': columns, f'{name}_val': values}
    assert set(table) - set(made) == {'stiffness'}  # only training reads it
    for name, values in made.items():
        sums = values.sum(), np.abs(values.astype(np.float64)).sum()
        np.testing.assert_allclose(sums, table[name], rtol=1e-10, atol=1e-10, err_msg=name)


def test_references_are_what_the_network_was_run_with(shared_dice):
    stored = np.load(shared_dice / 'parity_seed0.npz')
    for name, values in standin_references(int(stored['seed'])).items():
        np.testing.assert_allclose(values, stored[name], atol=1e-15)


def test_the_surfaces_are_closed_and_face_outwards():
    for arrays in (standin_hand(3), standin_head(3)):
        faces = arrays['faces']
        edges = {tuple(edge) for edge in np.concatenate(
            (faces[:, :2], faces[:, 1:], faces[:, [2, 0]])).tolist()}
        assert len(edges) == 3 * len(faces)
        assert all((b, a) in edges for a, b in edges)
        corners = arrays['v_template'][faces]
        assert np.einsum('ij,ij->', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) > 0
