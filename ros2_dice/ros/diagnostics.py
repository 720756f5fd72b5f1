# SPDX-License-Identifier: Apache-2.0
"""Four statuses on /diagnostics: input, inference, model, output."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time

from ros2_dice.parameters import Settings
from ros2_dice.ros.statistics import Summary

FAILURES_IN_A_ROW = 3
"""From so many failed frames on, a status is an error."""
MAX_DROP_RATE = 0.2

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE


@dataclass(frozen=True)
class NodeState:
    """What diagnostics look at beside the statistics."""

    name: str
    """Fully qualified name of the node."""
    lifecycle: str
    """unconfigured, inactive or active."""
    model_id: str
    """Of the loaded model; empty = none."""
    engine: Mapping[str, object]
    """What is known of its engine, empty where none is built."""
    learnt: Mapping[str, str]
    """What was learnt of people's sizes, by person_id."""
    problem: str
    """Why the node could not be configured or activated; empty = it could."""
    camera_problem: str
    """Why the camera_info is not used."""
    camera_info: str
    """Where the camera comes from, in a word."""
    image_topic: str
    silence_s: float
    """Since the last image, or since activation."""
    active_s: float
    """Since activation."""
    name_problem: str = ''
    """Of other nodes with the same name."""


def diagnostic_array(stamp: Time, state: NodeState, summary: Summary,
                     settings: Settings) -> DiagnosticArray:
    """Return the statuses as of now."""
    message = DiagnosticArray(status=[
        _status(state.name, 'input', *_input(state, summary, settings)),
        _status(state.name, 'inference', *_inference(state, summary)),
        _status(state.name, 'model', *_model(state)),
        _status(state.name, 'output', *_output(state, summary, settings))])
    message.header.stamp = stamp.to_msg()
    return message


def _input(state: NodeState, summary: Summary,
           settings: Settings) -> tuple[bytes, str, Mapping[str, object]]:
    counters = summary.counters
    values = {
        'topic': state.image_topic, 'received': counters.received,
        'rate_hz': summary.input_rate_hz, 'since_last_image_s': state.silence_s,
        'dropped_overrun': counters.dropped_overrun, 'dropped_stale': counters.dropped_stale,
        'failed': summary.failed_input, 'camera_info': state.camera_info}
    if state.lifecycle != 'active':
        return OK, f'not subscribed: the node is {state.lifecycle}', values
    if summary.failed_input_row >= FAILURES_IN_A_ROW:
        return ERROR, (f'{summary.failed_input_row} images in a row could not be read: '
                       f'{summary.last_failure}'), values
    if state.silence_s > settings.number('input.timeout'):
        return STALE, (f'no image on {state.image_topic} for {state.silence_s:.1f} s; check the '
                       'camera, the remapping and the QoS'), values
    if summary.failed_input_row:
        return WARN, f'the last image could not be read: {summary.last_failure}', values
    if summary.stale_drops:
        return WARN, (f'{summary.stale_drops} images were older than input.max_age '
                      f'({settings.number("input.max_age"):g} s) and dropped; set it to 0 for '
                      'bags, or check the clocks'), values
    if state.camera_problem:
        return WARN, f'nominal lens used: {state.camera_problem}', values
    return OK, 'images arrive', values


def _inference(state: NodeState, summary: Summary) -> tuple[bytes, str, Mapping[str, object]]:
    values: dict[str, object] = {
        'processed': summary.counters.processed, 'pending': summary.counters.pending,
        'failed': summary.failed_estimator, 'latency_p50_s': summary.latency_s[0],
        'latency_p95_s': summary.latency_s[1]}
    values.update({f'{name}_s': mean for name, (mean, _) in summary.stages_s.items()})
    if state.lifecycle != 'active':
        return OK, f'idle: the node is {state.lifecycle}', values
    if summary.failed_estimator_row:
        level = ERROR if summary.failed_estimator_row >= FAILURES_IN_A_ROW else WARN
        return level, (f'{summary.failed_estimator_row} frames in a row failed: '
                       f'{summary.last_failure}'), values
    return OK, 'running', values


def _model(state: NodeState) -> tuple[bytes, str, Mapping[str, object]]:
    values: dict[str, object] = {'model_id': state.model_id or 'none', 'state': state.lifecycle,
                                 **state.engine}
    values.update({f'learnt of {person}': sizes for person, sizes in state.learnt.items()})
    if state.problem:
        return ERROR, state.problem, values
    if not state.model_id:
        return OK, 'no model loaded: the node is not configured', values
    building = state.engine.get('building')
    if state.engine.get('build_error') and not building:
        return WARN, (f'{state.model_id} serves; a better engine could not be built: '
                      f'{state.engine["build_error"]}'), values
    return OK, f'{state.model_id} loaded' + (f'; {building}' if building else ''), values


def _output(state: NodeState, summary: Summary,
            settings: Settings) -> tuple[bytes, str, Mapping[str, object]]:
    min_rate_hz = settings.number('diagnostics.min_rate')
    values = {'published': summary.published, 'rate_hz': summary.output_rate_hz,
              'drop_rate': summary.drop_rate}
    if state.name_problem:
        return WARN, state.name_problem, values
    if state.lifecycle != 'active' or state.silence_s > settings.number('input.timeout'):
        return OK, 'nothing to publish', values
    if state.active_s < 2.0 or not summary.published:
        return OK, 'starting', values
    if summary.output_rate_hz < min_rate_hz:
        return WARN, (f'{summary.output_rate_hz:.1f} Hz is below diagnostics.min_rate '
                      f'({min_rate_hz:g} Hz)'), values
    if summary.drop_rate > MAX_DROP_RATE:
        return WARN, f'{100.0 * summary.drop_rate:.0f} % of the images are dropped', values
    return OK, 'publishing', values


def _status(node: str, part: str, level: bytes, message: str,
            values: Mapping[str, object]) -> DiagnosticStatus:
    def text(value: object) -> str:
        return f'{value:.6g}' if isinstance(value, float) else str(value)

    return DiagnosticStatus(
        level=level, name=f'{node}: {part}', message=message, hardware_id=node,
        values=[KeyValue(key=key, value=text(value)) for key, value in values.items()])
