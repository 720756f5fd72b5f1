# SPDX-License-Identifier: Apache-2.0
"""All ways to run the network of DICE, best first, and what says how far each is from fp32."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from ros2_dice.assets import find_asset
from ros2_dice.bodies import ParametricHand, ParametricHead, load_open_bodies
from ros2_dice.dice.stored import LIMITS, make_measure, stored_pictures
from ros2_dice.runtime.cache import EngineCache
from ros2_dice.runtime.engine_file import Entry, Sample
from ros2_dice.runtime.onnx_rung import OnnxRung
from ros2_dice.runtime.openvino_rung import SCANNED, OpenVinoRung
from ros2_dice.runtime.rung import Referee, Rung, run_sample
from ros2_dice.runtime.tensorrt_rung import TensorRtRung
from ros2_dice.runtime.torch_rung import TorchRung

if TYPE_CHECKING:
    import torch

INPUT = 'image'
SHAPE = (3, 224, 224)

_CODE = ('dice/network.py', 'dice/heads.py', 'dice/hrnet.py', 'dice/hrnet_blocks.py',
         'dice/tokens.py', 'dice/transformer.py', 'dice/simplified', 'runtime/export.py',
         'runtime/torch_mixed.py', 'dice/stored.py')


@dataclass(frozen=True, eq=False)
class Weights:
    """What makes one network out of the architecture."""

    weights_hash: str
    load: Callable[[], torch.nn.Module]
    """Returns the network as published; called when it is needed, and once."""
    hand: Mapping[str, np.ndarray]
    head: Mapping[str, np.ndarray]
    """Arrays of the bodies: differences are measured on posed vertices."""

    @classmethod
    def of(cls, model: Any) -> Weights:
        """Return the weights of an `ImportedModel`."""
        def load() -> torch.nn.Module:
            from ros2_dice.dice.network import DiceNetwork

            return DiceNetwork.from_tensors(model.tensors, model.references, model.heads)

        return cls(model.weights_hash, load, model.hand, model.head)

    @classmethod
    def by_formula(cls, seed: int = 0) -> Weights:
        """Return weights that mean nothing but have all sizes and costs of real ones."""
        from ros2_dice.dice.standin import standin_hand, standin_head, standin_references

        def load() -> torch.nn.Module:
            from ros2_dice.dice.network import DiceNetwork
            from ros2_dice.dice.weight_formula import formula_weights

            return DiceNetwork.from_tensors(formula_weights(seed), standin_references(seed))

        return cls(f'formula-{seed}', load, standin_hand(seed), standin_head(seed))


class DiceNetworks:
    """
    The network in the forms that engines are built from, each made when it is first asked for.

    Args:
        weights: of the network.
        cache: keeps the reference outputs.
        threads: CPU threads.
    """

    def __init__(self, weights: Weights, cache: EngineCache, threads: int) -> None:
        self.weights = weights
        self.cache = cache
        self.threads = threads
        # Gone with the last engine that uses them.
        self._placed: WeakValueDictionary[tuple[str, ...], torch.nn.Module] = \
            WeakValueDictionary()
        self.referee = Referee(self._reference, lambda *pair: self._measure(*pair), LIMITS)

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """Return weights and code: what every engine depends on beside its library."""
        return {'weights': self.weights.weights_hash, 'network': _code_digest()}

    @cached_property
    def published(self) -> torch.nn.Module:
        """Return the network as published, in fp32."""
        return self.weights.load().eval().requires_grad_(False)

    @cached_property
    def simplified(self) -> torch.nn.Module:
        """Return the same in fewer steps, in fp32."""
        from ros2_dice.dice.simplified import simplify

        return simplify(self.published)  # type: ignore[arg-type]

    @cached_property
    def program(self) -> Any:
        """Return the simplified network as an exported program for batches of 1 to 4."""
        from ros2_dice.runtime.export import export_program

        return export_program(self.simplified, INPUT, SHAPE)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the outputs."""
        from ros2_dice.dice.network import DiceOutput

        return DiceOutput._fields

    def openvino(self, batch: int) -> Any:
        """Return an OpenVINO model in fp32 with a batch."""
        model = self._openvino.clone()
        model.reshape([batch, *SHAPE])
        return model

    @cached_property
    def _openvino(self) -> Any:
        from ros2_dice.runtime.export import to_openvino

        return to_openvino(self.program, self.names)

    def module(self, precision: str, *, open_attention: bool = False) -> torch.nn.Module:
        """Return the network in a precision, in mixed precision but for fp32."""
        if precision == 'fp32':
            return self.simplified
        import torch

        from ros2_dice.runtime.torch_mixed import lowered

        dtype = {'fp16': torch.float16, 'bf16': torch.bfloat16}[precision]
        return lowered(self.program, dtype, open_attention=open_attention)

    def onnx(self, precision: str, batch: int) -> bytes:
        """Return an ONNX file, strongly typed where it is mixed; batch 0 = free from 1 to 4."""
        from ros2_dice.runtime.export import to_onnx

        module = self.module(precision, open_attention=True)
        return to_onnx(module, INPUT, SHAPE, self.names, batch)

    def rungs(self, *, device: str = 'cuda:0', batch: int = 1, every: bool = False,
              ) -> tuple[Rung, ...]:
        """
        Return all engines, best first.

        Args:
            device: of the GPU.
            batch: of the engines.
            every: also those that take minutes at each start, which nobody would choose.
        """
        openvino = [OpenVinoRung(precision, lambda: self.openvino(batch), self.referee,
                                 threads=self.threads, batch=batch, variant=variant)
                    for precision, variant in (('int8', ''), ('bf16', ''), ('bf16', SCANNED),
                                               ('fp32', ''))]
        tensorrt = [TensorRtRung(library, lambda: self.onnx('fp16', batch), device=device,
                                 precision='fp16', batch=batch)
                    for library in ('tensorrt', 'tensorrt_rtx')]
        graphs = [TorchRung(self.module, INPUT, SHAPE, self.names, device=device,
                            precision=precision, batch=batch, placed=self._placed)
                  for precision in ('fp16', 'fp32')]
        graphs += [TorchRung(self.module, INPUT, SHAPE, self.names, device=device,
                             precision='fp16', batch=batch, compiled=True,
                             placed=self._placed)] * every
        onnx = OnnxRung(lambda: self.onnx('fp32', batch), threads=self.threads, batch=batch)
        torch = TorchRung(self.module, INPUT, SHAPE, self.names, batch=batch,
                          threads=self.threads)
        return (*tensorrt, *graphs, *openvino, onnx, torch)

    @cached_property
    def _measure(self) -> Callable[..., dict[str, float]]:
        guides = load_open_bodies(find_asset('open_bodies'))
        measure = make_measure(ParametricHand(self.weights.hand, guides.hand_right),
                               ParametricHead(self.weights.head, guides.head))
        return measure

    def _reference(self) -> Sample:
        """Return the stored pictures and what the network makes of them in fp32."""
        key = {**self.identity, 'engine': 'reference', 'precision': 'fp32'}
        entry = self.cache.find(key)
        if entry is not None and entry.proof is not None:
            return entry.proof
        from ros2_dice.runtime.torch_engine import TorchEngine

        inputs = {INPUT: stored_pictures()}
        engine = TorchEngine(self.simplified, INPUT, (1, *SHAPE), self.names,
                             threads=self.threads)
        sample = Sample(inputs, run_sample(engine, inputs))
        with self.cache.locked(key):
            self.cache.store(Entry(key, memoryview(b''), sample, {}))
        return sample


def _code_digest() -> str:
    """Return a digest of all code that shapes the network: other code, other engines."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for name in _CODE:
        path = root / name
        for file in sorted(path.glob('*.py')) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
