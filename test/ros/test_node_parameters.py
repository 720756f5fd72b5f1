# SPDX-License-Identifier: Apache-2.0
"""Parameters of the running node: declared from the table, set live, refused all or nothing."""
import math

import pytest
from rcl_interfaces.srv import DescribeParameters, SetParameters, SetParametersAtomically
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.parameter import Parameter

from ros2_dice.errors import ConfigError
from ros2_dice.parameters import PARAMETERS
from ros2_dice.ros.node import DiceNode


@pytest.fixture
def set_parameter(call):
    def set_parameter(name, value):
        message = Parameter(name, value=value).to_parameter_msg()
        result, = call(SetParameters, '/dice/set_parameters',
                       SetParameters.Request(parameters=[message])).results
        return result

    return set_parameter


def test_every_row_is_declared_with_its_default_and_range(make_dice, call):
    dice = make_dice(input__max_age=PARAMETERS['input.max_age'].default)
    names = list(PARAMETERS)
    assert dict(dice.settings) == {n: row.default for n, row in PARAMETERS.items()}
    described = call(DescribeParameters, '/dice/describe_parameters',
                     DescribeParameters.Request(names=names)).descriptors
    for row, descriptor in zip(PARAMETERS.values(), described):
        assert row.description in descriptor.description
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert bool(ranges) == (row.low is not None)
        if ranges:
            assert (ranges[0].from_value, ranges[0].to_value) == (row.low, row.high)
        if not row.live:
            assert 'read when the node configures' in descriptor.additional_constraints


def test_live_values_reach_the_estimator_between_frames(make_dice, camera, factory,
                                                        set_parameter, wait_until):
    dice = make_dice()
    camera.connect(dice)
    assert set_parameter('detection.max_persons', 3).successful
    assert wait_until(lambda: factory.newest.settings.integer('detection.max_persons') == 3)
    assert set_parameter('input.max_age', 0).successful  # a whole number for a double
    assert dice.settings['input.max_age'] == 0.0
    assert dice.get_parameter('input.max_age').value == 0.0


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('detection.max_persons', 9, ['detection.max_persons', '9', '8']),
    ('contact.threshold', math.nan, ['contact.threshold', 'nan']),
    ('contact.threshold', -1.0, ['contact.threshold', '-1.0', '0.01']),
    ('contact.threshold', 'much', ['parameter contact.threshold', "'much'", 'double']),
    ('smoothing.enabled', 1, ['parameter smoothing.enabled', '1', 'bool']),
    ('detection.hands', 'third', ['parameter detection.hands', "'third'", 'both, left, right']),
    ('input.rotation', 45, ['parameter input.rotation', '45', '90']),
    ('image_transport', 'compressed', ['parameter image_transport', 'configured']),
    ('autostart', True, ['autostart']),
])
def test_a_refused_set_names_parameter_value_and_rule(make_dice, set_parameter, name, value,
                                                      words):
    dice = make_dice()
    before = dict(dice.settings)
    result = set_parameter(name, value)
    assert not result.successful
    for word in words:
        assert word in result.reason
    assert dict(dice.settings) == before
    assert dice.get_parameter(name).value == before[name]


@pytest.mark.parametrize(('name', 'meant'), [
    ('detection.max_person', 'detection.max_persons'), ('min_area', 'contact.min_area')])
def test_unknown_names_are_refused_by_name_with_the_nearest(make_dice, set_parameter, name, meant):
    dice = make_dice()
    result = set_parameter(name, 1)
    assert not result.successful
    assert f'parameter {name} is unknown' in result.reason
    assert f'{meant} may be meant' in result.reason
    with pytest.raises(ParameterNotDeclaredException, match=name):
        dice.set_parameters([Parameter(name, value=1)])


def test_an_unknown_name_among_others_changes_nothing(make_dice, call):
    dice = make_dice()
    messages = [Parameter('contact.threshold', value=0.6).to_parameter_msg(),
                Parameter('contact.treshold', value=0.6).to_parameter_msg()]
    result = call(SetParametersAtomically, '/dice/set_parameters_atomically',
                  SetParametersAtomically.Request(parameters=messages)).result
    assert not result.successful
    assert 'parameter contact.treshold is unknown' in result.reason
    assert dice.settings['contact.threshold'] == 0.5


def test_a_set_of_many_is_all_or_nothing(make_dice, call):
    dice = make_dice()
    messages = [Parameter('contact.threshold', value=0.6).to_parameter_msg(),
                Parameter('detection.hands', value='none').to_parameter_msg()]
    result = call(SetParametersAtomically, '/dice/set_parameters_atomically',
                  SetParametersAtomically.Request(parameters=messages)).result
    assert not result.successful
    assert 'detection.hands' in result.reason
    assert dice.settings['contact.threshold'] == 0.5


def test_start_only_parameters_may_change_before_configure(make_dice, factory, set_parameter):
    dice = make_dice(active=False)
    assert set_parameter('model.id', 'other').successful
    dice.trigger_configure()
    assert factory.newest.model_id == 'other/fake-fp32'
    assert not set_parameter('model.id', 'open').successful
    dice.trigger_cleanup()
    assert set_parameter('model.id', 'open').successful


@pytest.mark.parametrize(('name', 'value', 'word'), [
    ('detection.max_person', 1, 'detection.max_person'),
    ('contact.threshold', 1.5, 'contact.threshold'),
    ('smoothing.enabled', 'yes', 'smoothing.enabled'),
    ('diagnostics.topic', 'no topic', "diagnostics.topic is 'no topic'"),
    ('diagnostics.topic', '', 'diagnostics.topic'),
])
def test_wrong_overrides_stop_the_start(context, factory, name, value, word):
    with pytest.raises(ConfigError, match=word):
        DiceNode(factory, context=context, parameter_overrides=[Parameter(name, value=value)])


def test_overrides_take_whole_numbers_and_foreign_names(make_dice):
    dice = make_dice(input__max_age=0, use_sim_time=False)
    assert dice.settings['input.max_age'] == 0.0
