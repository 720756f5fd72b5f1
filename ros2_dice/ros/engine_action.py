# SPDX-License-Identifier: Apache-2.0
"""
The action ~/build_engine.

The open estimator's networks are compiled while they are loaded and nothing is kept, so its goal
ends at once with an empty engine_id. Estimators and backends that this version does not have are
refused with the reason.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable

from rclpy.action.server import ActionServer, ServerGoalHandle
from rclpy.node import Node

from ros2_dice.action import BuildEngine
from ros2_dice.errors import DiceError, EstimatorError
from ros2_dice.parameters import Settings
from ros2_dice.ros.models import error_code

_NEEDED = {'backend.name': ('auto', 'openvino'), 'backend.precision': ('auto', 'fp32')}


class EngineAction:
    """
    Offers the action of a node, in every state of its life.

    Args:
        settings: returns the node's settings as of now.
    """

    def __init__(self, node: Node, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._logger = node.get_logger()
        self._server = ActionServer(node, BuildEngine, '~/build_engine', self._execute)

    def close(self) -> None:
        """Take the action down."""
        self._server.destroy()

    def _execute(self, handle: ServerGoalHandle) -> BuildEngine.Result:
        start_s = time.perf_counter()
        goal: BuildEngine.Goal = handle.request
        result = BuildEngine.Result(max_vertex_error=math.nan)
        try:
            self._check(goal)
        except DiceError as error:
            result.error_code, result.error_msg = int(error_code(error)), error.text()
            self._logger.error(f'build_engine refused: {error.text()}')
            handle.abort()
            return result
        handle.publish_feedback(BuildEngine.Feedback(
            stage=BuildEngine.Feedback.VERIFYING, progress=1.0,
            elapsed=time.perf_counter() - start_s, estimated_remaining=0.0,
            detail='the open estimator compiles its networks when it is loaded: nothing to build'))
        result.build_time = time.perf_counter() - start_s
        handle.succeed()
        return result

    def _check(self, goal: BuildEngine.Goal) -> None:
        given = {'model.id': goal.model_id, 'backend.name': goal.backend,
                 'backend.precision': goal.precision}
        settings = self._settings().replace({n: v for n, v in given.items() if v})
        model = settings.text('model.id')
        if model != 'open':
            raise EstimatorError('parameter model.id', got=model, expected='open',
                                 next_step='the dice estimator is not part of this version')
        for name, allowed in _NEEDED.items():
            if settings.text(name) not in allowed:
                raise EstimatorError(f'parameter {name} for model.id open',
                                     got=settings.text(name), expected=' or '.join(allowed))
