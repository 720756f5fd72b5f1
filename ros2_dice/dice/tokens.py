# SPDX-License-Identifier: Apache-2.0
"""
The 843 tokens that both transformers read (specification, section 3).

Each token is a point of the template bodies: its place (3 numbers, constant) and a mixture of the
49 cells of the feature map (2048 numbers), one mixture learnt for each token.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ros2_dice.dice.hrnet import FEATURES, GRID
from ros2_dice.errors import AssetError

HAND_JOINTS = slice(0, 21)
HEAD_JOINTS = slice(21, 89)
HAND_VERTICES = slice(89, 284)
HEAD_VERTICES = slice(284, 843)
TOKENS = 843
TOKEN_WIDTH = 3 + FEATURES
CELLS = GRID * GRID
REFERENCES = {'ref_rh_ref_kps': 21, 'ref_head_ref_kps': 68, 'ref_rh_ref_vs_sub': 195,
              'ref_head_ref_vs_sub2': 559}
"""Arrays of reference.npz in token order, with their number of points."""


def centred_references(references: Mapping[str, np.ndarray]) -> np.ndarray:
    """
    Return the places of all tokens, hand and head each about its own vertices' mean.

    Args:
        references: the arrays of `REFERENCES`, each (count, 3) [m], not centred.

    Returns:
        (843, 3) float64 [m].

    Raises:
        AssetError: an array is missing or has another shape.
    """
    points = {}
    for name, count in REFERENCES.items():
        given = references.get(name)
        if given is None or given.shape != (count, 3):
            raise AssetError(f'template points {name!r}', got=None if given is None
                             else given.shape, expected=f'shape {(count, 3)}',
                             next_step='repeat: ros2-dice import')
        points[name] = np.asarray(given, np.float64)
    joints, landmarks, hand, head = points.values()
    return np.concatenate((joints - hand.mean(0), landmarks - head.mean(0),
                           hand - hand.mean(0), head - head.mean(0)))


def grid_cells(features: Tensor) -> Tensor:
    """Return (N, 49, 2048), the cells row by row, of a feature map (N, 2048, 7, 7)."""
    return features.flatten(2).transpose(1, 2)


def join_tokens(places: Tensor, mixed: Tensor) -> Tensor:
    """Return tokens (N, 843, 2051) of places (843, 3) [m] and mixed features (N, 843, 2048)."""
    return torch.cat((places.expand(mixed.shape[0], -1, -1), mixed), -1)


def make_mixer() -> nn.Conv1d:
    """Return the layer that mixes cells to tokens: (N, 49, 2048) to (N, 843, 2048)."""
    return nn.Conv1d(CELLS, TOKENS, 1)
