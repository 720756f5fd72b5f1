# SPDX-License-Identifier: Apache-2.0
"""The path on an engine's device gives what the host's own steps give; here on torch's CPU."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from standin_scene import answer, frame_at, make, person, tracked

from ros2_dice.dice.postprocess import Outputs
from ros2_dice.parameters import Settings
from ros2_dice.runtime.batching import RECOVER_AFTER, Batches
from ros2_dice.runtime.protocol import Engine, OutOfMemory
from ros2_dice.runtime.rung import Choice, State, Verdict
from ros2_dice.runtime.serving import ServingEngine
from ros2_dice.types import Frame, Handedness

torch = pytest.importorskip('torch')

NAMES = tuple(answer())
SETTINGS = Settings({'model.id': 'dice_standin'})


class Network(torch.nn.Module):
    """Answers by formula, moved by the brightness of each crop."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [{name: torch.from_numpy(values) for name, values in answer(seed).items()}
                     for seed in (0, 1)]

    def forward(self, image: Any) -> Any:
        bright = torch.sigmoid(image.mean((1, 2, 3)))
        return tuple(torch.stack([(1.0 - share) * self.rows[0][name] + share * self.rows[1][name]
                                  for share in bright]) for name in NAMES)


class Device:
    """Makes engines that say they are on a device, with room for so many crops at once."""

    def __init__(self, *, there: bool = True, room: int = 8) -> None:
        self.there, self.room = there, room
        self.runs: list[int] = []
        self.said: list[str] = []

    def make(self, size: int) -> Engine:
        from ros2_dice.runtime.torch_engine import TorchEngine, out_of_memory_named

        device = self

        class Module(Network):
            def forward(self, image: Any) -> Any:
                if len(image) > device.room:
                    raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried 2 GiB')
                device.runs.append(len(image))
                return super().forward(image)

        with out_of_memory_named('toy'):
            engine = TorchEngine(Module(), 'image', (size, 3, 224, 224), NAMES, threads=1)
        engine.on_device = self.there
        self.runs.clear()
        return engine

    def choice(self) -> Choice:
        engine = self.make(1)
        verdict = Verdict(engine.name, engine.precision, '', engine.device, State.CHOSEN)
        batches: Batches[Engine] | None = None
        if self.there:
            batches = Batches(self.make, single=engine, say=self.said.append)
            batches.prepare()
        return Choice(engine, verdict, (verdict,), batches=batches)


@pytest.fixture
def estimator_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Any]]:
    """`estimator_on(device, settings)`: an estimator and its tracker."""
    from ros2_dice import dice_estimator

    def build(device: Device, settings: Settings = SETTINGS) -> tuple[Any, Any]:
        serving = ServingEngine(device.choice())
        monkeypatch.setattr(dice_estimator, 'engine_for', lambda model, given: serving)
        monkeypatch.setattr('standin_scene.ScriptedEngine', lambda rows, batch: None)
        estimator, _, tracker = make(monkeypatch, [answer()], settings)
        return estimator, tracker

    return build


def noise(number: int, width: int = 640, height: int = 480) -> Frame:
    """Return a picture of blobs, so that every crop is another one."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (height // 40, width // 40, 3), np.uint8)
    return Frame(small.repeat(40, 0).repeat(40, 1), 40_000_000 * number, 'camera',
                 frame_at().camera, channel_order='bgr' if number % 2 else 'rgb')


def people() -> tuple[Any, ...]:
    """Return two people, one with both hands."""
    return (person(tracked('h0000', Handedness.RIGHT, 250.0),
                   tracked('h0001', Handedness.LEFT, 400.0)),
            person(tracked('h0002', Handedness.RIGHT, 120.0), person_id='p0001', cx_px=120.0))


def assert_same(found: Any, wanted: Any) -> None:
    """Compare two results: crops differ by a grey level here and there."""
    assert [(one.person_id, one.hand_id) for one in found] == [
        (one.person_id, one.hand_id) for one in wanted]
    for one, other in zip(found, wanted):
        for mine, theirs in ((one.hand, other.hand), (one.face, other.face)):
            np.testing.assert_allclose(mine.vertices_m, theirs.vertices_m, atol=1e-3)
            np.testing.assert_allclose(mine.contact, theirs.contact, atol=1e-3)
        np.testing.assert_allclose(one.joints.positions_m, other.joints.positions_m, atol=1e-3)
        assert one.contact_probability == pytest.approx(other.contact_probability, abs=1e-3)


@pytest.mark.parametrize('smooth', [False, True])
def test_the_estimator_is_the_same_on_a_device(estimator_on: Any, smooth: bool) -> None:
    settings = SETTINGS.replace({'smoothing.enabled': smooth})
    device = Device()
    there, tracker_there = estimator_on(device, settings)
    here, tracker_here = estimator_on(Device(there=False), settings)
    tracker_there.people = tracker_here.people = people()
    assert there.model_id == here.model_id
    for number in range(1, 4):
        assert_same(there.estimate(noise(number)), here.estimate(noise(number)))
    assert device.runs == [4, 4, 4], 'three hands in one batch'
    assert there.stage_times_s.keys() == here.stage_times_s.keys()
    there.close()
    here.close()


def test_frames_of_another_size_and_without_anybody(estimator_on: Any) -> None:
    there, tracker_there = estimator_on(Device())
    here, tracker_here = estimator_on(Device(there=False))
    tracker_there.people = tracker_here.people = people()[1:]
    for frame in (noise(1), noise(2, 1280, 720), noise(3)):
        assert_same(there.estimate(frame), here.estimate(frame))
    tracker_there.people = ()
    assert there.estimate(noise(4)) == ()


def test_the_exact_filter_stays_on_the_host(estimator_on: Any) -> None:
    settings = SETTINGS.replace({'dice.exact_resize': True})
    there, tracker_there = estimator_on(Device(), settings)
    here, tracker_here = estimator_on(Device(there=False), settings)
    tracker_there.people = tracker_here.people = people()
    assert_same(there.estimate(noise(1)), here.estimate(noise(1)))
    assert there.stage_times_s['crop'] > 0.0


def test_out_of_memory_steps_the_batch_down_and_recovers(estimator_on: Any) -> None:
    device = Device()
    there, tracker = estimator_on(device)
    here, tracker_here = estimator_on(Device(there=False))
    tracker.people = tracker_here.people = people()
    device.room = 2  # as if another program had taken the rest
    assert_same(there.estimate(noise(1)), here.estimate(noise(1)))
    assert device.runs == [2, 1]
    assert 'out of memory for 4' in device.said[-1]
    device.room = 8
    with there._engine.lent() as choice:
        for _ in range(RECOVER_AFTER):
            choice.batches.infer({'image': np.zeros((1, 3, 224, 224), np.float32)})
    device.runs.clear()
    assert len(there.estimate(noise(2))) == 3
    assert device.runs == [4]


def test_not_even_one_is_an_error_and_the_next_frame_is_tried_again(estimator_on: Any) -> None:
    device = Device()
    there, tracker = estimator_on(device)
    tracker.people = people()
    device.room = 0
    with pytest.raises(OutOfMemory, match='batch of 1'):
        there.estimate(noise(1))
    device.room = 1
    assert len(there.estimate(noise(2))) == 3


def test_a_size_that_is_not_built_is_done_without() -> None:
    from ros2_dice.errors import EngineError

    device = Device()

    def make(size: int) -> Engine:
        if size == 2:
            raise EngineError('engine of 2', state='not built')
        return device.make(size)

    batches = Batches(make, say=device.said.append)
    batches.prepare()
    assert 'engine of 2 is not built' in device.said[0]
    assert len(batches.infer({'image': np.zeros((2, 3, 224, 224), np.float32)})['presence']) == 2
    assert device.runs == [4]


def test_changing_over_from_the_cpu_to_a_device(estimator_on: Any) -> None:
    there, tracker = estimator_on(Device(there=False))
    here, tracker_here = estimator_on(Device(there=False))
    tracker.people = tracker_here.people = people()
    device = Device()
    for number in range(1, 6):
        assert_same(there.estimate(noise(number)), here.estimate(noise(number)))
        if number == 2:
            there._engine.offer(device.choice())
        if number == 4:
            there._engine.offer(Device(there=False).choice())
    assert device.runs == [4, 4]


def test_bodies_of_the_device_are_those_of_the_host(estimator_on: Any) -> None:
    from ros2_dice.dice.postprocess import capture

    there, _ = estimator_on(Device())
    rows = [Outputs.row({name: values[None] for name, values in answer(seed).items()}, 0)
            for seed in range(3)]
    for row, found in zip(rows, there._inference.captured(rows, there._behaviour)):
        wanted = capture(row, there._right, there._head, there._behaviour)
        for mine, theirs in ((found.hand, wanted.hand), (found.head, wanted.head)):
            np.testing.assert_allclose(mine.vertices_m, theirs.vertices_m, atol=1e-5)
            np.testing.assert_allclose(mine.joints_m, theirs.joints_m, atol=1e-5)
            np.testing.assert_allclose(mine.rotations, theirs.rotations, atol=1e-5)
        np.testing.assert_array_equal(found.deformation_m, wanted.deformation_m)
