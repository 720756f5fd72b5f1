# SPDX-License-Identifier: Apache-2.0
"""
A few numbers of every output in float64, so that the network is checked without other files.

`python test/dice/network_samples.py` writes them anew; do so only from a network that
tools/check_parity.py accepts.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ros2_dice.dice.formula import unit

FILE = Path(__file__).with_name('network_samples.npz')
_MOST = 40


def picture() -> Tensor:
    """Return one picture (1, 3, 224, 224) float64 of smooth noise and fine noise."""
    coarse = torch.from_numpy(unit('sample.coarse', 0, (1, 3, 8, 8)))
    fine = torch.from_numpy(unit('sample.fine', 0, (1, 3, 224, 224)))
    smooth = torch.nn.functional.interpolate(coarse, (224, 224), mode='bilinear')
    return 2.0 * smooth + 0.2 * fine


def samples(outputs: Any) -> dict[str, np.ndarray]:
    """Return up to 40 numbers of each output, and each output's mean of absolute values."""
    found = {}
    for name, value in outputs._asdict().items():
        flat = value.numpy().ravel()
        picked = flat[np.linspace(0, flat.size - 1, min(_MOST, flat.size)).round().astype(int)]
        found[name] = np.append(picked, np.abs(flat).mean())
    return found


def main() -> None:
    """Write the file."""
    from ros2_dice.dice import DiceNetwork, formula_weights, standin_references

    network = DiceNetwork.from_tensors(formula_weights(0), standin_references(0),
                                       dtype=torch.float64)
    with torch.inference_mode():
        found = samples(network(picture()))
    np.savez_compressed(FILE, **found)  # type: ignore[arg-type]
    print(FILE.stat().st_size, 'byte; presence', found['presence'][0])


if __name__ == '__main__':
    main()
