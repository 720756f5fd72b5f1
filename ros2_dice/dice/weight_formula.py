# SPDX-License-Identifier: Apache-2.0
"""
Weights made by formula: the stand-in for a checkpoint that can't be shipped.

Every tensor is a pure function of its official name and a seed. The gains keep activations of a
sensible size through the whole network, so that mistakes show in every output.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ros2_dice.dice.formula import unit_chunks
from ros2_dice.dice.names import is_dead
from ros2_dice.dice.network import INTERACTION_STAGES, MESH_STAGES, DiceNetwork
from ros2_dice.runtime import usable_threads

_GAINS = (
    ('.attention.self.query.weight', 1.5),
    ('.attention.self.key.weight', 1.5),
    ('.cls_head.weight', 0.7),
    ('.residual.weight', 0.5),
    ('contact_feat_extractor.', 1.6),
    ('contact_classifier.', 1.6),
    ('param_regressor.regressor.3.weight', 0.3),
    ('param_regressor.', 1.4),
    ('head_deform_upsampling', 0.5),
    ('upsampling', 0.7),
    ('backbone.final_layer.0.weight', 0.25),
    ('backbone.', math.sqrt(2.0)),
)
"""Part of the name: entries have the standard deviation gain / sqrt(inputs); the first counts."""
_FUSION, _LAST = 0.15, 0.2
"""Batch-norm scales that end a fusion path or a residual path; others are 1."""
_VOCABULARY, _TEXT_POSITIONS, _CLASSES = 30522, 512, 1000


def formula_weights(seed: int = 0, *, dead: bool = False) -> dict[str, Tensor]:
    """
    Return the tensors of a checkpoint of the usual sizes, float32, by their official names.

    Args:
        seed: any non-negative integer.
        dead: add the tensors that nothing reads, as an official file has them; their counters are
            int64.
    """
    shapes = official_shapes(dead=dead)

    def make(name: str) -> Tensor:
        if name.endswith('.num_batches_tracked'):
            return torch.tensor(1000 + seed)
        return torch.from_numpy(formula_tensor(name, shapes, seed))

    with ThreadPoolExecutor(usable_threads()) as pool:
        return dict(zip(shapes, pool.map(make, shapes)))


def official_shapes(*, dead: bool = False) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that the network reads; with `dead` of every tensor."""
    with torch.device('meta'):
        network = DiceNetwork(torch.empty(0))
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()
              if dead or not is_dead(name)}
    if dead:
        shapes |= {'backbone.classifier.weight': (_CLASSES, 2048),
                   'backbone.classifier.bias': (_CLASSES,)}
        for prefix, stages in (('trans', MESH_STAGES), ('deform', INTERACTION_STAGES)):
            for index, stage in enumerate(stages):
                text = f'{prefix}_encoder.{index}.bert.embeddings'
                pooler = f'{prefix}_encoder.{index}.bert.pooler.dense'
                width = stage.hidden
                shapes |= {f'{text}.word_embeddings.weight': (_VOCABULARY, width),
                           f'{text}.position_embeddings.weight': (_TEXT_POSITIONS, width),
                           f'{text}.token_type_embeddings.weight': (2, width),
                           f'{text}.LayerNorm.weight': (width,),
                           f'{text}.LayerNorm.bias': (width,),
                           f'{pooler}.weight': (width, width), f'{pooler}.bias': (width,)}
    return shapes


def formula_tensor(name: str, shapes: Mapping[str, tuple[int, ...]],
                   seed: int) -> npt.NDArray[np.float32]:
    """
    Return one tensor.

    Args:
        name: official name of a float32 tensor.
        shapes: of all tensors that the network reads; which there are tells what a tensor is for.
        seed: any non-negative integer.
    """
    shape = shapes[name]
    scale, offset, gain = _law(name, shape, shapes)
    values = np.empty(math.prod(shape), np.float32)
    begin = 0
    # In pieces that stay in the processor's cache, float64 until the last step.
    for piece in unit_chunks(name, seed, values.size):
        piece *= scale
        if offset:
            piece = gain * (piece + offset)
        if name == 'contact_classifier.0.weight':
            # No common part, so that crops fall on both sides of the gate; summed in order.
            piece -= np.cumsum(piece)[-1] / piece.size
        values[begin:begin + len(piece)] = piece
        begin += len(piece)
    return values.reshape(shape)


def _law(name: str, shape: tuple[int, ...],
         shapes: Mapping[str, tuple[int, ...]]) -> tuple[float, float, float]:
    """Return (scale, offset, gain): a tensor's numbers are gain (scale u + offset)."""
    stem, leaf = name.rsplit('.', 1)
    if leaf == 'running_var':
        return 0.25, 1.0, 1.0
    if leaf == 'running_mean':
        return 0.1, 0.0, 1.0
    if f'{stem}.running_var' in shapes:
        return (0.1, 1.0, _norm_gain(stem, shapes)) if leaf == 'weight' else (0.1, 0.0, 1.0)
    if '.LayerNorm.' in name:
        return 0.1, 1.0 if leaf == 'weight' else 0.0, 1.0
    if 'embeddings' in name:
        return 0.1, 0.0, 1.0
    if leaf == 'bias':
        return 0.05, 0.0, 1.0
    gain = next((gain for part, gain in _GAINS if part in name), 1.0)
    return math.sqrt(3.0) * gain / math.sqrt(math.prod(shape[1:])), 0.0, 1.0


def _norm_gain(stem: str, shapes: Mapping[str, tuple[int, ...]]) -> float:
    if '.fuse_layers.' in stem:
        return _FUSION
    if stem.endswith(('.bn3', '.fc_block.4')):
        return _LAST
    # bn2 ends the residual path of a basic block; a bottleneck has a third.
    ends = (stem.endswith('.bn2') and stem.count('.') > 1
            and f'{stem[:-1]}3.weight' not in shapes)
    return _LAST if ends else 1.0
