# SPDX-License-Identifier: Apache-2.0
"""The script's random mask, on a network of which only the two entrances exist."""
from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip('torch')
from ros2_dice.dice.token_mask import HIDDEN, MOST, mask_tokens  # noqa: E402

TOKENS = 843


class Entrances(torch.nn.Module):
    """Hands the tokens on to where MeshNet and InteractionNet begin."""

    def __init__(self) -> None:
        super().__init__()
        self.trans_encoder = torch.nn.Identity()
        self.feat_downsampler = torch.nn.Identity()

    def forward(self, tokens: Any) -> Any:
        return self.trans_encoder(tokens), self.feat_downsampler(tokens)


def hidden(values: Any) -> Any:
    """Return which tokens (TOKENS,) are the constant all over."""
    return (values == HIDDEN).all(-1)


def test_it_hides_the_same_tokens_from_both_networks_and_all_rows():
    network: Any = Entrances()
    mask_tokens(network)
    given = torch.rand(2, TOKENS, 5) + 1.0
    counts = set()
    for _ in range(5):
        first, second = network(given)
        torch.testing.assert_close(first, second)
        rows = hidden(first)
        assert (rows[0] == rows[1]).all()
        torch.testing.assert_close(first[~rows], given[~rows])
        counts.add(int(rows[0].sum()))
    assert (given > 0.9).all(), 'the input itself stays as it is'
    assert len(counts) > 1, 'it depends on how often it was asked'
    assert max(counts) <= MOST * TOKENS


def test_the_same_seed_gives_the_same_run():
    runs = []
    for _ in range(2):
        network: Any = Entrances()
        mask_tokens(network)
        runs.append([hidden(network(torch.ones(1, TOKENS, 2))[0]) for _ in range(3)])
    for one, other in zip(*runs):
        assert (one == other).all()
