# SPDX-License-Identifier: Apache-2.0
"""
The stages of a transformer with their linear streams composed (section 10, items 3 and 4).

Between stages there are only linear layers: head, shortcut, embedding, shortcut. So the input of
each stage, and the result, is a sum of one matrix times the tokens and one for each stage before.
All matrices that read the same thing are one; position tables and biases are in the constant
of the first.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ros2_dice.dice.simplified.affine import Affine, matrix_layer, stack
from ros2_dice.dice.simplified.attention import (
    LeanLayer,
    LowRankLayer,
    MergedLayer,
    SlicedLayer,
)
from ros2_dice.dice.simplified.low_rank import low_rank
from ros2_dice.dice.transformer import Layer, Stage


def stages_of(transformer: nn.Sequential) -> list[Stage]:
    """Return the stages of `trans_encoder` or `deform_encoder`."""
    return [stage for stage in transformer if isinstance(stage, Stage)]


def compose_streams(stages: Sequence[Stage], entry: Affine | None = None
                    ) -> tuple[list[Affine], list[list[Tensor]]]:
    """
    Return the matrices that a transformer's linear layers amount to.

    Args:
        stages: in order.
        entry: a layer before the first stage, None = there is none.

    Returns:
        For each stage's embedding and for the result the matrix on the tokens, its bias with
        positions (T, width) for embeddings; and for each stage the matrices (width, hidden) from
        its hidden state to every later embedding and the result.
    """
    stream, carried = entry, []  # the input of the stage at hand: from tokens, from hidden states
    from_tokens: list[Affine] = []
    from_hidden: list[list[Tensor]] = []
    for stage in stages:
        embedding, shortcut, head = (Affine.of(layer) for layer in (
            stage.bert.img_embedding, stage.residual, stage.cls_head))
        embedded = embedding if stream is None else stream.then(embedding)
        positions = stage.bert.position_embeddings.weight.double()
        from_tokens.append(Affine(embedded.weight, embedded.bias + positions))
        for matrices, matrix in zip(from_hidden, carried):
            matrices.append(embedding.weight @ matrix)
        passed = shortcut if stream is None else stream.then(shortcut)
        stream = Affine(passed.weight, passed.bias + head.bias)
        carried = [*(shortcut.weight @ matrix for matrix in carried), head.weight]
        from_hidden.append([])
    assert stream is not None
    for matrices, matrix in zip(from_hidden, carried):
        matrices.append(matrix)
    return [*from_tokens, stream], from_hidden


class Chain(nn.Module):
    """
    MeshNet or InteractionNet from the cells of the feature map.

    Args:
        stages: as published.
        mixer: `conv_learn_tokens`.
        places_m: (843, 3) [m].
        entry: `feat_downsampler` of InteractionNet, None = there is none.
        first: token to begin the result with.
    """

    def __init__(self, stages: Sequence[Stage], mixer: nn.Conv1d, places_m: Tensor,
                 entry: Affine | None = None, first: int = 0) -> None:
        super().__init__()
        from_tokens, from_hidden = compose_streams(stages, entry)
        count = places_m.shape[0]
        rows = [Affine(part.weight, part.bias[:count] if part.bias.ndim == 2
                       else part.bias.expand(count, -1)) for part in from_tokens]
        self.front = low_rank(mixer, places_m, stack(rows))
        self.widths = [part.weight.shape[0] for part in from_tokens]
        self.first = first
        self.onward = nn.ModuleList(
            matrix_layer(torch.cat(matrices), mixer.weight.dtype) for matrices in from_hidden)
        self.stages = nn.ModuleList(
            nn.ModuleList(_simpler(stage, index == 0, index == len(stages) - 1, self))
            for index, stage in enumerate(stages))

    def forward(self, cells: Tensor) -> Tensor:
        """Return (N, 843 - first, outputs) of (N, 49, 2048)."""
        products, mixed = self.front(cells)
        streams = list(mixed.split(self.widths, -1))
        rows = products[..., :self.widths[0]]
        streams[-1] = streams[-1][:, self.first:]
        for index, layers in enumerate(self.stages):
            assert isinstance(layers, nn.ModuleList)
            h = streams[index]
            for layer in layers:
                h = layer(h, rows) if isinstance(layer, LowRankLayer) else layer(h)
            later = self.onward[index](h).split(self.widths[index + 1:], -1)
            streams[index + 1:] = [
                stream + part[:, part.shape[1] - stream.shape[1]:]
                for stream, part in zip(streams[index + 1:], later)]
        return streams[-1]


def _simpler(stage: Stage, is_first: bool, is_last: bool, chain: Chain) -> list[LeanLayer]:
    layers = [layer for layer in stage.bert.modules() if isinstance(layer, Layer)]
    simpler: list[LeanLayer] = []
    for index, layer in enumerate(layers):
        if is_first and index == 0:
            simpler.append(LowRankLayer(layer, chain.front))
        elif is_last and chain.first and index == len(layers) - 1:
            simpler.append(SlicedLayer(layer, chain.first))
        else:
            simpler.append(MergedLayer(layer))
    return simpler
