# SPDX-License-Identifier: Apache-2.0
"""The services: topologies for tools without latched topics, reset, change of the model."""
from __future__ import annotations

import types
from collections.abc import Generator
from typing import Protocol

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from ros2_dice.errors import ConfigError, DiceError
from ros2_dice.parameters import PARAMETERS, Settings, Value
from ros2_dice.ros.log import error_text
from ros2_dice.ros.messages import TopologyBook, topology_message
from ros2_dice.ros.models import Change, ErrorCode, error_code
from ros2_dice.srv import GetMeshTopology, SetModel

POLL_S = 0.005
"""Between looks at work on another thread, by a callback that waits."""


class ServiceBackend(Protocol):
    """What the services need of the node."""

    @property
    def model_id(self) -> str:
        """Return the name of the model in use."""
        ...

    @property
    def settings(self) -> Settings:
        """Return the parameters as of now."""
        ...

    def topology_book(self) -> TopologyBook | None:
        """Return the topologies of the model in use, None without one."""
        ...

    def reset_tracking(self) -> bool:
        """Begin anew with the next frame; False without a model."""
        ...

    def change_model(self, values: dict[str, Value]) -> Change | None:
        """Begin to load another model; None while one is being loaded."""
        ...

    def finish_change(self, change: Change) -> None:
        """Take note of a change that has come to its end."""
        ...


class Services:
    """Offers the services of a node."""

    def __init__(self, node: Node, backend: ServiceBackend) -> None:
        self._backend = backend
        self._logger = node.get_logger()
        node.create_service(GetMeshTopology, '~/get_mesh_topology', self._topology)
        node.create_service(Trigger, '~/reset_tracking', self._reset)
        # In a group of its own: its callback waits, and the node's group goes on meanwhile.
        node.create_service(SetModel, '~/set_model', self._set_model,  # type: ignore[arg-type]
                            callback_group=ReentrantCallbackGroup())

    def _topology(self, request: GetMeshTopology.Request,
                  response: GetMeshTopology.Response) -> GetMeshTopology.Response:
        book = self._backend.topology_book()
        if book is None:
            response.message = 'no model is loaded; configure the node first'
            return response
        found = [t for t in book.all() if request.topology_id in ('', t.topology_id)]
        response.success = bool(found)
        if found:
            licensed = self._backend.settings.flag('output.licensed_topology')
            response.topologies = [topology_message(t, licensed) for t in found]
        else:
            known = ', '.join(t.topology_id for t in book.all())
            response.message = f'topology_id is {request.topology_id!r}; expected one of {known}'
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._backend.reset_tracking()
        response.message = ('the next frame starts fresh' if response.success
                            else 'no model is loaded; configure the node first')
        return response

    async def _set_model(self, request: SetModel.Request,
                         response: SetModel.Response) -> SetModel.Response:
        values: dict[str, Value] = {name: value for name, value in (
            ('model.id', request.model_id), ('backend.name', request.backend),
            ('backend.precision', request.precision)) if value}
        values['backend.build_if_missing'] = request.allow_build
        try:
            for name, value in values.items():
                PARAMETERS[name].check(value)
            if self._backend.topology_book() is None:
                raise ConfigError('model', expected='a configured node',
                                  next_step='configure the node first, or set model.id')
            change = self._backend.change_model(values)
        except DiceError as error:
            return self._refuse(response, error_code(error), error.text())
        if change is None:
            return self._refuse(response, ErrorCode.BUSY, 'another model is being loaded; wait')
        # The executor goes round meanwhile; the short rest keeps it from spinning.
        while not change.done.wait(POLL_S):
            await next_round()
        if change.error is not None:
            return self._refuse(response, error_code(change.error), error_text(change.error))
        self._backend.finish_change(change)
        response.success = True
        response.active_model_id = self._backend.model_id
        self._logger.info(f'model {response.active_model_id} is in use')
        return response

    def _refuse(self, response: SetModel.Response, code: int, text: str) -> SetModel.Response:
        response.error_code, response.message = int(code), text
        response.active_model_id = self._backend.model_id
        self._logger.error(f'set_model refused: {text}')
        return response


@types.coroutine
def next_round() -> Generator[None, None, None]:
    """Let the executor see to its other callbacks once."""
    yield
