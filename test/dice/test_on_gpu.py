# SPDX-License-Identifier: Apache-2.0
"""What only a GPU can show; tools/gpu_check.sh runs it where there is one."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')

if not torch.cuda.is_available():
    pytest.skip('torch finds no CUDA device', allow_module_level=True)

DEVICE = 'cuda:0'


@pytest.fixture(scope='module')
def networks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from ros2_dice.dice.rungs import DiceNetworks, Weights
    from ros2_dice.runtime.cache import EngineCache

    return DiceNetworks(Weights.by_formula(), EngineCache(tmp_path_factory.mktemp('cache')), 4)


@pytest.mark.parametrize(('precision', 'bound_m'), [('fp32', 1e-3), ('fp16', 0.1)])
def test_a_recorded_graph_gives_what_the_cpu_gives(
        networks: Any, precision: str, bound_m: float) -> None:
    from ros2_dice.dice.rungs import INPUT, SHAPE
    from ros2_dice.runtime.torch_rung import TorchRung

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    rung = TorchRung(networks.module, INPUT, SHAPE, networks.names, device=DEVICE,
                     precision=precision)
    assert rung.obstacle() == ''
    engine = rung.load(memoryview(b''))
    difference, _ = networks.referee.compare(engine)
    print(precision, difference)
    assert difference['vertices_m'] < bound_m
    first = {name: values.copy() for name, values in engine.infer(
        {INPUT: networks.referee.reference.inputs[INPUT][:1]}).items()}
    again = engine.infer({INPUT: networks.referee.reference.inputs[INPUT][:1]})
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    engine.close()


def test_running_out_of_memory_steps_the_batch_down(networks: Any) -> None:
    from ros2_dice.dice.rungs import INPUT, SHAPE
    from ros2_dice.runtime.batching import Batches
    from ros2_dice.runtime.torch_rung import TorchRung

    def make(size: int) -> Any:
        return TorchRung(networks.module, INPUT, SHAPE, networks.names, device=DEVICE,
                         batch=size).load(memoryview(b''))

    total = torch.cuda.get_device_properties(0).total_memory
    batches = Batches(make)
    images = networks.referee.reference.inputs[INPUT]
    try:
        torch.cuda.set_per_process_memory_fraction(min(1.0, 2.6e9 / total), 0)
        assert len(batches.infer({INPUT: images})['presence']) == 4
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
        batches.close()


def test_frames_to_meshes_on_the_gpu_are_those_of_the_cpu(networks: Any) -> None:
    from ros2_dice.bodies import ParametricHand, ParametricHead, load_open_bodies
    from ros2_dice.dice.inference import Inference
    from ros2_dice.dice.postprocess import Behaviour
    from ros2_dice.dice.preprocess import Square
    from ros2_dice.dice.rungs import INPUT, SHAPE
    from ros2_dice.runtime.batching import Batches
    from ros2_dice.runtime.rung import Choice, State, Verdict
    from ros2_dice.runtime.serving import ServingEngine
    from ros2_dice.runtime.torch_rung import TorchRung
    from ros2_dice.share import share_folder
    from ros2_dice.types import Frame

    def rung(device: str, size: int) -> TorchRung:
        return TorchRung(networks.module, INPUT, SHAPE, networks.names, device=device, batch=size)

    def inference(device: str) -> Inference:
        engine = rung(device, 1).load(memoryview(b''))
        verdict = Verdict(engine.name, engine.precision, '', device, State.CHOSEN)
        batches = None if device == 'cpu' else Batches(
            lambda size: rung(device, size).load(memoryview(b'')), single=engine)
        return Inference(ServingEngine(Choice(engine, verdict, (verdict,), batches=batches)),
                         hand, head)

    guides = load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')
    hand = ParametricHand(networks.weights.hand, guides.hand_right)
    head = ParametricHead(networks.weights.head, guides.head)
    rng = np.random.default_rng(0)
    blobs = rng.integers(0, 256, (18, 32, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    frame = Frame(blobs, 0, channel_order='rgb')
    squares = [Square(100, -40, 500), Square(600, 100, 333, mirrored=True), Square(20, 60, 224)]
    found, wanted = (inference(device) for device in (DEVICE, 'cpu'))
    pairs = zip(*(one.captured(one.outputs(frame, squares, exact=False), Behaviour())
                  for one in (found, wanted)))
    for mine, theirs in pairs:
        # Crops differ by a grey level here and there, which made-up weights amplify.
        np.testing.assert_allclose(mine.hand.vertices_m, theirs.hand.vertices_m, atol=0.02)
        np.testing.assert_allclose(mine.head.vertices_m, theirs.head.vertices_m, atol=0.02)
        np.testing.assert_allclose(mine.head_contact, theirs.head_contact, atol=0.02)
    found.close()
    wanted.close()
