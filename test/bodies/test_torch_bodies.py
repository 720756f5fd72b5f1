# SPDX-License-Identifier: Apache-2.0
"""The torch twins: equal to numpy, differentiable, exportable; smplx and manopth as oracles."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ros2_dice.dice import standin_hand

torch = pytest.importorskip('torch')
from ros2_dice.bodies.torch_bodies import (  # noqa: E402
    TorchHand,
    TorchHead,
    rotation_matrices,
)

HAND_SIZES, HEAD_SIZES = (10, 3, 45, 3), (100, 50, 6, 3, 3)


def batch(sizes: tuple[int, ...], count: int, dtype: Any) -> tuple[Any, ...]:
    rng = np.random.default_rng(len(sizes))
    return tuple(torch.tensor(rng.normal(0.0, 0.4, (count, size)), dtype=dtype)
                 for size in sizes)


def twins(hand, head):
    return ((hand, TorchHand, HAND_SIZES), (head, TorchHead, HEAD_SIZES))


def test_a_batch_is_what_numpy_gives_one_by_one(hand, head):
    for body, kind, sizes in twins(hand, head):
        given = batch(sizes, 3, torch.float64)
        found = kind(body, torch.float64)(*given)
        for row in range(3):
            posed = body.posed(*(values[row].numpy() for values in given))
            for name in ('vertices_m', 'joints_m', 'rotations'):
                np.testing.assert_allclose(getattr(found, name)[row], getattr(posed, name),
                                           atol=1e-12)


def test_single_precision_is_close(hand, head):
    for body, kind, sizes in twins(hand, head):
        exact = kind(body, torch.float64)(*batch(sizes, 2, torch.float64)).vertices_m
        single = kind(body)(*batch(sizes, 2, torch.float32)).vertices_m
        assert single.dtype == torch.float32
        np.testing.assert_allclose(single, exact, atol=2e-6)


def test_rotations_have_gradients_everywhere():
    vectors = torch.tensor([[0.0, 0.0, 0.0], [1e-5, 0.0, -1e-5], [0.3, -2.0, 0.9]],
                           dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotation_matrices, (vectors,), atol=1e-6)


def test_bodies_are_differentiable(hand, head):
    """Against differences, at the rest pose too; some vertices stand for all."""
    for body, kind, sizes in twins(hand, head):
        module = kind(body, torch.float64)
        picked = torch.arange(0, len(body.rest_vertices_m), 600)
        for scale in (0.0, 1.0):
            given = [scale * values for values in batch(sizes, 1, torch.float64)]
            leaves = tuple(values[:, :6].clone().requires_grad_() for values in given)

            def function(*leaves, given=given, module=module, picked=picked):
                whole = [torch.cat((leaf, values[:, 6:]), 1)
                         for leaf, values in zip(leaves, given)]
                posed = module(*whole)
                return posed.vertices_m[:, picked], posed.joints_m

            assert torch.autograd.gradcheck(function, leaves, atol=1e-6, fast_mode=True)


def test_they_export_with_any_batch(hand, head):
    for body, kind, sizes in twins(hand, head):
        module = kind(body).eval()
        size = torch.export.Dim('batch', min=1, max=64)
        exported = torch.export.export(
            module, batch(sizes, 2, torch.float32),
            dynamic_shapes=tuple({0: size} for _ in sizes)).module()
        given = batch(sizes, 5, torch.float32)
        torch.testing.assert_close(exported(*given).vertices_m, module(*given).vertices_m)


def test_smplx_gives_the_same(hand):
    """Its skinning function on the stand-in's arrays, where smplx is installed."""
    lbs = pytest.importorskip('smplx.lbs').lbs
    shape, turn, angles, shift = batch(HAND_SIZES, 2, torch.float64)
    arrays = standin_hand()
    vertices, joints = lbs(
        shape, torch.cat((turn, angles), 1), torch.tensor(arrays['v_template'])[None],
        torch.tensor(arrays['shapedirs']), torch.tensor(arrays['posedirs'].reshape(-1, 135).T),
        torch.tensor(arrays['J_regressor']), torch.tensor(arrays['parents'].astype(np.int64)),
        torch.tensor(arrays['weights']))
    found = TorchHand(hand, torch.float64)(shape, turn, angles, shift)
    np.testing.assert_allclose(found.vertices_m, vertices + shift[:, None], atol=1e-7)
    np.testing.assert_allclose(found.joints_m, joints + shift[:, None], atol=1e-7)


def test_manopth_gives_the_same_rotations():
    rodrigues = pytest.importorskip('manopth.rodrigues_layer').batch_rodrigues
    vectors = torch.tensor([[0.1, 0.2, -0.3], [1.0, -2.0, 0.5]], dtype=torch.float64)
    np.testing.assert_allclose(rotation_matrices(vectors),
                               rodrigues(vectors).reshape(-1, 3, 3), atol=1e-6)
