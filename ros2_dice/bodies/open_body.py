# SPDX-License-Identifier: Apache-2.0
"""Reading model/open_bodies.npz."""
from __future__ import annotations

import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ros2_dice.bodies.open_hand import OpenHand
from ros2_dice.bodies.open_head import OpenHead
from ros2_dice.bodies.topology import Topology
from ros2_dice.errors import AssetError


@dataclass(frozen=True)
class OpenBodies:
    """The three licence-free surfaces."""

    hand_left: OpenHand
    hand_right: OpenHand
    head: OpenHead

    def hand(self, left: bool) -> OpenHand:
        """Return the left or the right hand."""
        return self.hand_left if left else self.hand_right

    @property
    def topologies(self) -> tuple[Topology, ...]:
        """Left hand, right hand and head, at level of detail 0."""
        return self.hand_left.topology, self.hand_right.topology, self.head.topology


def load_open_bodies(path: str | Path) -> OpenBodies:
    """
    Return the open bodies of a file.

    Raises:
        AssetError: the file is missing or is not what tools/bake_open_bodies.py writes.
    """
    name = Path(path).name
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
        return OpenBodies(OpenHand(arrays, True), OpenHand(arrays, False), OpenHead(arrays))
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile,
            tokenize.TokenError) as error:  # the last from numpy 1.26's reading of headers
        raise AssetError(
            f'file {name} of the open bodies', state=f'damaged ({type(error).__name__}: {error})',
            expected='the file that tools/bake_open_bodies.py writes',
            next_step='reinstall ros2_dice, or bake the file again') from error
