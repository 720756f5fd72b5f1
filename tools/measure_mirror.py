# SPDX-License-Identifier: Apache-2.0
"""
Compare every labelled picture with its mirror image.

    python tools/measure_mirror.py [--material DIR] [--json FILE]

For each hand that is found in both: does the side change, and how far are the vertices from the
mirrored ones of the other hand.
"""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ros2_dice.estimator import create_estimator
from ros2_dice.evaluation.material import load_material
from ros2_dice.evaluation.mirror import compare
from ros2_dice.parameters import Settings
from ros2_dice.pictures import read_picture


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Compare pictures with their mirror images.')
    parser.add_argument('--material', default='')
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    estimator = create_estimator(Settings({'tracking.deterministic_ids': True}))
    record = {}
    pairs = []
    for picture in load_material(options.material).pictures:
        if not picture.hands:
            continue
        found = compare(estimator, read_picture(picture.path))
        pairs += found
        record[picture.name] = [asdict(pair) for pair in found]
        for pair in found:
            print(f'{picture.name:42} {pair.handedness.name:7} '
                  f'{"side changes" if pair.sides_agree else "SAME SIDE":12} '
                  f'{pair.distance_mm:6.1f} mm, across {pair.across_mm:5.1f}, aligned '
                  f'{pair.aligned_mm:5.1f}; touch {pair.probability:.2f} '
                  f'{pair.mirrored_probability:.2f}')
    agree = [pair for pair in pairs if pair.sides_agree]
    print(f'{len(pairs)} hands in both, {len(agree)} change their side')
    for name in ('distance_mm', 'across_mm', 'aligned_mm'):
        values = np.array([getattr(pair, name) for pair in agree])
        print(f'{name}: median {np.median(values):.2f}, p90 {np.percentile(values, 90):.2f}, '
              f'max {values.max():.2f}')
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
