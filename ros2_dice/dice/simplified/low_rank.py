# SPDX-License-Identifier: Apache-2.0
"""
Linear layers on tokens that never form the tokens (section 10, items 2, 3 and 5).

The 843 tokens are mixtures of 49 cells and constants: X = [R, M F + m]. A layer [A_r, A_f], b on
them is M (F A_f') + C with the constant C = R A_r' + m (A_f 1)' + b: the large product has 49 rows
instead of 843.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_dice.dice.simplified.affine import Affine
from ros2_dice.dice.simplified.norms import frozen


class LowRank(nn.Module):
    """
    A linear layer on tokens, given the rows that they are mixed from.

    Args:
        mixer: M, (T, 49).
        weight: A_f, (outputs, inputs).
        constant: C, (T, outputs).
        dtype: of the arithmetic.
    """

    def __init__(self, mixer: Tensor, weight: Tensor, constant: Tensor,
                 dtype: torch.dtype) -> None:
        super().__init__()
        self.mixer = frozen(mixer.to(dtype))
        self.weight = frozen(weight.to(dtype))
        self.constant = frozen(constant.to(dtype))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """
        Return the layer's result before and after mixing: (N, 49, outputs), (N, T, outputs).

        Args:
            rows: (N, 49, inputs).
        """
        products = functional.linear(rows, self.weight)
        return products, torch.matmul(self.mixer, products) + self.constant


def low_rank(mixer: nn.Conv1d, places_m: Tensor, layer: Affine) -> LowRank:
    """
    Return what gives, from cells, the result of a layer on tokens.

    Args:
        mixer: `conv_learn_tokens`.
        places_m: (843, 3) [m].
        layer: on tokens (outputs, 2051), its bias (outputs,) or (843, outputs).
    """
    assert mixer.bias is not None
    places = places_m.shape[1]
    of_places, of_cells = layer.weight[:, :places], layer.weight[:, places:]
    constant = (places_m.double() @ of_places.T
                + mixer.bias.double()[:, None] * of_cells.sum(1) + layer.bias)
    return LowRank(mixer.weight[:, :, 0], of_cells, constant, mixer.weight.dtype)


def low_rank_after(first: LowRank, columns: int, layer: Affine) -> LowRank:
    """
    Return what gives a second layer's result from the rows before the mixing of a first.

    Args:
        first: whose `products` will be the rows.
        columns: how many of its outputs, from the first on, the second layer reads.
        layer: (outputs, columns).
    """
    constant = first.constant[:, :columns].double() @ layer.weight.T + layer.bias
    return LowRank(first.mixer, layer.weight, constant, first.weight.dtype)
