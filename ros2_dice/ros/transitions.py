# SPDX-License-Identifier: Apache-2.0
"""What rclpy's lifecycle node lacks: to refuse a transition that its state does not have."""
from __future__ import annotations

from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """
    Answer requests for such transitions with success = false.

    Up to Jazzy rclpy raises out of the executor instead (ros2/rclpy#1209): one more `configure`
    from anybody would end the node's process.
    """
    services: list[Any] = [s for s in node.services if s.srv_type is ChangeState]
    service, = services
    change = service.callback

    def guarded(request: ChangeState.Request,
                response: ChangeState.Response) -> ChangeState.Response:
        try:
            return change(request, response)
        except RuntimeError as error:  # RCLError is one
            response.success = False
            wanted = request.transition.label or f'number {request.transition.id}'
            node.get_logger().error(f'transition {wanted} refused: {error}')
            return response

    service.callback = guarded
