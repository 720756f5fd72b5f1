# SPDX-License-Identifier: Apache-2.0
"""The table of parameters as ROS parameters: declared, checked all or nothing, handed on."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from ros2_dice.errors import ConfigError
from ros2_dice.parameters import PARAMETERS, Parameter, Settings, Value, unknown_parameter

AT_CONSTRUCTION = ('autostart', 'diagnostics.topic')
"""Read once when the node is made, before it can be configured."""

_FOREIGN_PREFIX = 'qos_overrides.'
_FOREIGN = ('use_sim_time', 'start_type_description_service')


class NodeParameters:
    """
    Declares the table on a node and keeps `settings` equal to its parameters.

    Start-only parameters may be set until the node is configured, so that a failed configuration
    can be mended and tried again.

    Args:
        on_live_change: called with the new settings after live parameters were set.

    Raises:
        ConfigError: an override (YAML, command line) is unknown or has a value that is refused.
    """

    def __init__(self, node: Node, on_live_change: Callable[[Settings], None]) -> None:
        self._node = node
        self._on_live_change = on_live_change
        self._may_change_all = True
        overrides = {name: p.value for name, p in node._parameter_overrides.items()
                     if not is_foreign(name)}
        self.settings = Settings(overrides)
        for row in PARAMETERS.values():
            node.declare_parameter(row.name, self.settings[row.name], descriptor(row),
                                   ignore_override=True)
        node.add_pre_set_parameters_callback(_known)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._take_over)

    def lock(self, locked: bool) -> None:
        """Refuse changes of start-only parameters from now on, or allow them."""
        self._may_change_all = not locked

    def replace(self, values: dict[str, Value]) -> None:
        """Set parameters from inside the node, start-only ones too, e.g. after a model change."""
        before, self._may_change_all = self._may_change_all, True
        try:
            self._node.set_parameters_atomically(
                [RosParameter(name, value=value) for name, value in values.items()])
        finally:
            self._may_change_all = before

    def _check(self, parameters: Sequence[RosParameter]) -> SetParametersResult:
        try:
            for parameter in parameters:
                if is_foreign(parameter.name):
                    continue
                row = PARAMETERS[parameter.name]
                row.check(parameter.value)
                if not row.live and not self._may_change_all:
                    raise ConfigError(
                        f'parameter {row.name}', got=self.settings[row.name],
                        expected='no change after the node was configured',
                        next_step='clean the node up first, or start it anew')
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=error.text())
        return SetParametersResult(successful=True)

    def _take_over(self, parameters: Sequence[RosParameter]) -> None:
        values: dict[str, object] = {p.name: p.value for p in parameters if p.name in PARAMETERS}
        if not values:
            return
        self.settings = self.settings.replace(values)
        if any(PARAMETERS[name].live for name in values):
            self._on_live_change(self.settings)


def is_foreign(name: str) -> bool:
    """Tell whether a parameter belongs to rclpy and not to the table."""
    return name in _FOREIGN or name.startswith(_FOREIGN_PREFIX)


def descriptor(row: Parameter) -> ParameterDescriptor:
    """Return what ROS tools show of a row of the table."""
    constraints = []
    if row.choices:
        constraints.append('one of ' + ', '.join(map(str, row.choices)))
    if not row.live:
        constraints.append('read when the node configures')
    result = ParameterDescriptor(
        description=row.description + (f' [{row.unit}]' if row.unit else ''),
        additional_constraints='; '.join(constraints),
        read_only=row.name in AT_CONSTRUCTION,
        # Typed by the table instead: rclpy's own refusal names neither parameter nor value, and
        # would not take 2 for a double.
        dynamic_typing=True)
    if row.low is None or row.high is None:
        return result
    if isinstance(row.default, int):
        result.integer_range = [IntegerRange(from_value=int(row.low), to_value=int(row.high),
                                             step=1)]
    else:
        result.floating_point_range = [FloatingPointRange(from_value=float(row.low),
                                                          to_value=float(row.high))]
    return result


class UnknownParameter(ParameterNotDeclaredException):
    """What rclpy answers callers with; its own text names no parameter (an empty list)."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.args = (unknown_parameter(name).text(),)


def _known(parameters: list[RosParameter]) -> list[RosParameter]:
    """
    Return the parameters with doubles for whole numbers that are set on double parameters.

    Raises:
        UnknownParameter: the table lacks one.
    """
    def widen(parameter: RosParameter) -> RosParameter:
        if is_foreign(parameter.name):
            return parameter
        row = PARAMETERS.get(parameter.name)
        if row is None:
            raise UnknownParameter(parameter.name)
        if isinstance(row.default, float) and type(parameter.value) is int:
            return RosParameter(parameter.name, value=float(parameter.value))
        return parameter

    return [widen(parameter) for parameter in parameters]


def refuse_missing_features(settings: Settings) -> None:
    """
    Refuse what the table has and this version does not do, rather than ignore it.

    Raises:
        ConfigError: such a feature is switched on.
    """
    for name, reason in (
            ('depth.enabled', 'this version estimates from colour alone'),
            ('hri.enabled', 'the ROS4HRI topics are not part of this version')):
        if settings.flag(name):
            raise ConfigError(f'parameter {name}', got=True, expected='false', next_step=reason)
