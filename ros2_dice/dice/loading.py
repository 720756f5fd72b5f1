# SPDX-License-Identifier: Apache-2.0
"""From named tensors to the network; sizes that the specification leaves open are read off."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ros2_dice.dice.names import is_dead
from ros2_dice.dice.network import DiceNetwork
from ros2_dice.dice.tokens import TOKEN_WIDTH, TOKENS, centred_references
from ros2_dice.dice.transformer import StageShape
from ros2_dice.errors import AssetError

_NEXT = 'import the published file: ros2-dice import --checkpoint'


def load_network(tensors: Mapping[str, Tensor], references: Mapping[str, np.ndarray], heads: int,
                 dtype: torch.dtype) -> DiceNetwork:
    """Return the network in eval mode; arguments and errors as for `DiceNetwork.from_tensors`."""
    live = {name: tensor for name, tensor in tensors.items() if not is_dead(name)}
    mesh = read_stages(live, 'trans_encoder')
    interaction = read_stages(live, 'deform_encoder')
    _check_chain('trans_encoder', mesh, TOKEN_WIDTH, 3, heads)
    _check_chain('deform_encoder', interaction, interaction[0].inputs, 4, heads)
    places_m = torch.from_numpy(centred_references(references)).to(dtype)
    with torch.device('meta'):  # no memory and no random numbers for what is replaced at once
        network = DiceNetwork(places_m, mesh, interaction, heads)
    _check_tensors(live, {name: tuple(value.shape) for name, value in network.state_dict().items()
                          if not is_dead(name)})
    # strict, with the batch norms' counters excused
    network.load_state_dict({name: value.to(dtype) for name, value in live.items()},
                            strict=True, assign=True)
    return network.eval().requires_grad_(False)


def read_stages(tensors: Mapping[str, Tensor], prefix: str) -> tuple[StageShape, ...]:
    """
    Return the sizes of all stages of a transformer (section 4).

    Args:
        tensors: by their official names.
        prefix: `trans_encoder` (MeshNet) or `deform_encoder` (InteractionNet).

    Raises:
        AssetError: a tensor that tells a size is missing.
    """
    def size(name: str) -> tuple[int, int]:
        if name not in tensors or tensors[name].ndim != 2:
            raise AssetError(f'tensor {name!r} of the weights',
                             got=tuple(tensors[name].shape) if name in tensors else 'missing',
                             expected='a matrix', next_step=_NEXT)
        rows, columns = tensors[name].shape
        return rows, columns

    shapes = []
    for index in range(max(1, _count(tensors, rf'{prefix}\.(\d+)\.'))):
        stage = f'{prefix}.{index}'
        hidden, inputs = size(f'{stage}.bert.img_embedding.weight')
        layer = f'{stage}.bert.encoder.layer'
        shapes.append(StageShape(
            inputs, hidden, size(f'{stage}.cls_head.weight')[0],
            size(f'{layer}.0.intermediate.dense.weight')[0],
            _count(tensors, rf'{re.escape(layer)}\.(\d+)\.'),
            size(f'{stage}.bert.position_embeddings.weight')[0]))
    return tuple(shapes)


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    return len({found[1] for name in tensors if (found := re.match(pattern, name))})


def _check_chain(prefix: str, stages: Sequence[StageShape], inputs: int, outputs: int,
                 heads: int) -> None:
    for stage in stages:
        if stage.inputs != inputs or stage.hidden % heads or stage.positions < TOKENS:
            raise AssetError(f'a stage of {prefix} in the weights', got=tuple(stage),
                             expected=f'{inputs} inputs, channels in {heads} heads, at least '
                                      f'{TOKENS} positions', next_step=_NEXT)
        inputs = stage.outputs
    if inputs != outputs:
        raise AssetError(f'outputs of {prefix} in the weights', got=inputs,
                         expected=f'{outputs}', next_step=_NEXT)


def _check_tensors(given: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that lack something, hold something unknown, or have another shape."""
    for what, names in (('missing', sorted(wanted.keys() - given.keys())),
                        ('unknown', sorted(given.keys() - wanted.keys()))):
        if names:
            raise AssetError(f'tensor {names[0]!r} of the weights', got=what,
                             expected=f'the {len(wanted)} tensors of DICE; '
                                      f'{len(names)} are {what}', next_step=_NEXT)
    for name, shape in wanted.items():
        if tuple(given[name].shape) != shape:
            raise AssetError(f'tensor {name!r} of the weights', got=tuple(given[name].shape),
                             expected=f'shape {shape}', next_step=_NEXT)
