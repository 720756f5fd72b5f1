# SPDX-License-Identifier: Apache-2.0
"""
How much work an image is, part by part, counted on the operations that torch would run.

Counting needs neither weights nor time: the network runs on torch's `meta` device, where tensors
have shapes only.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ros2_dice.dice.network import PIXELS, DiceNetwork
from ros2_dice.dice.simplified import simplify
from ros2_dice.dice.tokens import TOKENS
from ros2_dice.dice.weight_formula import official_shapes

_PARTS: tuple[tuple[str, str], ...] = (
    (r'backbone', 'backbone'),
    (r'conv_learn_tokens|feat_downsampler'
     r'|\w+_encoder\.\d+\.(bert\.img_embedding|residual|cls_head)'
     r'|(mesh|interaction)\.(front|onward\.\d+)', 'tokens, embeddings, stage heads'),
    (r'(?:trans_encoder|mesh\.stages)\.(\d+)\.(bert\.encoder\.layer\.)?\d+',
     'MeshNet, layers of stage {}'),
    (r'(?:deform_encoder|interaction\.stages)\.(\d+)\.(bert\.encoder\.layer\.)?\d+',
     'InteractionNet, layers of stage {}'),
    (r'cam_param_fc\d?|camera', 'camera'),
    (r'\w+_upsampling\d?|hand_mesh|head_mesh|hand_contact|head_contact|head_deform',
     'upsampling'),
    (r'\w+_param_regressor|\w+_regressor', 'regressors'),
    (r'contact_feat_extractor|contact_classifier|cell_scores|presence', 'gate'),
)
"""Pattern of a module's whole name: the part that it and all in it belong to."""

_STATISTICS = ('.running_mean', '.running_var', '.num_batches_tracked')
"""Buffers of the batch norms, by custom not counted as parameters."""


@dataclass(frozen=True)
class Work:
    """What a network costs."""

    multiply_adds: dict[str, int]
    """Part: multiply-adds for one image; a part of no matrix products is left out."""
    parameters: int
    """Numbers to load; of the published network those of the whole file."""

    @property
    def total(self) -> int:
        """Multiply-adds for one image."""
        return sum(self.multiply_adds.values())


def count_work(network: nn.Module) -> Work:
    """
    Count a network's multiply-adds for one image.

    Args:
        network: a `DiceNetwork` or what `simplify` made of one, on torch's meta device.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, PIXELS, PIXELS, device='meta'))
    found: dict[str, int] = {}
    prefix = type(network).__name__ + '.'
    for name, counts in counter.get_flop_counts().items():
        if part := _part(name.removeprefix(prefix)):
            found[part] = found.get(part, 0) + sum(counts.values()) // 2
    order = {part: index for index, (_, part) in enumerate(_PARTS)}
    rows = sorted(found.items(), key=lambda row: (order[re.sub(r'\d+', '{}', row[0])], row[0]))
    work = Work(dict(rows), sum(value.numel() for value in network.parameters()))
    assert 2 * work.total == counter.get_total_flops(), 'a module belongs to no part'
    return work


def count_published() -> dict[str, Work]:
    """Return the work of the network of the published sizes, as published and simplified."""
    with torch.device('meta'):
        published = DiceNetwork(torch.empty(TOKENS, 3)).eval()
    whole_file = sum(torch.Size(shape).numel()
                     for name, shape in official_shapes(dead=True).items()
                     if not name.endswith(_STATISTICS))
    kinds: dict[str, Callable[[], nn.Module]] = {
        'published': lambda: published,
        'simplified': lambda: simplify(published),
        'parametric only': lambda: simplify(published, parametric_only=True)}
    counted = {name: count_work(make()) for name, make in kinds.items()}
    counted['published'] = Work(counted['published'].multiply_adds, whole_file)
    return counted


def _part(name: str) -> str:
    for pattern, part in _PARTS:
        if match := re.fullmatch(pattern, name):
            return part.format(int(match[1]) + 1) if '{}' in part else part
    return ''
