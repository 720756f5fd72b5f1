# SPDX-License-Identifier: Apache-2.0
"""
The transformer stages of MeshNet and InteractionNet (specification, section 4).

A stage embeds its tokens in `hidden` channels, runs post-norm encoder layers, and reduces to its
outputs with a linear shortcut around all of it. Dropout and the attention mask of training are
left out: both do nothing at inference.
"""
from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

NORM_EPSILON = 1e-12


class StageShape(NamedTuple):
    """Sizes of one stage."""

    inputs: int
    hidden: int
    outputs: int
    feed_forward: int = 3072
    layers: int = 4
    positions: int = 1024
    """Rows of the position table; only the first 843 are used."""


class SelfAttention(nn.Module):
    """Attention of all tokens to all tokens, without the projection that follows it."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)

    def forward(self, h: Tensor) -> Tensor:
        """Return (N, T, H), the heads side by side, of (N, T, H)."""
        q, k, v = (split_heads(linear(h), self.heads)
                   for linear in (self.query, self.key, self.value))
        # Scales by 1 / sqrt(H / heads).
        return join_heads(functional.scaled_dot_product_attention(q, k, v))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return (N, heads, T, H / heads) of (N, T, H)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Return (N, T, H) of (N, heads, T, H / heads)."""
    return x.transpose(1, 2).flatten(2)


class AddNorm(nn.Module):
    """A linear layer whose result is added to a shortcut and normalised."""

    def __init__(self, given: int, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(given, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=NORM_EPSILON)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Return (N, T, H) of x (N, T, given) and the shortcut (N, T, H)."""
        return self.LayerNorm(self.dense(x) + shortcut)


class Layer(nn.Module):
    """One encoder layer: attention, then two linear layers with an exact (erf) GELU between."""

    def __init__(self, hidden: int, feed_forward: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({
            'self': SelfAttention(hidden, heads), 'output': AddNorm(hidden, hidden)})
        self.intermediate = nn.Sequential(OrderedDict(
            dense=nn.Linear(hidden, feed_forward), gelu=nn.GELU()))
        self.output = AddNorm(feed_forward, hidden)

    def forward(self, h: Tensor) -> Tensor:
        """Return (N, T, H) of (N, T, H)."""
        u = self.attention['output'](self.attention['self'](h), h)
        return self.output(self.intermediate(u), u)


class Encoder(nn.Module):
    """Embedding of the tokens, their position table and the layers (`bert` in the names)."""

    def __init__(self, shape: StageShape, heads: int) -> None:
        super().__init__()
        self.position_embeddings = nn.Embedding(shape.positions, shape.hidden)
        self.img_embedding = nn.Linear(shape.inputs, shape.hidden)
        self.encoder = nn.ModuleDict({'layer': nn.Sequential(
            *(Layer(shape.hidden, shape.feed_forward, heads) for _ in range(shape.layers)))})

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, T, hidden) of (N, T, inputs)."""
        positions = self.position_embeddings.weight[:x.shape[1]]
        return self.encoder['layer'](self.img_embedding(x) + positions)


class Stage(nn.Module):
    """One stage: (N, T, inputs) to (N, T, outputs)."""

    def __init__(self, shape: StageShape, heads: int) -> None:
        super().__init__()
        self.bert = Encoder(shape, heads)
        self.cls_head = nn.Linear(shape.hidden, shape.outputs)
        self.residual = nn.Linear(shape.inputs, shape.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, T, outputs)."""
        return self.cls_head(self.bert(x)) + self.residual(x)
