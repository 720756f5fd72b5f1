# SPDX-License-Identifier: Apache-2.0
"""Loads the networks of the open estimator."""
from __future__ import annotations

from dataclasses import dataclass

from ros2_dice.landmarks import body, face, hand
from ros2_dice.landmarks.body import BodyFinder
from ros2_dice.landmarks.detect import (
    BODY,
    FACE_FULL_RANGE,
    FACE_SHORT_RANGE,
    PALM,
    Detector,
)
from ros2_dice.landmarks.face import FaceNetwork
from ros2_dice.landmarks.hand import HandNetwork, HandNetworkBeside
from ros2_dice.parameters import Settings
from ros2_dice.runtime import (
    OpenVinoEngine,
    load_openvino,
    load_openvino_in_two,
    usable_threads,
)
from ros2_dice.runtime.cache import cache_folder, make_private

_MOST_THREADS = 4
"""The networks are small: more threads wait for one another."""
_FIRST_SHARE = 0.6
"""Of a followed hand's network: so much takes as long as the face's network and the head's fit."""


@dataclass(frozen=True)
class Networks:
    """
    All networks, loaded and warm.

    They run one after the other, each on all threads. Only the hand that is followed has a network
    of its own: its first part runs on one thread beside the face's network and the fit of the
    head. The first layers of these networks gain little from a second thread, the last ones all.
    """

    face_near: Detector
    face_far: Detector
    palm: Detector
    body: BodyFinder
    face: FaceNetwork
    hand: HandNetwork
    engine_name: str
    precision: str
    hand_beside: HandNetworkBeside | None = None
    """None = there is one thread only."""

    def close(self) -> None:
        """Release them all."""
        for network in (self.face_near, self.face_far, self.palm, self.body, self.face,
                        self.hand, self.hand_beside):
            if network is not None:
                network.close()


def load_networks(settings: Settings, asset_directory: str = '') -> Networks:
    """
    Load every network that following hands and faces needs.

    Args:
        asset_directory: folder of the files; empty = the user's data folder.

    Raises:
        AssetError: a file is missing or is not what the manifest names.
        EngineError: a file is not the expected network, or others may write into the folder of
            compiled networks.
    """
    from ros2_dice.assets import find_asset

    threads = settings.integer('backend.threads') or min(usable_threads(), _MOST_THREADS)
    named = settings.text('backend.cache_directory')
    cache = cache_folder(named) if named else None
    if cache is not None:
        make_private(cache)

    def load(asset: str, *, beside: bool = False) -> OpenVinoEngine:
        return load_openvino(find_asset(asset, asset_directory),
                             threads=1 if beside else threads, cache_directory=cache,
                             beside=beside)

    two = threads > 1
    hand_engine = load(hand.ASSET)
    parts = load_openvino_in_two(
        find_asset(hand.ASSET, asset_directory), share=_FIRST_SHARE, threads=threads,
        cache_directory=cache) if two else None
    return Networks(
        Detector(FACE_SHORT_RANGE, load(FACE_SHORT_RANGE.asset)),
        Detector(FACE_FULL_RANGE, load(FACE_FULL_RANGE.asset)),
        Detector(PALM, load(PALM.asset)),
        BodyFinder(Detector(BODY, load(BODY.asset)), load(body.ASSET)),
        FaceNetwork(load(face.ASSET, beside=two)), HandNetwork(hand_engine), hand_engine.name,
        hand_engine.precision,
        HandNetworkBeside(*parts) if parts else None)
