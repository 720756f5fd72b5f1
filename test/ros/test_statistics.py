# SPDX-License-Identifier: Apache-2.0
"""Figures of the node as a message, without a node."""
import math

from std_msgs.msg import Header

from ros2_dice.ros.statistics import StatisticsWindow, statistics_message
from ros2_dice.ros.worker import Counters


def test_the_engine_stands_in_the_message_with_what_was_measured_of_it():
    summary = StatisticsWindow().summary(Counters())
    message = statistics_message(summary, Header(), 'dice/openvino-bf16', {
        'device': 'cpu', 'engine_id': 'openvino-bf16-b1-abc', 'vertices_m': 0.0005,
        'contact': 0.01})
    assert (message.backend, message.precision, message.device) == ('openvino', 'bf16', 'cpu')
    assert message.engine_id == 'openvino-bf16-b1-abc'
    assert math.isclose(message.max_vertex_error, 0.0005, rel_tol=1e-6)
    assert math.isclose(message.max_contact_error, 0.01, rel_tol=1e-6)


def test_what_was_not_measured_is_no_number():
    summary = StatisticsWindow().summary(Counters())
    message = statistics_message(summary, Header(), 'open/openvino-fp32', {})
    assert math.isnan(message.max_vertex_error)
    assert math.isnan(message.max_contact_error)
