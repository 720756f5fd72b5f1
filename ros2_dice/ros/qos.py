# SPDX-License-Identifier: Apache-2.0
"""Topics' names and quality of service, as docs and tests have them; what a mismatch says."""
from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import (
    PublisherEventCallbacks,
    QoSOfferedIncompatibleQoSInfo,
    QoSRequestedIncompatibleQoSInfo,
    SubscriptionEventCallbacks,
)
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

_POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
             QoSPolicyKind.DURABILITY)


def reliable(depth: int) -> QoSProfile:
    """Reliable and volatile: results."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth,
                      reliability=ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.VOLATILE)


def best_effort(depth: int) -> QoSProfile:
    """Best effort and volatile: sensor data (REP-2003) and pictures to look at."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth,
                      reliability=ReliabilityPolicy.BEST_EFFORT,
                      durability=DurabilityPolicy.VOLATILE)


def latched(depth: int = 1) -> QoSProfile:
    """Reliable and transient local: late joiners get it too."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth,
                      reliability=ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.TRANSIENT_LOCAL)


def image_topic(node: Node, transport: str) -> str:
    """Return the resolved topic of the images; a remapping of image moves image/compressed too."""
    image = node.resolve_topic_name('image')
    if transport == 'raw':
        return image
    name = f'image/{transport}'
    topic = node.resolve_topic_name(name)
    remapped = topic != node.resolve_topic_name(name, only_expand=True)
    return topic if remapped else f'{image}/{transport}'


def overrides() -> QoSOverridingOptions:
    """Let parameters `qos_overrides.<topic>.<publisher|subscription>.<policy>` change it."""
    return QoSOverridingOptions(_POLICIES)


def subscription_events(node: Node, topic: str) -> SubscriptionEventCallbacks:
    """Log the override that lets a subscription hear a publisher it is deaf to."""
    def incompatible(event: QoSRequestedIncompatibleQoSInfo) -> None:
        _report(node.get_logger().warning, node.resolve_topic_name(topic), 'subscription',
                'a publisher offers less than this node asks for', event.last_policy_kind)

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)


def publisher_events(node: Node, topic: str) -> PublisherEventCallbacks:
    """Log the override that lets a subscriber hear this publisher."""
    def incompatible(event: QoSOfferedIncompatibleQoSInfo) -> None:
        _report(node.get_logger().warning, node.resolve_topic_name(topic), 'publisher',
                'a subscriber asks for more than this node offers', event.last_policy_kind)

    return PublisherEventCallbacks(incompatible_qos=incompatible)


def _report(log: Callable[[str], object], topic: str, side: str, what: str, kind: int) -> None:
    policy = qos_policy_name_from_kind(kind)
    wanted = {
        ('RELIABILITY', 'subscription'): 'best_effort', ('RELIABILITY', 'publisher'): 'reliable',
        ('DURABILITY', 'subscription'): 'volatile', ('DURABILITY', 'publisher'): 'transient_local',
    }.get((policy, side), '...')
    log(f'topic {topic}: {what} ({policy.lower()}), so nothing arrives; set parameter '
        f'qos_overrides.{topic}.{side}.{policy.lower()} to {wanted}')
