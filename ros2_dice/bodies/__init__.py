# SPDX-License-Identifier: Apache-2.0
"""Parametric bodies: topology and regions, skinning, the open hand and head."""
from ros2_dice.bodies.topology import Part, Side, Topology, make_topology

__all__ = ['Part', 'Side', 'Topology', 'make_topology']
