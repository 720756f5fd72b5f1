# SPDX-License-Identifier: Apache-2.0
"""What a command says of a model that was made by formula."""
from __future__ import annotations

import sys


def warn_of_standin(model: str, directory: str = '') -> None:
    """
    Say on stderr that a model's results mean nothing, where that is so.

    Args:
        model: value of `model.id`.
        directory: parameter `model.directory`.

    Raises:
        AssetError: it was imported, and its manifest is damaged.
    """
    from ros2_dice.dice import model_folder, read_manifest
    from ros2_dice.estimator import OPEN

    if model == OPEN:
        return
    manifest = read_manifest(model_folder(model, directory))
    if manifest['stand_in']:
        print(f'ros2-dice: model {model}: {manifest["note"]}', file=sys.stderr)
