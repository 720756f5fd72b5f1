# SPDX-License-Identifier: Apache-2.0
"""Run an imported model once, from a picture made by formula to meshes, and sum it up."""
from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ros2_dice.assets import find_asset
from ros2_dice.bodies import ParametricHand, ParametricHead, load_open_bodies
from ros2_dice.dice.formula import unit
from ros2_dice.dice.imported import ImportedModel
from ros2_dice.dice.postprocess import Outputs, capture
from ros2_dice.dice.preprocess import SIZE, normalise
from ros2_dice.errors import AssetError

_DISCS = 6


@dataclass(frozen=True)
class Fingerprint:
    """A few numbers that the same weights, bodies and picture always give, to about 4 digits."""

    presence: float
    hand_size_m: float
    """Mean distance of the hand's vertices from their centroid."""
    head_size_m: float
    hand_to_head_m: float
    """Distance of the centroids."""
    hand_contact: float
    """Mean probability."""
    head_contact: float
    deformation_m: float
    """Mean length, before the gate."""
    weights: str
    """First digits of the weights' sha256."""
    seconds: float
    """What the network took, not part of the fingerprint."""

    def text(self) -> str:
        """Return one line."""
        numbers = (('presence', self.presence), ('hand', self.hand_size_m),
                   ('head', self.head_size_m), ('apart', self.hand_to_head_m),
                   ('hand contact', self.hand_contact), ('head contact', self.head_contact),
                   ('deformation', self.deformation_m))
        return ', '.join(f'{name} {value:.4g}' for name, value in numbers) + (
            f', weights {self.weights}')


def sample_crop() -> npt.NDArray[np.uint8]:
    """Return a picture (224, 224, 3) of waves and discs, the same everywhere."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1.0)
    picture = np.stack([120.0 + 40.0 * np.sin(2.0 * math.pi * ((2 + c) * x + (3 - c) * y))
                        for c in range(3)], -1)
    for centre_x, centre_y, radius, *colour in 0.5 + 0.4 * unit('verify.discs', 0, (_DISCS, 6)):
        inside = np.hypot(x - centre_x, y - centre_y) < 0.2 * radius
        picture[inside] = 255.0 * np.array(colour)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def verify(model: ImportedModel) -> Fingerprint:
    """
    Run network and bodies on `sample_crop`.

    Raises:
        AssetError: weights or bodies do not fit the network, or the result is not finite.
    """
    import torch

    from ros2_dice.dice.network import DiceNetwork

    network = DiceNetwork.from_tensors(model.tensors, model.references, model.heads)
    image = np.empty((1, 3, SIZE, SIZE), np.float32)
    normalise(sample_crop(), image[0])
    start_s = time.perf_counter()
    with torch.inference_mode():
        result = network(torch.from_numpy(image))
    seconds = time.perf_counter() - start_s
    outputs = Outputs.row({name: value.numpy() for name, value in result._asdict().items()}, 0)
    if not outputs.is_finite():
        raise AssetError(f'the network of {model.name} gives what is not finite',
                         expected='numbers', next_step='check where model.bin comes from')
    guides = load_open_bodies(find_asset('open_bodies'))
    captured = capture(outputs, ParametricHand(model.hand, guides.hand(False)),
                       ParametricHead(model.head, guides.head))
    hand_m, head_m = captured.hand.vertices_m, captured.head.vertices_m
    return Fingerprint(
        outputs.presence, _size_m(hand_m), _size_m(head_m),
        float(np.linalg.norm(hand_m.mean(0) - head_m.mean(0))),
        float(outputs.hand_contact.mean()), float(outputs.head_contact.mean()),
        float(np.linalg.norm(outputs.deform_ungated, axis=1).mean()),
        model.weights_hash[:12], seconds)


def _size_m(vertices_m: npt.NDArray[np.floating]) -> float:
    return float(np.linalg.norm(vertices_m - vertices_m.mean(0), axis=1).mean())
