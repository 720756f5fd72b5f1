# SPDX-License-Identifier: Apache-2.0
"""
Crop, resize and normalise on a device, in one pass.

The same filter as `preprocess.resized_fast` (a triangle that widens when the picture shrinks) as
two small matrix products for each crop, so that a frame is copied to the device once and all crops
are made there. Runs on any torch device.
"""
from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from ros2_dice.dice.preprocess import MEAN, SIZE, STD, Square


def device_input(pixels: Tensor, squares: Sequence[Square], *, rgb: bool) -> Tensor:
    """
    Return a batch (N, 3, 224, 224) float32, B,G,R, normalised, on the device of the pixels.

    Args:
        pixels: (H, W, 3) uint8.
        squares: where to look; parts outside of the picture are black.
        rgb: the pixels are R,G,B.
    """
    height, width = pixels.shape[:2]
    picture = pixels.flip(-1) if rgb else pixels
    mean, scale = _statistics(pixels.device)
    crops = []
    for square in squares:
        left, top = max(square.left_px, 0), max(square.top_px, 0)
        right = min(square.left_px + square.size_px, width)
        bottom = min(square.top_px + square.size_px, height)
        filters = resize_weights(square.size_px, pixels.device)
        down = filters[:, top - square.top_px:bottom - square.top_px]
        across = filters[:, left - square.left_px:right - square.left_px]
        part = picture[top:max(bottom, top), left:max(right, left)].permute(2, 0, 1).float()
        small = down @ part @ across.T
        crops.append(small.flip(-1) if square.mirrored else small)
    # Whole grey levels, as the network was trained on.
    return (torch.stack(crops).round().clamp(0.0, 255.0) - mean) * scale


@functools.lru_cache(maxsize=4)
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and reciprocal deviation of grey levels, kept on the device."""
    return (torch.from_numpy(255.0 * MEAN).to(device)[:, None, None],
            torch.from_numpy(1.0 / (255.0 * STD)).to(device)[:, None, None])


@functools.lru_cache(maxsize=32)
def resize_weights(length: int, device: torch.device, size: int = SIZE) -> Tensor:
    """Return the filter (size, length) that brings a line of pixels to another length."""
    ratio = length / size
    support = max(ratio, 1.0)
    centres = (torch.arange(size, device=device, dtype=torch.float64) + 0.5) * ratio
    places = torch.arange(length, device=device, dtype=torch.float64) + 0.5
    weights = (1.0 - (places[None] - centres[:, None]).abs() / support).clamp_min(0.0)
    return (weights / weights.sum(1, keepdim=True)).float()
