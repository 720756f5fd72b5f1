# SPDX-License-Identifier: Apache-2.0
"""
The action ~/build_engine.

The open estimator's networks are compiled while they are loaded and nothing is kept, so its goal
ends at once with an empty engine_id. For an imported model a process of its own builds; the node
goes on, and changes over to what was built if that is better than what serves.
"""
from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from rclpy.action.server import ActionServer, CancelResponse, ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from ros2_dice import errors
from ros2_dice.action import BuildEngine
from ros2_dice.errors import DiceError, EstimatorError
from ros2_dice.estimator import OPEN, check_model, engine_build
from ros2_dice.parameters import Settings
from ros2_dice.ros.models import ErrorCode, error_code
from ros2_dice.ros.services import POLL_S, next_round

_NEEDED = {'backend.name': ('auto', 'openvino'), 'backend.precision': ('auto', 'fp32')}

Row = Mapping[str, object]


class EngineAction:
    """
    Offers the action of a node, in every state of its life.

    Args:
        settings: returns the node's settings as of now.
        on_built: called after an engine was built.
    """

    def __init__(self, node: Node, settings: Callable[[], Settings],
                 on_built: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._on_built = on_built
        self._logger = node.get_logger()
        self._busy = False
        # In a group of its own: its callback waits, and the node's group goes on meanwhile.
        self._server = ActionServer(
            node, BuildEngine, '~/build_engine', self._execute,  # type: ignore[arg-type]
            callback_group=ReentrantCallbackGroup(),
            cancel_callback=lambda handle: CancelResponse.ACCEPT)

    def close(self) -> None:
        """Take the action down."""
        self._server.destroy()

    async def _execute(self, handle: ServerGoalHandle) -> BuildEngine.Result:
        goal: BuildEngine.Goal = handle.request
        result = BuildEngine.Result(max_vertex_error=math.nan)
        try:
            settings = self._wanted(goal)
        except DiceError as error:
            return self._refuse(handle, result, error_code(error), error.text())
        if settings.text('model.id') == OPEN:
            handle.publish_feedback(BuildEngine.Feedback(
                stage=BuildEngine.Feedback.VERIFYING, progress=1.0, estimated_remaining=0.0,
                detail='the open estimator compiles its networks when it is loaded: nothing to '
                       'build'))
            handle.succeed()
            return result
        if self._busy:
            return self._refuse(handle, result, ErrorCode.BUSY, 'another engine is being built')
        self._busy = True
        try:
            return await self._build(handle, settings, goal.force, result)
        finally:
            self._busy = False

    async def _build(self, handle: ServerGoalHandle, settings: Settings, force: bool,
                     result: BuildEngine.Result) -> BuildEngine.Result:
        start_s = time.perf_counter()
        rows: deque[Row] = deque()
        ended = threading.Event()
        words: list[str] = []
        last: Row = {}

        def done(error: str) -> None:
            words.append(error)
            ended.set()

        process = engine_build(settings, force, rows.append, done)
        process.start()
        while not (ended.wait(POLL_S) and not rows):
            while rows:
                last = rows.popleft()
                if last.get('stage'):
                    handle.publish_feedback(_feedback(last, time.perf_counter() - start_s))
            if handle.is_cancel_requested:
                process.stop()
                handle.canceled()
                result.error_code = int(ErrorCode.CANCELED)
                result.error_msg = 'given up; what was finished stays'
                return result
            await next_round()
        result.build_time = time.perf_counter() - start_s
        if words[0]:
            return self._refuse(handle, result, _code(last), words[0])
        result.engine_id = str(last.get('engine_id', ''))
        difference = last.get('difference')
        if isinstance(difference, dict):
            result.max_vertex_error = float(difference.get('vertices_m', math.nan))
        self._logger.info(f'build_engine: {result.engine_id or "nothing to build"}')
        self._on_built()
        handle.succeed()
        return result

    def _wanted(self, goal: BuildEngine.Goal) -> Settings:
        given = {'model.id': goal.model_id, 'backend.name': goal.backend,
                 'backend.precision': goal.precision}
        settings = self._settings().replace({n: v for n, v in given.items() if v})
        model = settings.text('model.id')
        check_model(model, settings.text('model.directory'))
        if model == OPEN:
            for name, allowed in _NEEDED.items():
                if settings.text(name) not in allowed:
                    raise EstimatorError(f'parameter {name} for model.id open',
                                         got=settings.text(name), expected=' or '.join(allowed))
        return settings

    def _refuse(self, handle: ServerGoalHandle, result: BuildEngine.Result, code: int,
                text: str) -> BuildEngine.Result:
        result.error_code, result.error_msg = int(code), text
        self._logger.error(f'build_engine refused: {text}')
        handle.abort()
        return result


def _feedback(row: Row, elapsed_s: float) -> BuildEngine.Feedback:
    stage = getattr(BuildEngine.Feedback, str(row['stage']), BuildEngine.Feedback.STAGE_UNKNOWN)
    return BuildEngine.Feedback(
        stage=stage, progress=float(str(row.get('progress', 0.0))), elapsed=elapsed_s,
        estimated_remaining=math.nan, detail=str(row.get('detail', '')))


def _code(row: Row) -> ErrorCode:
    """Return the code of a build that failed, from its last words."""
    if row.get('kind') == 'OutOfMemory':
        return ErrorCode.OUT_OF_MEMORY
    kind = getattr(errors, str(row.get('kind', '')), None)
    if kind is None or not str(row.get('what', '')).startswith('parameter '):
        return error_code(kind(str(row['what']))) if kind is errors.AssetError \
            else ErrorCode.BUILD_FAILED
    return error_code(kind(str(row['what'])))
