# SPDX-License-Identifier: Apache-2.0
"""
The network's outputs and intermediates beside those of a parity_*.npz file.

The file holds, for a seed, inputs, the template points `ref_*`, outputs `f32_*` and `f64_*`, and
of some intermediates every s-th token `mid_<name>_stride<s>` and three sums `midsum_<name>`. What
a file lacks is not compared.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ros2_dice.dice.network import HEADS, DiceNetwork
from tools.parity.report import Report

OUTPUT_BOUNDS = {torch.float32: 5e-5, torch.float64: 1e-10}
INTERMEDIATE_BOUNDS = {torch.float32: 5e-4, torch.float64: 1e-10}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def compare_network(stored: Mapping[str, np.ndarray], tensors: Mapping[str, Tensor],
                    heads: int = HEADS, *, dtype: torch.dtype, simplified: bool,
                    report: Report) -> None:
    """
    Run the network on the stored inputs and report each difference.

    Args:
        stored: arrays of the file.
        tensors: weights by their official names.
        heads: of the attention.
        dtype: float32 is compared with `f32_*` or, where there is none, like float64 with `f64_*`.
        simplified: run what `simplify` makes of the network; it lacks some intermediates.
    """
    network: nn.Module = DiceNetwork.from_tensors(
        tensors, {name: stored[name] for name in stored if name.startswith('ref_')}, heads, dtype)
    taps = _exact_taps
    if simplified:
        from ros2_dice.dice.simplified import simplify

        network, taps = simplify(network), _simplified_taps
    with torch.inference_mode(), _collect(taps(network)) as found:
        outputs = network(torch.from_numpy(_input(stored, dtype)))
    for name, value in outputs._asdict().items():
        wanted = stored.get(f'f64_{name}')
        if dtype == torch.float32:
            wanted = stored.get(f'f32_{name}', wanted)
        if wanted is not None:
            report.compare(name, value.numpy(), wanted, OUTPUT_BOUNDS[dtype])
    for key in stored:
        name = key.removeprefix('midsum_')
        if match := re.fullmatch(r'mid_(\w+)_stride(\d+)', key):
            if match[1] in found:
                value = found[match[1]].numpy()
                value = value if match[2] == '1' else value[:, ::int(match[2])]
                report.compare(match[1], value, stored[key], INTERMEDIATE_BOUNDS[dtype])
        elif key.startswith('midsum_') and name in found:
            value = found[name].double()
            sums = torch.stack((value.sum(), value.abs().sum(), (value * value).sum()))
            # As means, so that the bound of single numbers holds for them.
            report.compare(f'{name} (means)', (sums / value.numel()).numpy(),
                           stored[key] / value.numel(), INTERMEDIATE_BOUNDS[dtype])


def _input(stored: Mapping[str, np.ndarray], dtype: torch.dtype) -> np.ndarray:
    """Return the picture (N, 3, 224, 224); in float64 normalised exactly from its bytes."""
    if 'crop_u8_bgr' in stored and (dtype == torch.float64 or 'input_f32' not in stored):
        pixels = (stored['crop_u8_bgr'] / 255.0 - _MEAN) / _STD
        values = pixels.transpose(0, 3, 1, 2)
    else:
        values = stored['input_f32']
    return np.ascontiguousarray(values, np.float32 if dtype == torch.float32 else np.float64)


Taps = Mapping[str, tuple[nn.Module, bool]]
"""Name of an intermediate: the module, and True where it is the module's input."""


def _exact_taps(network: Any) -> Taps:
    """Return where the intermediates of the stored files appear."""
    mesh, interaction = network.trans_encoder, network.deform_encoder
    layers = mesh[0].bert.encoder['layer']
    return {
        'backbone': (network.backbone, False),
        'img_tokens': (network.conv_learn_tokens, False),
        'feat_down': (network.feat_downsampler, False),
        'attn0_ctx': (layers[0].attention['output'].dense, True),
        **{f'mesh0_layer{index}': (layer, False) for index, layer in enumerate(layers)},
        **{f'mesh{index}': (stage, False) for index, stage in enumerate(mesh)},
        **{f'inter{index}': (stage, False) for index, stage in enumerate(interaction)}}


def _simplified_taps(network: Any) -> Taps:
    """Return where the intermediates appear that the simplified network still forms."""
    return {'backbone': (network.backbone, False),
            **{f'mesh0_layer{index}': (layer, False)
               for index, layer in enumerate(network.mesh.stages[0])},
            'mesh2': (network.mesh, False)}


@contextmanager
def _collect(taps: Taps) -> Iterator[dict[str, Tensor]]:
    """Keep copies of intermediates while the network runs."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], *output: Tensor) -> None:
            found[name] = (output or inputs)[0].clone()
        return hook

    handles = [module.register_forward_pre_hook(keep(name)) if before
               else module.register_forward_hook(keep(name))
               for name, (module, before) in taps.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
