# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics say of the model."""
from __future__ import annotations

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')

from rclpy.time import Time

from ros2_dice.parameters import Settings
from ros2_dice.ros.diagnostics import NodeState, diagnostic_array
from ros2_dice.ros.statistics import Counters, StatisticsWindow


def test_what_was_learnt_of_people_is_told_as_parameters() -> None:
    state = NodeState(
        name='/dice', lifecycle='active', model_id='open/openvino-fp32', engine={},
        learnt={'a1b2c': 'scale.hand_to_head 1.031, scale.hand_to_head_stddev 0.046'}, problem='',
        camera_problem='', camera_info='', image_topic='/image', silence_s=0.0, active_s=9.0)
    summary = StatisticsWindow().summary(Counters())
    model = list(diagnostic_array(Time(), state, summary, Settings()).status)[2]
    assert model.name == '/dice: model'
    told = {value.key: value.value for value in model.values}
    assert told['learnt of a1b2c'] == (
        'scale.hand_to_head 1.031, scale.hand_to_head_stddev 0.046')
