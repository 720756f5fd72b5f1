# SPDX-License-Identifier: Apache-2.0
"""
DICE for less work and the same numbers (specification, section 10).

Each simplification is a function of its own: `norms` (batch norms), `low_rank` (tokens from 49
cells), `chain` (streams between stages), `attention` (one product; a first layer on 49 rows; only
the wanted rows of the last), `affine` (camera, upsampling, regressors).
"""
from __future__ import annotations

import torch
from torch import nn

from ros2_dice.dice.network import DiceNetwork
from ros2_dice.dice.simplified.network import ParametricDice, ParametricOutput, SimplifiedDice

__all__ = ['ParametricDice', 'ParametricOutput', 'SimplifiedDice', 'simplify']


@torch.no_grad()
def simplify(network: DiceNetwork, *, parametric_only: bool = False) -> nn.Module:
    """
    Return a network that gives the same numbers up to rounding, in the same precision.

    Args:
        network: as published; it stays as it is, and tensors that do not change are shared.
        parametric_only: leave out the outputs that post-processing does not read; the result
            returns a `ParametricOutput` instead of a `DiceOutput`.
    """
    kind = ParametricDice if parametric_only else SimplifiedDice
    return kind(network).eval().requires_grad_(False)
