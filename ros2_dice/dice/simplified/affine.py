# SPDX-License-Identifier: Apache-2.0
"""Linear layers as matrices, to be chained before anything runs (section 10, item 4)."""
from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ros2_dice.dice.heads import Upsampling
from ros2_dice.dice.simplified.norms import frozen

AnyLinear = TypeVar('AnyLinear', bound=nn.Linear)


class Affine(NamedTuple):
    """y = weight x + bias, in float64 so that a chain loses nothing."""

    weight: Tensor
    """(outputs, inputs)."""
    bias: Tensor
    """(outputs,); or (rows, outputs) where each token has its own."""

    @classmethod
    def of(cls, layer: nn.Linear) -> Affine:
        """Return a layer as matrices."""
        return cls(layer.weight.double(), layer.bias.double())

    def then(self, second: Affine) -> Affine:
        """Return what gives the same as this, followed by a second layer."""
        return Affine(second.weight @ self.weight, self.bias @ second.weight.T + second.bias)


def stack(parts: list[Affine]) -> Affine:
    """Return one layer that gives the outputs of all parts side by side."""
    return Affine(torch.cat([part.weight for part in parts]),
                  torch.cat([part.bias for part in parts], -1))


def compose_upsampling(first: nn.Linear, second: nn.Linear) -> Upsampling:
    """Return one layer for two, with the outputs of the first, then those of the second."""
    both = stack([Affine.of(first), Affine.of(first).then(Affine.of(second))])
    return upsampling_layer(both, first.weight.dtype)


def compose_into_regressor(upsampling: nn.Linear, layer: nn.Linear) -> nn.Linear:
    """
    Return one layer for an upsampling V to V' and a layer on its 3 V' coordinates.

    Args:
        upsampling: over vertices.
        layer: on x, y, z of each vertex in turn.
    """
    up = Affine.of(upsampling)
    columns = layer.weight.double().unflatten(1, (-1, 3))  # (outputs, V', 3)
    weight = torch.einsum('oic,ij->ojc', columns, up.weight).flatten(1)
    bias = layer.bias.double() + torch.einsum('oic,i->o', columns, up.bias)
    return linear_layer(Affine(weight, bias), layer.weight.dtype)


def compose_camera(per_token: nn.Linear, first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """
    Return one layer from the coordinates of all tokens to the camera.

    Args:
        per_token: 3 coordinates to 1.
        first: all tokens' numbers to a few.
        second: those to the camera.
    """
    over_tokens = Affine.of(first).then(Affine.of(second))
    coordinate = Affine.of(per_token)
    weight = over_tokens.weight[:, :, None] * coordinate.weight[0]
    bias = over_tokens.bias + over_tokens.weight.sum(1) * coordinate.bias
    return linear_layer(Affine(weight.flatten(1), bias), per_token.weight.dtype)


def linear_layer(matrices: Affine, dtype: torch.dtype) -> nn.Linear:
    """Return matrices as a layer of the given precision."""
    return _layer(matrices, dtype, nn.Linear)


def matrix_layer(weight: Tensor, dtype: torch.dtype) -> nn.Linear:
    """Return a matrix (outputs, inputs) as a layer without bias."""
    outputs, inputs = weight.shape
    with torch.device('meta'):
        layer = nn.Linear(inputs, outputs, bias=False)
    layer.weight = frozen(weight.to(dtype))
    return layer


def upsampling_layer(matrices: Affine, dtype: torch.dtype) -> Upsampling:
    """Return matrices over vertices as a layer of the given precision."""
    return _layer(matrices, dtype, Upsampling)


def _layer(matrices: Affine, dtype: torch.dtype, kind: type[AnyLinear]) -> AnyLinear:
    outputs, inputs = matrices.weight.shape
    with torch.device('meta'):
        layer = kind(inputs, outputs)
    layer.weight, layer.bias = frozen(matrices.weight.to(dtype)), frozen(matrices.bias.to(dtype))
    return layer
