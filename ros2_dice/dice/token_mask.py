# SPDX-License-Identifier: Apache-2.0
"""
The published script's random mask: up to 30 % of the tokens are hidden, as in training.

One generator serves the whole run, so that a picture's result depends on those before it, and all
rows of a batch share a mask (sections 3 and 8 of the specification). Only for `DiceNetwork` as it
is: the simplified network never forms the tokens.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ros2_dice.dice.network import DiceNetwork

MOST = 0.3
HIDDEN = 0.01
SEED = 88
"""The script's; its draws can't be had again, since they depend on its libraries."""


def mask_tokens(network: DiceNetwork, seed: int = SEED) -> None:
    """Make a network hide random tokens from now on."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.zeros(0, dtype=torch.long)

    def draw(module: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
        nonlocal hidden
        tokens = inputs[0].shape[1]
        count = int(float(torch.rand(1, generator=generator)) * MOST * tokens)
        hidden = torch.randperm(tokens, generator=generator)[:count]
        return (_without(inputs[0], hidden),)

    def same(module: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (_without(inputs[0], hidden),)

    # MeshNet sees the tokens first, then InteractionNet's own linear layer: the same ones.
    network.trans_encoder.register_forward_pre_hook(draw)
    network.feat_downsampler.register_forward_pre_hook(same)


def _without(tokens: Tensor, hidden: Tensor) -> Tensor:
    result = tokens.clone()
    result[:, hidden] = HIDDEN
    return result
