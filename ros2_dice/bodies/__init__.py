# SPDX-License-Identifier: Apache-2.0
"""
Parametric bodies: topology and regions, skinning, the open hand and head.

`load_open_bodies(path)` returns `OpenBodies`: two `OpenHand`s and an `OpenHead`. Each has a
`topology` (with its coarser levels), `vertices(state)` and `landmarks(state)` in the camera's
optical frame, and what fitting and contact need to know about it. A state (`HandState`,
`HeadState`) is a frozen set of numbers: pose, size, shape, angles or expression.
"""
from ros2_dice.bodies.open_body import OpenBodies, load_open_bodies
from ros2_dice.bodies.open_hand import HandState, Kinematics, OpenHand
from ros2_dice.bodies.open_head import HeadState, OpenHead
from ros2_dice.bodies.topology import Part, Side, Topology, make_topology

__all__ = ['HandState', 'HeadState', 'Kinematics', 'OpenBodies', 'OpenHand', 'OpenHead', 'Part',
           'Side', 'Topology', 'load_open_bodies', 'make_topology']
