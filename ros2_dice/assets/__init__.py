# SPDX-License-Identifier: Apache-2.0
"""
What files the estimators need, where they are, how they got there, and with which hash.

`find_asset` gives the path of a file after its size and hash were checked; it never fetches.
`pull` fetches, and is called only by a command that says so.
"""
from ros2_dice.assets.fetch import pull
from ros2_dice.assets.manifest import Asset, Source, Wheel, asset_named, load_manifest
from ros2_dice.assets.store import (
    Condition,
    asset_path,
    check_asset,
    data_folder,
    find_asset,
    missing_assets,
)

__all__ = [
    'Asset', 'Condition', 'Source', 'Wheel', 'asset_named', 'asset_path', 'check_asset',
    'data_folder', 'find_asset', 'load_manifest', 'missing_assets', 'pull',
]
