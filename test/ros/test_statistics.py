# SPDX-License-Identifier: Apache-2.0
"""Figures of the node as a message, without a node."""
import math
import sys
from types import SimpleNamespace

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


def test_memory_on_gpus_is_what_torch_holds_and_0_without_torch_or_a_gpu(monkeypatch):
    def told() -> int:
        summary = StatisticsWindow().summary(Counters())
        return statistics_message(summary, Header(), 'dice/cuda_graph-fp32', {}).memory_device

    def torch(*held: int) -> SimpleNamespace:
        return SimpleNamespace(cuda=SimpleNamespace(
            is_available=lambda: bool(held), device_count=lambda: len(held),
            memory_reserved=held.__getitem__))

    monkeypatch.delitem(sys.modules, 'torch', raising=False)
    assert told() == 0
    for module, expected in ((torch(), 0), (torch(2_000_000, 500), 2_000_500)):
        monkeypatch.setitem(sys.modules, 'torch', module)
        assert told() == expected
