# SPDX-License-Identifier: Apache-2.0
"""From squares of a frame to meshes about the head: on the host, or on the engine's device."""
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ros2_dice.bodies import ParametricHand, ParametricHead
from ros2_dice.dice.postprocess import Behaviour, Captured, Outputs, capture
from ros2_dice.dice.preprocess import Square, network_input
from ros2_dice.dice.rungs import INPUT
from ros2_dice.runtime.batching import Batches
from ros2_dice.runtime.protocol import Engine, FloatTensor, on_device
from ros2_dice.runtime.rung import run_sample
from ros2_dice.runtime.serving import ServingEngine
from ros2_dice.types import Frame

if TYPE_CHECKING:
    from ros2_dice.dice.device_path import DevicePath


class Inference:
    """
    Asks the engine in use, which may change from frame to frame, and poses the bodies.

    With an engine on a GPU crops, network and bodies of all hands run there, in batches.

    Args:
        engine: see `engines.engine_for`.
        hand: the RIGHT hand.
        head: the head.
    """

    def __init__(self, engine: Engine, hand: ParametricHand, head: ParametricHead) -> None:
        self.engine = engine
        self._hand, self._head = hand, head
        self._path: DevicePath | None = None
        self.stage_times_s: dict[str, float] = {}
        """Of the last call of `outputs`; on a device the crops are part of `network`."""
        with _lent(engine) as (inner, _):  # a first frame is to be as quick as the next
            self._follow(inner)

    def outputs(self, frame: Frame, squares: Sequence[Square], *, exact: bool) -> list[Outputs]:
        """
        Return what the network says about squares of a frame.

        Args:
            squares: none = nothing is asked.
            exact: crop bit for bit as the published script; always on the host.

        Raises:
            EngineError: the engine fails.
        """
        start_s = cropped_s = time.perf_counter()
        self.stage_times_s = {'crop': 0.0, 'network': 0.0}
        if not squares:
            return []
        answers: Mapping[str, FloatTensor]
        with _lent(self.engine) as (inner, batches):
            path = self._follow(inner)
            if path is not None and batches is not None and not exact:
                answers = path.outputs(batches, frame, squares)
            else:
                crops = {INPUT: network_input(frame, squares, exact=exact)}
                cropped_s = time.perf_counter()
                answers = batches.infer(crops) if batches is not None else run_sample(
                    inner, crops)
        self.stage_times_s = {'crop': cropped_s - start_s,
                              'network': time.perf_counter() - cropped_s}
        return [Outputs.row(answers, row) for row in range(len(squares))]

    def captured(self, rows: Sequence[Outputs], behaviour: Behaviour) -> list[Captured]:
        """
        Return the meshes of what the network says, which may have been filtered.

        Raises:
            EngineError: the device fails.
        """
        if self._path is None or not rows:
            return [capture(row, self._hand, self._head, behaviour) for row in rows]
        return [capture(row, self._hand, self._head, behaviour, bodies)
                for row, bodies in zip(rows, self._path.posed(rows))]

    def close(self) -> None:
        """Release engines and buffers."""
        if self._path is not None:
            self._path.close()
        self.engine.close()

    def _follow(self, engine: Engine) -> DevicePath | None:
        """Return the path on the device of the engine in use, None on a CPU."""
        device = engine.device if on_device(engine) is not None else ''
        if self._path is not None and self._path.device != device:
            self._path.close()
            self._path = None
        if device and self._path is None:
            from ros2_dice.dice.device_path import DevicePath

            self._path = DevicePath(self._hand, self._head, device)
        return self._path


@contextmanager
def _lent(engine: Engine) -> Iterator[tuple[Engine, Batches[Engine] | None]]:
    """Lend the engine in use, and the same for several crops at once if there is that."""
    if isinstance(engine, ServingEngine):
        with engine.lent() as choice:
            yield choice.engine, choice.batches
    else:
        yield engine, None
