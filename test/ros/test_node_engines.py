# SPDX-License-Identifier: Apache-2.0
"""Engines of the running node: changed over to between two frames, and built by the action."""
from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from fakes import FakeEstimator
from rclpy.action.client import ActionClient
from toy_build import ERROR, toy_ladder

from ros2_dice.action import BuildEngine
from ros2_dice.dice import choosing
from ros2_dice.msg import HandFaceMeshArray, Statistics
from ros2_dice.parameters import Settings
from ros2_dice.ros import engine_action
from ros2_dice.ros.models import ErrorCode
from ros2_dice.runtime.serving import Builder
from ros2_dice.types import Frame, HandFaceEstimate

WEIGHTS: Any = None


class EngineEstimator(FakeEstimator):
    """Asks its engine about every frame before it says what it finds."""

    def __init__(self, settings: Settings) -> None:
        self.upgrade = choosing.Upgrade(WEIGHTS, settings)
        self.answers: list[float] = []
        super().__init__(settings)

    @property
    def model_id(self) -> str:
        """Return the name with that of the engine in use."""
        return f'{self.settings.text("model.id")}/{self.upgrade.name}-{self.upgrade.precision}'

    @model_id.setter
    def model_id(self, value: str) -> None:
        pass

    def look(self, frame: Frame) -> tuple[HandFaceEstimate, ...]:
        """Return the one estimate."""
        answer = self.upgrade.infer({'x': np.ones((1, 3), np.float32)})
        self.answers.append(float(answer['y'][0, 0]))
        return super().look(frame)

    def close(self) -> None:
        """Release the engine."""
        super().close()
        self.upgrade.close()


@pytest.fixture
def toys(tmp_path, monkeypatch, factory):
    """Let estimators have toy engines, the better one built once the file `go` is there."""
    go, folder = tmp_path / 'go', tmp_path / 'engines'
    monkeypatch.setattr(choosing, 'make_ladder',
                        lambda weights, settings, say: (toy_ladder(folder), None))
    monkeypatch.setattr(choosing, 'build_command', lambda settings: [
        sys.executable, str(Path(__file__).parent / 'toy_build.py'), str(go), str(folder)])

    def make(settings: Any) -> Any:
        factory.made.append(EngineEstimator(settings))
        return factory.newest

    monkeypatch.setattr(type(factory), '__call__', lambda self, settings: make(settings))
    return go


def test_no_frame_is_lost_while_the_engine_changes(make_dice, node, camera, factory, toys,
                                                   wait_until):
    statistics: list[Statistics] = []
    node.create_subscription(Statistics, '/dice/statistics', statistics.append, 10)
    dice = make_dice()
    camera.connect(dice)
    assert camera.look(1).model_id == 'open/torch-fp32'
    assert wait_until(lambda: statistics and statistics[-1].backend == 'torch')
    assert statistics[-1].max_vertex_error == 0.0
    count = 1

    def changed() -> bool:
        nonlocal count
        count += 1
        return camera.look(count).model_id == 'open/openvino-fp32'

    assert not changed(), 'it serves while the better one is being built'
    toys.touch()
    assert wait_until(changed, 90)
    for _ in range(3):
        assert changed()
    assert len(camera.meshes) == count
    assert all(mesh.status == HandFaceMeshArray.STATUS_OK for mesh in camera.meshes)
    answers = factory.newest.answers
    assert len(answers) == count
    assert answers == sorted(answers), 'first the one, then the other'
    assert answers[0] == 2.0
    assert math.isclose(answers[-1], 2.0 + ERROR, rel_tol=1e-6)
    assert wait_until(lambda: statistics[-1].published == count)
    last = statistics[-1]
    assert (last.received, last.processed, last.failed_estimator) == (count, count, 0)
    assert last.engine_id.startswith('openvino-fp32')
    assert last.max_vertex_error == pytest.approx(ERROR, rel=1e-2)
    assert last.max_contact_error == 0.0


class Goals:
    """Sends goals of the action to a node, with a script in place of `build-engine`."""

    def __init__(self, node: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.builders: list[Builder] = []
        self.feedback: list[Any] = []
        self._wait_until = wait_until
        self._executor = node.executor
        self._patch = monkeypatch
        self.client = ActionClient(node, BuildEngine, '/dice/build_engine')
        monkeypatch.setattr(engine_action, 'check_model', lambda name, directory: None)
        assert self.client.wait_for_server(60)

    def script(self, code: str) -> None:
        """Let this Python code be the build from now on."""
        def start(settings: Any, force: bool, on_progress: Any, on_done: Any) -> Builder:
            self.builders.append(Builder([sys.executable, '-c', code], on_progress=on_progress,
                                         on_done=on_done))
            return self.builders[-1]

        self._patch.setattr(engine_action, 'engine_build', start)

    def send(self) -> Any:
        """Send a goal and return its handle."""
        async def run() -> Any:
            return await self.client.send_goal_async(
                BuildEngine.Goal(model_id='dice'), feedback_callback=self.feedback.append)

        return self._await(run)

    def result(self, handle: Any) -> Any:
        """Return the answer to a goal, with its status."""
        async def run() -> Any:
            return await handle.get_result_async()

        return self._await(run)

    def cancel(self, handle: Any) -> None:
        """Ask for the end of a goal."""
        async def run() -> Any:
            return await handle.cancel_goal_async()

        self._await(run)

    def _await(self, coroutine: Any) -> Any:
        # On the executor's thread, as rclpy's clients need it.
        task = self._executor.create_task(coroutine)
        assert self._wait_until(task.done, 90)
        return task.result()


@pytest.fixture
def goals(make_dice, node, wait_until, monkeypatch):
    make_dice(active=False)
    goals = Goals(node, wait_until, monkeypatch)
    yield goals
    for builder in goals.builders:
        builder.stop()
    goals.client.destroy()


def test_the_action_builds_an_imported_model(goals, wait_until, tmp_path):
    go = tmp_path / 'go'
    goals.script(f"""
import time
from pathlib import Path
while not Path({str(go)!r}).exists():  # the first may come before anybody listens
    print('{{"stage": "EXPORTING", "progress": 0.1, "detail": "the network"}}', flush=True)
    time.sleep(0.1)
print('{{"stage": "BUILDING", "progress": 0.5, "detail": "the engine"}}')
print('a library says something')
print('{{"engine_id": "toy-1", "build_s": 2.0, "difference": {{"vertices_m": 0.0004}}}}')
""")
    handle = goals.send()
    assert wait_until(lambda: goals.feedback, 90)
    go.touch()
    answer = goals.result(handle)
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert (answer.result.error_code, answer.result.error_msg) == (ErrorCode.NONE, '')
    assert answer.result.engine_id == 'toy-1'
    assert answer.result.build_time > 0.0
    assert math.isclose(answer.result.max_vertex_error, 0.0004, rel_tol=1e-5)
    last = BuildEngine.Feedback.BUILDING
    assert wait_until(lambda: goals.feedback[-1].feedback.stage == last), 'it comes another way'
    assert goals.feedback[0].feedback.stage == BuildEngine.Feedback.EXPORTING
    assert goals.feedback[-1].feedback.detail == 'the engine'


@pytest.mark.parametrize(('row', 'code'), [
    ('{"error": "no room", "what": "building", "kind": "OutOfMemory"}',
     ErrorCode.OUT_OF_MEMORY),
    ('{"error": "broken", "what": "the network", "kind": "EngineError"}',
     ErrorCode.BUILD_FAILED),
    ('{"error": "none can", "what": "parameter backend.precision", "kind": "EngineError"}',
     ErrorCode.PRECISION_UNSUPPORTED)])
def test_a_build_that_fails_says_why(goals, row, code):
    goals.script(f"print('{row}'); raise SystemExit(1)")
    answer = goals.result(goals.send())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.error_code == code
    assert answer.result.error_msg in row


def test_a_build_is_canceled_and_another_one_begins(goals, wait_until):
    goals.script("""
import time
while True:  # the first may come before anybody listens
    print('{"stage": "BUILDING", "progress": 0.5, "detail": "for long"}', flush=True)
    time.sleep(0.1)
""")
    first = goals.send()
    assert wait_until(lambda: goals.feedback, 90)
    second = goals.result(goals.send())
    assert second.result.error_code == ErrorCode.BUSY
    goals.cancel(first)
    answer = goals.result(first)
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert answer.result.error_code == ErrorCode.CANCELED
    assert goals.builders[0].wait(60), 'its process has ended'
    goals.script("print('{\"engine_id\": \"toy-2\"}')")
    assert goals.result(goals.send()).result.engine_id == 'toy-2'
