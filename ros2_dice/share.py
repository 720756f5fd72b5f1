# SPDX-License-Identifier: Apache-2.0
"""Where the files lie that come with the package: model/, config/ and launch/."""
from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ros2_dice.errors import AssetError

_LANDMARK = Path('model', 'assets.toml')
"""A file that every complete share folder has."""


def _candidates() -> Iterator[Path]:
    """
    List the folders to look in.

    Code that runs from a source tree takes that tree's files, so that both change together. The
    ament index is plain folders; reading it here spares non-ROS code the dependency.
    """
    yield Path(__file__).parents[1]
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        share = Path(prefix, 'share')
        if prefix and (share / 'ament_index/resource_index/packages/ros2_dice').exists():
            yield share / 'ros2_dice'
    # pip's prefix: sys.prefix, or where --prefix, --user or --target put this module.
    yield Path(sys.prefix, 'share', 'ros2_dice')
    for parent in Path(__file__).parents:
        yield parent / 'share' / 'ros2_dice'


def share_folder() -> Path:
    """
    Return the folder that holds model/ and config/.

    Raises:
        AssetError: the package is installed without its files.
    """
    for folder in _candidates():
        if (folder / _LANDMARK).is_file():
            return folder
    raise AssetError('share folder of ros2_dice', got=None,
                     expected=f'a folder with {_LANDMARK} in the source tree, in '
                              'AMENT_PREFIX_PATH or in the environment',
                     next_step='install the package again: pip install . or colcon build')
