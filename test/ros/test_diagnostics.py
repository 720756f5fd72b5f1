# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics say of the model."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.time import Time

from ros2_dice.parameters import Settings
from ros2_dice.ros.diagnostics import NodeState, diagnostic_array
from ros2_dice.ros.statistics import Counters, StatisticsWindow

STATE = NodeState(
    name='/dice', lifecycle='active', model_id='open/openvino-fp32', engine={}, learnt={},
    problem='', camera_problem='', camera_info='', image_topic='/image', silence_s=0.0,
    active_s=9.0)


def status(part: str, **fields: Any) -> DiagnosticStatus:
    """Return one status of a node in this state."""
    summary = StatisticsWindow().summary(Counters())
    array = diagnostic_array(Time(), replace(STATE, **fields), summary, Settings())
    found, = [row for row in array.status if row.name == f'/dice: {part}']
    return found


def test_what_was_learnt_of_people_is_told_as_parameters() -> None:
    model = status('model', learnt={
        'a1b2c': 'scale.hand_to_head 1.031, scale.hand_to_head_stddev 0.046'})
    told = {value.key: value.value for value in model.values}
    assert told['learnt of a1b2c'] == (
        'scale.hand_to_head 1.031, scale.hand_to_head_stddev 0.046')


def test_another_node_of_the_name_is_a_warning_of_the_output_even_while_idle() -> None:
    assert status('output', lifecycle='inactive').level == DiagnosticStatus.OK
    output = status('output', lifecycle='inactive', name_problem='another node is named /dice')
    assert output.level == DiagnosticStatus.WARN
    assert output.message == 'another node is named /dice'
