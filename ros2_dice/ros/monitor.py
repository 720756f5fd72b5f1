# SPDX-License-Identifier: Apache-2.0
"""When diagnostics, statistics and topologies are published: on time, and on change."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from std_msgs.msg import Header

from ros2_dice.errors import ConfigError
from ros2_dice.msg import Statistics
from ros2_dice.parameters import Settings
from ros2_dice.ros import qos
from ros2_dice.ros.diagnostics import NodeState, diagnostic_array
from ros2_dice.ros.namesakes import Namesakes
from ros2_dice.ros.statistics import StatisticsWindow, statistics_message
from ros2_dice.ros.worker import Counters

_TICK_S = 0.2
_STATISTICS_PERIOD_S = 1.0


class Monitor:
    """
    Publishes how the node is, from the executor's thread.

    Args:
        state: returns the node's state as of now.
        counters: returns the worker's counters.
        settings: returns the parameters.
        repeat_topologies: publishes the topologies again; called only with a model.
        end_touches: ends the touches of a camera that has gone silent; called often.

    Raises:
        ConfigError: `diagnostics.topic` is no name of a topic.
    """

    def __init__(self, node: Node, state: Callable[[], NodeState],
                 counters: Callable[[], Counters], settings: Callable[[], Settings],
                 repeat_topologies: Callable[[], None],
                 end_touches: Callable[[], None]) -> None:
        self.statistics = StatisticsWindow()
        self.newest_header = Header()
        """Of the newest image."""
        self._node = node
        self._state = state
        self._counters = counters
        self._settings = settings
        self._repeat_topologies = repeat_topologies
        self._end_touches = end_touches
        self._namesakes = Namesakes(node)
        self._levels: tuple[bytes, ...] = ()
        self._diagnostics_due_s = self._statistics_due_s = self._topologies_due_s = 0.0
        topic = settings().text('diagnostics.topic')
        try:
            self._diagnostics = node.create_publisher(DiagnosticArray, topic, qos.reliable(5))
        except InvalidTopicNameException as error:
            raise ConfigError('parameter diagnostics.topic', got=topic,
                              expected='the name of a topic, such as /diagnostics') from error
        self._statistics = node.create_publisher(Statistics, '~/statistics', qos.reliable(5))
        # On the machine's clock: it goes on when a bag's clock stands still.
        self._timer = node.create_timer(_TICK_S, self._tick,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def report_now(self) -> None:
        """Publish diagnostics and statistics now, after a change of state."""
        self._diagnostics_due_s = self._statistics_due_s = 0.0
        self._tick()

    def topologies_sent(self) -> None:
        """Count the repetition period of the topologies from now."""
        self._topologies_due_s = time.monotonic() + self._settings().number(
            'topology.republish_period')

    def _tick(self) -> None:
        self._end_touches()
        now_s = time.monotonic()
        settings = self._settings()
        state = replace(self._state(), name_problem=self._namesakes.problem())
        summary = self.statistics.summary(self._counters())
        message = diagnostic_array(self._node.get_clock().now(), state, summary, settings)
        levels = tuple(status.level for status in message.status)
        if now_s >= self._diagnostics_due_s or levels != self._levels:
            self._levels = levels
            self._diagnostics_due_s = now_s + settings.number('diagnostics.period')
            self._diagnostics.publish(message)
        if now_s >= self._statistics_due_s:
            self._statistics_due_s = now_s + _STATISTICS_PERIOD_S
            self._statistics.publish(
                statistics_message(summary, self.newest_header, state.model_id,
                                   state.engine))
        period_s = settings.number('topology.republish_period')
        if state.model_id and period_s > 0.0 and now_s >= self._topologies_due_s:
            self._topologies_due_s = now_s + period_s
            self._repeat_topologies()
