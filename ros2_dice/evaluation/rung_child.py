# SPDX-License-Identifier: Apache-2.0
"""
One way to run the network of DICE, in a process of its own: `python -m ... WAY OPTIONS`.

Reads a JSON command a line and answers each with a JSON object a line. The process is what makes
start times and memory honest: nothing is warm, and nothing belongs to another engine.
"""
from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from ros2_dice.dice.choosing import make_ladder
from ros2_dice.dice.rungs import INPUT, SHAPE, Weights
from ros2_dice.errors import DiceError
from ros2_dice.parameters import Settings
from ros2_dice.runtime.batching import Batches
from ros2_dice.runtime.ladder import Ladder
from ros2_dice.runtime.protocol import Engine, on_device
from ros2_dice.runtime.rung import Choice, Rung, State, Verdict, run_sample, silent
from ros2_dice.runtime.serving import ServingEngine

REFERENCE, SIMPLIFIED = 'reference_eager', 'simplified_eager'
"""Ways that are no rungs: the network as published, and simplified, in torch as it is."""
_WARM_UPS = 3


class Child:
    """
    Answers commands about one way.

    Args:
        way: `REFERENCE`, `SIMPLIFIED`, or `engine-precision[-variant]` of a rung.
        weights: of the network.
        settings: `backend.*` are read.
        started_s: when the process was started, by the clock of `time.time`.
    """

    def __init__(self, way: str, weights: Weights, settings: Settings, started_s: float) -> None:
        self._way = way
        self._started_s = started_s
        self._settings = settings
        self._weights = weights
        self._ladder, self._networks = make_ladder(weights, settings)
        self._engine: Engine | None = None
        self._payloads: dict[int, memoryview] = {}

    def answer(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a command; its key `do` names a method."""
        return {'start': self.start, 'time': self.time, 'differences': self.differences,
                'batch': self.batch, 'path': self.path}[command['do']](command)

    def start(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Load, build where needed, and give a first result."""
        built = False
        difference: Mapping[str, float] | None = None
        if self._way in (REFERENCE, SIMPLIFIED):
            self._engine = self._sized(1)
        else:
            rung = self._rung(1)
            key = self._ladder.key(rung)
            entry = self._networks.cache.find(key) if rung.built else None
            if entry is not None and entry.payload:
                self._engine = rung.load(entry.payload)
                difference = entry.facts.get('difference')  # type: ignore[assignment]
            else:
                built = rung.built
                self._engine, difference = _build(self._ladder, rung)
        self._engine.infer({INPUT: np.zeros((1, *SHAPE), np.float32)})
        return {'first_result_s': time.time() - self._started_s, 'built': built,
                'difference': difference}

    def time(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Time runs of the engine in use."""
        assert self._engine is not None
        return {'times_s': timed(self._engine, command['runs']), 'memory_mib': resident_mib(),
                'device_memory_mib': device_mib(self._engine.device)}

    def differences(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Return the largest difference of each output to fp32 on the stored pictures."""
        assert self._engine is not None
        reference = self._networks.referee.reference
        outputs = run_sample(self._engine, reference.inputs)
        found, _ = self._networks.referee.compare(self._engine)
        return {'outputs': {name: float(np.abs(values - reference.outputs[name]).max())
                            for name, values in outputs.items()}, 'difference': found}

    def batch(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Time a batch of another size on an engine that is built for it and not kept."""
        assert self._engine is not None
        self._engine.close()
        self._engine = self._sized(command['size'])
        return {'times_s': timed(self._engine, command['runs'])}

    def path(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Time frames from host memory to meshes in host memory, as the estimator makes them."""
        from ros2_dice.assets import find_asset
        from ros2_dice.bodies import ParametricHand, ParametricHead, load_open_bodies
        from ros2_dice.dice.inference import Inference
        from ros2_dice.dice.postprocess import Behaviour
        from ros2_dice.dice.preprocess import Square
        from ros2_dice.types import Frame

        assert self._engine is not None
        self._engine.close()
        engine, size = self._sized(1), command['batch']
        guides = load_open_bodies(find_asset('open_bodies'))
        batches = Batches(self._sized, tuple({1, size}), single=engine) \
            if on_device(engine) is not None else None
        verdict = Verdict(engine.name, engine.precision, '', engine.device, State.CHOSEN)
        inference = Inference(ServingEngine(Choice(engine, verdict, (verdict,), batches=batches)),
                              ParametricHand(self._weights.hand, guides.hand_right),
                              ParametricHead(self._weights.head, guides.head))
        width_px, height_px = command['size_px']
        pixels = np.random.default_rng(2).integers(0, 256, (height_px, width_px, 3), np.uint8)
        frame = Frame(pixels, 0)
        squares = [Square(100 + 40 * row, 60, 500) for row in range(size)]
        blas = ThreadpoolController().select(user_api='blas')
        times_s = []
        for _ in range(command['runs'] + _WARM_UPS):
            began_s = time.perf_counter()
            rows = inference.outputs(frame, squares, exact=False)
            with blas.limit(limits=1):  # as the estimator does
                inference.captured(rows, Behaviour())
            times_s.append(time.perf_counter() - began_s)
        inference.close()
        return {'times_s': times_s[_WARM_UPS:]}

    def _sized(self, size: int) -> Engine:
        """Return an engine of this way for a batch; what is built for another than 1 is lost."""
        if self._way in (REFERENCE, SIMPLIFIED):
            from ros2_dice.runtime.torch_engine import TorchEngine

            module = self._networks.published if self._way == REFERENCE \
                else self._networks.simplified
            return TorchEngine(module, INPUT, (size, *SHAPE), self._networks.names,
                               threads=self._networks.threads)
        rung = self._rung(size)
        if not rung.built:
            return rung.load(memoryview(b''))
        if size not in self._payloads:
            entry = self._networks.cache.find(self._ladder.key(rung))
            self._payloads[size] = entry.payload if entry is not None and entry.payload \
                else memoryview(rung.build(silent))
        return rung.load(self._payloads[size])

    def _rung(self, batch: int) -> Rung:
        device = self._settings.text('backend.device')
        for rung in self._networks.rungs(
                device=device if device.startswith('cuda') else 'cuda:0', batch=batch,
                every=True):
            if way_of(rung) == self._way:
                return rung
        raise KeyError(self._way)


def way_of(rung: Rung) -> str:
    """Return the name of a rung: `engine-precision[-variant]`."""
    return '-'.join(filter(None, (rung.name, rung.precision, rung.variant)))


def timed(engine: Engine, runs: int) -> list[float]:
    """Return the times of runs [s] on a picture of noise, after one that is not counted."""
    buffer = engine.buffer(INPUT)
    buffer[:] = np.random.default_rng(1).standard_normal(buffer.shape).astype(np.float32)
    engine.infer({INPUT: buffer})
    times_s = []
    for _ in range(runs):
        began_s = time.perf_counter()
        engine.infer({INPUT: buffer})
        times_s.append(time.perf_counter() - began_s)
    return times_s


def resident_mib() -> float:
    """Return what this process holds in memory now [MiB]."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 2**20


def device_mib(device: str) -> float:
    """Return what is taken on the GPU [MiB], by all processes; 0 on a CPU."""
    if device == 'cpu':
        return 0.0
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return (total - free) / 2**20


def _build(ladder: Ladder, rung: Rung) -> tuple[Engine, Mapping[str, float] | None]:
    """Return the engine of one rung, built and kept whatever its difference."""
    obstacle = rung.obstacle()
    if obstacle:
        raise DiceError(f'{way_of(rung)} can not run here', next_step=obstacle)
    return ladder.build_one(rung)


def main() -> None:
    """Answer commands until there are no more."""
    parser = argparse.ArgumentParser()
    parser.add_argument('way')
    parser.add_argument('--started', type=float, required=True)
    parser.add_argument('--threads', type=int, required=True)
    parser.add_argument('--device', default='auto')
    parser.add_argument('--cache-directory', default='')
    parser.add_argument('--model', default='')
    parser.add_argument('--directory', default='')
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # libraries print elsewhere
    settings = Settings({
        'backend.threads': given.threads, 'backend.device': given.device,
        'backend.cache_directory': given.cache_directory})
    try:
        child = Child(given.way, _weights(given.model, given.directory), settings, given.started)
        for line in sys.stdin:
            row = child.answer(json.loads(line))
            row['peak_mib'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
            answers.write(json.dumps(row) + '\n')
    except DiceError as error:
        answers.write(json.dumps({'error': error.text()}) + '\n')
        sys.exit(1)


def _weights(model: str, directory: str) -> Weights:
    if not model:
        return Weights.by_formula()
    from ros2_dice.dice.folder import model_folder
    from ros2_dice.dice.imported import load_imported

    return Weights.of(load_imported(Path(model_folder(model, directory))))


if __name__ == '__main__':
    main()
