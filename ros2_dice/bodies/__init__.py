# SPDX-License-Identifier: Apache-2.0
"""
Parametric bodies: topology and regions, skinning, the open hand and head, MANO and FLAME.

`load_open_bodies(path)` returns `OpenBodies`: two `OpenHand`s and an `OpenHead`. Each has a
`topology` (with its coarser levels), `vertices(state)` and `landmarks(state)` in the camera's
optical frame, and what fitting and contact need to know about it. A state (`HandState`,
`HeadState`) is a frozen set of numbers: pose, size, shape, angles or expression.

`ParametricHand(arrays, guide)` and `ParametricHead(arrays, guide)` are MANO and FLAME from the
user's arrays, with the same names for regions and joints as the open bodies, which lend them.
"""
from ros2_dice.bodies.open_body import OpenBodies, load_open_bodies
from ros2_dice.bodies.open_hand import HandState, Kinematics, OpenHand
from ros2_dice.bodies.open_head import HeadState, OpenHead
from ros2_dice.bodies.parametric import PosedBody
from ros2_dice.bodies.parametric_hand import ParametricHand
from ros2_dice.bodies.parametric_head import ParametricHead
from ros2_dice.bodies.topology import Part, Side, Topology, make_topology

__all__ = ['HandState', 'HeadState', 'Kinematics', 'OpenBodies', 'OpenHand', 'OpenHead',
           'ParametricHand', 'ParametricHead', 'Part', 'PosedBody', 'Side', 'Topology',
           'load_open_bodies', 'make_topology']
