# SPDX-License-Identifier: Apache-2.0
"""
Compare DICE with stored numbers of the original; exit status 1 beyond the published bounds.

    python tools/check_parity.py parity_seed0.npz
    python tools/check_parity.py parity_seed0.npz --dtype float64 --simplified
    python tools/check_parity.py parity.npz --weights model.safetensors
    python tools/check_parity.py postprocess.npz --postprocess

Without --weights the network is filled by formula with the seed that the file names, as the
published script fill_weights.py does. Bounds: 5e-5 for outputs and 5e-4 for intermediates in
float32, 1e-10 for both in float64; 1e-7 m and 1e-5 px after the network, all absolute.
"""
from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from ros2_dice.errors import AssetError, ConfigError, DiceError, install_hint
from tools.parity.report import Report


def main() -> int:
    """Run the comparison that the arguments ask for."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip().splitlines()[0])
    parser.add_argument('fixture', type=Path, help='parity_*.npz or postprocess*.npz')
    parser.add_argument('--weights', type=Path,
                        help='any file that `ros2-dice import --checkpoint` reads; default: '
                             'filled by formula')
    parser.add_argument('--dtype', choices=('float32', 'float64'), default='float32')
    parser.add_argument('--simplified', action='store_true',
                        help='run the exactly simplified network')
    parser.add_argument('--postprocess', action='store_true',
                        help='the file is a postprocess*.npz: no network, always float64')
    options = parser.parse_args()
    report = Report()
    try:
        if options.postprocess:
            from tools.parity.postprocess import compare_postprocess

            compare_postprocess(_read(options.fixture), report)
        else:
            _network(options, report)
    except DiceError as error:
        print(f'check_parity: {error}', file=sys.stderr)
        return 1
    return report.finish()


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """Return all arrays of an npz file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise AssetError(f'file {path.name}', got=str(error), expected='an .npz file') from error


def _network(options: argparse.Namespace, report: Report) -> None:
    try:
        import torch

        from ros2_dice.dice.checkpoint import DEFAULT_HEADS, open_checkpoint
        from ros2_dice.dice.weight_formula import formula_weights
        from tools.parity.network import compare_network
    except ImportError as error:
        raise ConfigError(f"the network can't run: {error}", next_step=install_hint('dice')
                          ) from error
    stored = _read(options.fixture)
    heads = DEFAULT_HEADS
    if options.weights is not None:
        with open_checkpoint(options.weights) as file:
            file.check()
            tensors = {name: torch.from_numpy(file.array(name)) for name in file.live()}
            heads = file.heads
    elif 'seed' in stored:
        tensors = formula_weights(int(stored['seed']))
    else:
        raise AssetError(f'file {options.fixture.name}', state='without a seed',
                         expected='a parity_*.npz file', next_step='name --weights')
    compare_network(stored, tensors, heads, dtype=getattr(torch, options.dtype),
                    simplified=options.simplified, report=report)


if __name__ == '__main__':
    raise SystemExit(main())
