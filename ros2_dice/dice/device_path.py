# SPDX-License-Identifier: Apache-2.0
"""
From a frame in host memory to meshes in host memory, with nothing but two copies on the way.

Crop, network and bodies run on the device, on one stream; network and bodies are recorded as one
graph where the device has graphs. On a CPU the same code runs without copies.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ros2_dice.bodies import ParametricHand, ParametricHead
from ros2_dice.bodies.parametric_head import VERTICES
from ros2_dice.bodies.torch_bodies import TorchHand, TorchHead
from ros2_dice.dice.device_input import device_input
from ros2_dice.dice.postprocess import PRESENCE_THRESHOLD
from ros2_dice.dice.preprocess import SIZE, Square
from ros2_dice.runtime.protocol import FloatTensor
from ros2_dice.runtime.torch_engine import TorchEngine
from ros2_dice.types import Frame


class Meshes(NamedTuple):
    """Of each crop, about the centroid of the head that is not deformed."""

    hand: Tensor
    """(N, 778, 3) [m]."""
    head: Tensor
    """(N, 5023, 3), deformed [m]."""
    hand_contact: Tensor
    """(N, 778) probability."""
    head_contact: Tensor
    """(N, 5023) probability."""
    presence: Tensor
    """(N, 1) probability."""
    cam_param: Tensor
    """(N, 3)."""


class MeshNetwork(nn.Module):
    """
    Network and bodies as one module, as `postprocess.capture` puts them together.

    Args:
        network: gives a `DiceOutput` or a `ParametricOutput`; in float32 or mixed precision.
        hand: the right hand.
        head: the head.
    """

    keep: Tensor

    def __init__(self, network: nn.Module, hand: ParametricHand, head: ParametricHead) -> None:
        super().__init__()
        self.network = network
        self.hand = TorchHand(hand)
        self.head = TorchHead(head)
        keep = torch.ones(VERTICES, 1)
        keep[torch.as_tensor(head.neck)] = 0.0
        self.register_buffer('keep', keep)

    def forward(self, image: Tensor) -> Meshes:
        """Return meshes of (N, 3, 224, 224)."""
        out = self.network(image)
        hand = self.hand(out.rh_betas, out.rh_rot, out.rh_pose, out.rh_transl).vertices_m
        head = self.head(out.face_shape, out.face_exp, out.face_pose, out.face_rot,
                         out.face_transl).vertices_m
        centre = head.mean(1, keepdim=True)
        touching = out.presence[:, :, None] > PRESENCE_THRESHOLD
        deformation = torch.where(touching, out.deform_ungated * self.keep, 0.0)
        return Meshes(hand - centre, head - centre - deformation,
                      torch.minimum(out.hand_contact.flatten(1), out.presence),
                      torch.minimum(out.head_contact.flatten(1), out.presence),
                      out.presence, out.cam_param)


class DevicePath:
    """
    Runs frames of one size.

    Args:
        module: on the device.
        width_px, height_px: of the frames.
        batch: crops of a frame.
        device: cpu or cuda:N.
        precision: what the network computes in, for the record.
        threads: CPU threads on a CPU.

    Raises:
        OutOfMemory: the device has too little.
    """

    def __init__(self, module: MeshNetwork, width_px: int, height_px: int, *, batch: int = 1,
                 device: str = 'cpu', precision: str = 'fp32', threads: int = 0) -> None:
        self._engine = TorchEngine(module, 'image', (batch, 3, SIZE, SIZE), Meshes._fields,
                                   device=device, precision=precision, threads=threads)
        pinned = device != 'cpu'
        self._host = torch.zeros(height_px, width_px, 3, dtype=torch.uint8, pin_memory=pinned)
        self._frame = self._host.to(device)

    def run(self, frame: Frame, squares: Sequence[Square]) -> Mapping[str, FloatTensor]:
        """
        Return the arrays of `Meshes`, valid until the next call.

        Args:
            frame: of the size that was given.
            squares: as many as the batch has.
        """
        self._host.numpy()[:] = frame.pixels
        with self._engine.on_stream():
            if self._frame is not self._host:
                self._frame.copy_(self._host, non_blocking=True)
            self._engine.device_input.copy_(
                device_input(self._frame, squares, rgb=frame.channel_order == 'rgb'))
            return self._engine.run_in_place()

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()
