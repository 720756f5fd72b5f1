# SPDX-License-Identifier: Apache-2.0
"""
Encoder layers with one product for query, key and value (section 10, items 5, 6 and 7).

The scale 1 / sqrt(d) moves into the query. The key's bias adds the same to all scores of a row,
which softmax ignores, so it goes; the value's bias passes softmax unchanged and moves into the
output projection.
"""
from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_dice.dice.simplified.affine import Affine, linear_layer, stack
from ros2_dice.dice.simplified.low_rank import LowRank, low_rank_after
from ros2_dice.dice.transformer import AddNorm, Layer, SelfAttention, join_heads, split_heads


class LeanLayer(nn.Module):
    """
    What all simplified layers share: everything but how query, key and value come about.

    Args:
        layer: as published; tensors that do not change are shared with it.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        attention, projection = layer.attention['self'], layer.attention['output']
        assert isinstance(attention, SelfAttention)
        assert isinstance(projection, AddNorm)
        self.heads = attention.heads
        dense = Affine.of(projection.dense)
        # The weights of a softmax sum to one, so the value's bias is added just once.
        bias = dense.bias + dense.weight @ attention.value.bias.double()
        self.projection = copy.copy(projection)
        self.projection._modules = dict(projection._modules)
        self.projection.dense = linear_layer(Affine(projection.dense.weight, bias),
                                             projection.dense.weight.dtype)
        self.intermediate = layer.intermediate
        self.output = layer.output

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return (N, Tq, H), heads side by side, of (N, Tq, H), (N, T, H) and (N, T, H)."""
        q, k, v = (split_heads(x, self.heads) for x in (query, key, value))
        return join_heads(functional.scaled_dot_product_attention(q, k, v, scale=1.0))

    def finish(self, context: Tensor, h: Tensor) -> Tensor:
        """Return the layer's result (N, T, H) of what was attended to and its input."""
        u = self.projection(context, h)
        return self.output(self.intermediate(u), u)


class MergedLayer(LeanLayer):
    """A layer whose query, key and value come from one product."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.qkv = merge_attention(layer)

    def forward(self, h: Tensor) -> Tensor:
        """Return (N, T, H) of (N, T, H)."""
        return self.finish(self.attend(*self.qkv(h).chunk(3, -1)), h)


class LowRankLayer(LeanLayer):
    """
    The first layer of a network, where query, key and value are mixtures of 49 rows.

    Args:
        layer: as published.
        front: whose first outputs are the layer's input.
    """

    def __init__(self, layer: Layer, front: LowRank) -> None:
        super().__init__(layer)
        qkv = merge_attention(layer)
        self.qkv = low_rank_after(front, qkv.in_features, Affine.of(qkv))

    def forward(self, h: Tensor, rows: Tensor) -> Tensor:
        """Return (N, T, H) of (N, T, H) and the same before the mixing, (N, 49, H)."""
        _, qkv = self.qkv(rows)
        return self.finish(self.attend(*qkv.chunk(3, -1)), h)


class SlicedLayer(LeanLayer):
    """
    A last layer of which only some tokens are wanted; they attend to all.

    Args:
        layer: as published.
        first: token to begin with.
    """

    def __init__(self, layer: Layer, first: int) -> None:
        super().__init__(layer)
        self.first = first
        qkv = merge_attention(layer)
        width = qkv.in_features
        self.query = linear_layer(Affine(qkv.weight[:width], qkv.bias[:width]), qkv.weight.dtype)
        self.key_value = linear_layer(Affine(qkv.weight[width:], qkv.bias[width:]),
                                      qkv.weight.dtype)

    def forward(self, h: Tensor) -> Tensor:
        """Return (N, T - first, H) of (N, T, H)."""
        wanted = h[:, self.first:]
        key, value = self.key_value(h).chunk(2, -1)
        return self.finish(self.attend(self.query(wanted), key, value), wanted)


def merge_attention(layer: Layer) -> nn.Linear:
    """Return query, scaled, key and value as one layer; only the query keeps its bias."""
    attention = layer.attention['self']
    assert isinstance(attention, SelfAttention)
    query, key, value = (Affine.of(part) for part in (
        attention.query, attention.key, attention.value))
    scale = 1.0 / math.sqrt(query.weight.shape[0] / attention.heads)
    none = torch.zeros_like(key.bias)
    return linear_layer(stack([Affine(query.weight * scale, query.bias * scale),
                               Affine(key.weight, none), Affine(value.weight, none)]),
                        attention.query.weight.dtype)
