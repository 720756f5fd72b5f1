# SPDX-License-Identifier: Apache-2.0
"""
From a frame in host memory to meshes in host memory on a device, with few copies on the way.

The frame goes up once; all crops are made there, where the network reads them, and what it says
comes back in one copy. The filters over parameters lie between network and bodies and stay on the
host: 223 numbers of each hand go up again, and all bodies of a frame come back in one copy. Host
buffers are pinned and reused. On a CPU the same code runs; tests do.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ros2_dice.bodies import ParametricHand, ParametricHead, PosedBody
from ros2_dice.bodies.torch_bodies import TorchHand, TorchHead
from ros2_dice.dice.device_input import device_input
from ros2_dice.dice.postprocess import Outputs
from ros2_dice.dice.preprocess import Square
from ros2_dice.dice.rungs import INPUT
from ros2_dice.errors import EngineError
from ros2_dice.runtime.batching import Batches
from ros2_dice.runtime.protocol import Engine, FloatTensor, on_device
from ros2_dice.runtime.torch_engine import TorchEngine, out_of_memory_named
from ros2_dice.types import Frame

_POSES = {'rh_betas': 10, 'rh_rot': 3, 'rh_pose': 45, 'rh_transl': 3, 'face_shape': 100,
          'face_exp': 50, 'face_pose': 6, 'face_rot': 3, 'face_transl': 3}
"""What bodies are posed by, in the order of `BodyNetwork`'s input."""
_RESULTS = ('hand_vertices', 'hand_joints', 'hand_rotations',
            'head_vertices', 'head_joints', 'head_rotations')


class BodyNetwork(nn.Module):
    """
    Both bodies as one module.

    Args:
        hand: the right hand.
        head: the head.
    """

    def __init__(self, hand: ParametricHand, head: ParametricHead) -> None:
        super().__init__()
        self.hand = TorchHand(hand)
        self.head = TorchHead(head)

    def forward(self, poses: Tensor) -> tuple[Tensor, ...]:
        """Return vertices, joints [m] and rotations of hands and heads for numbers (N, 223)."""
        parts = poses.split(list(_POSES.values()), 1)
        return (*self.hand(*parts[:4]), *self.head(*parts[4:]))


class DevicePath:
    """
    What a frame passes through on a device, beside the network.

    Args:
        hand: the RIGHT hand.
        head: the head.
        device: cpu or cuda:N.
        threads: CPU threads on a CPU.

    Raises:
        OutOfMemory: the device has too little even for one hand.
    """

    def __init__(self, hand: ParametricHand, head: ParametricHead, device: str,
                 threads: int = 0) -> None:
        self.device = device
        with out_of_memory_named('bodies'):
            module = BodyNetwork(hand, head).eval().requires_grad_(False).to(device)
        self._bodies: Batches[TorchEngine] = Batches(lambda size: TorchEngine(
            module, 'poses', (size, sum(_POSES.values())), _RESULTS, device=device,
            threads=threads))
        self._bodies.prepare()
        self._host = torch.zeros(0, 0, 3, dtype=torch.uint8)
        self._frame = self._host

    def outputs(self, engines: Batches[Engine], frame: Frame, squares: Sequence[Square],
                ) -> Mapping[str, FloatTensor]:
        """
        Return what the network says about squares of a frame, arrays (N, ...).

        Args:
            engines: each a `DeviceEngine` on this device.
            frame: of any size; another than the last one's costs new buffers.
            squares: at least one.

        Raises:
            OutOfMemory: the device has too little even for one.
            EngineError: the engine fails.
        """
        sent = False

        def work(engine: Engine, rows: list[int]) -> Mapping[str, FloatTensor]:
            nonlocal sent
            there = on_device(engine)
            if there is None:
                raise EngineError(f'the {engine.name} engine', state='not on a device',
                                  expected='one whose input can be filled there')
            with there.on_stream():
                if not sent:
                    self._send(frame)
                there.place(INPUT).copy_(device_input(
                    self._frame, [squares[row] for row in rows],
                    rgb=frame.channel_order == 'rgb'))
                outputs = there.run_in_place()  # waits: the frame is there, too
            sent = True
            return outputs

        return engines.run(len(squares), work)

    def posed(self, rows: Sequence[Outputs]) -> list[tuple[PosedBody, PosedBody]]:
        """
        Return hand and head of each row, as `ParametricHand.posed` and `ParametricHead.posed` do.

        Args:
            rows: at least one.

        Raises:
            OutOfMemory: the device has too little even for one.
        """
        found = self._bodies.infer({'poses': np.stack([
            np.concatenate([getattr(row, name) for name in _POSES]).astype(np.float32)
            for row in rows])})
        arrays = [found[name].astype(np.float64) for name in _RESULTS]
        return [(PosedBody(*(array[row] for array in arrays[:3])),
                 PosedBody(*(array[row] for array in arrays[3:]))) for row in range(len(rows))]

    def close(self) -> None:
        """Release the device's memory."""
        self._bodies.close()
        self._host = self._frame = torch.zeros(0, 0, 3, dtype=torch.uint8)

    def _send(self, frame: Frame) -> None:
        """Send a frame to the device."""
        pinned = self.device != 'cpu'
        if self._host.shape != frame.pixels.shape:
            self._host = torch.zeros(frame.pixels.shape, dtype=torch.uint8, pin_memory=pinned)
            self._frame = self._host.to(self.device)  # itself on a CPU
        self._host.numpy()[:] = frame.pixels
        if pinned:
            self._frame.copy_(self._host, non_blocking=True)
