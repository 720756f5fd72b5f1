# SPDX-License-Identifier: Apache-2.0
"""The stored pictures that engines are compared on, and how far apart two answers are."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ros2_dice.bodies import ParametricHand, ParametricHead
from ros2_dice.dice.postprocess import Behaviour, Outputs, capture
from ros2_dice.dice.preprocess import centre_square, network_input
from ros2_dice.errors import AssetError
from ros2_dice.share import share_folder
from ros2_dice.types import Frame

LIMITS = {'vertices_m': 1e-3, 'contact': 0.02}
"""What lower precision may change: a millimetre, and 0.02 of a probability."""

_PLACES = (0.1, 0.35, 0.6, 0.85)
"""Where in the shipped clip the pictures are taken, as shares of its length."""
_UNGATED = Behaviour(presence_gate=False, contacts_within_presence=False)

Arrays = Mapping[str, npt.NDArray[np.float32]]


def stored_pictures() -> npt.NDArray[np.float32]:
    """
    Return network inputs (4, 3, 224, 224) from the shipped clip.

    Raises:
        AssetError: the clip can't be decoded.
    """
    path = share_folder() / 'model' / 'sample.mp4'
    try:
        frames = _frames(path)
    except (RuntimeError, OSError, IndexError, ValueError) as error:
        raise AssetError(f'{path.name} is unreadable: {error}', expected='the shipped clip',
                         next_step='install the package again') from error
    inputs = []
    for number, pixels in enumerate(frames):
        frame = Frame(pixels, number)
        inputs.append(network_input(frame, [centre_square(frame.width_px, frame.height_px)]))
    return np.concatenate(inputs)


def _frames(path: Path) -> list[npt.NDArray[np.uint8]]:
    """Return the pictures, R,G,B; OpenCV decodes where PyAV is not installed."""
    try:
        import av
    except ImportError:
        clip = cv2.VideoCapture(str(path))
        pictures = []
        while (picture := clip.read()[1]) is not None:
            pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        if not pictures:
            raise OSError('OpenCV can not decode it') from None
        return [np.asarray(pictures[int(place * len(pictures))], np.uint8) for place in _PLACES]
    with av.open(str(path)) as container:
        wanted = {int(place * container.streams.video[0].frames) for place in _PLACES}
        return [picture.to_ndarray(format='rgb24')
                for number, picture in enumerate(container.decode(video=0)) if number in wanted]


def make_measure(hand: ParametricHand, head: ParametricHead,
                 ) -> Callable[[Arrays, Arrays], dict[str, float]]:
    """
    Return how outputs are compared: as what is published, with the gate open.

    The gate is left out because it flips where presence is near 0.5, whatever the precision.

    Returns:
        A function of outputs and reference, to the largest distance of a vertex of hand or
        deformed head `vertices_m` [m] and the largest change of a probability `contact`.
    """
    def measure(outputs: Arrays, reference: Arrays) -> dict[str, float]:
        vertices_m = contact = 0.0
        for row in range(len(reference['presence'])):
            one, other = (capture(Outputs.row(values, row), hand, head, _UNGATED)
                          for values in (outputs, reference))
            vertices_m = max(vertices_m, *(
                float(np.linalg.norm(a - b, axis=1).max()) for a, b in (
                    (one.hand.vertices_m, other.hand.vertices_m),
                    (one.deformed_head_m, other.deformed_head_m))))
            contact = max(contact, abs(one.presence - other.presence), *(
                float(np.abs(a - b).max()) for a, b in (
                    (one.hand_contact, other.hand_contact),
                    (one.head_contact, other.head_contact))))
        return {'vertices_m': vertices_m, 'contact': contact}

    return measure
