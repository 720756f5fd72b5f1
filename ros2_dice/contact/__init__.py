# SPDX-License-Identifier: Apache-2.0
"""
Who touches what: distance, touch or hover, indentation.

`ContactSolver(bodies).solve(person, camera, stamp_ns)` takes what fitting made of one
person and returns a `PersonContact`: the face with its dents, and a `HandContact` per hand with
the probability of touching, the hand in its final place, contact probabilities per vertex, signed
distance and contacts per pair of regions. One call per person and frame; hands are remembered by
their ids until they are half a second old.

`TouchModel` turns one frame's `TouchEvidence` into log odds; `LearnedTouchModel` is the one that
ships. `HeadSurface` gives exact signed distances to a posed head.
"""
from ros2_dice.contact.distance import Distance, HeadSurface, SkinTables
from ros2_dice.contact.learned import LearnedTouchModel, load_touch_model
from ros2_dice.contact.ratio import LearntRatio
from ros2_dice.contact.solver import ContactSolver, HandContact, PersonContact
from ros2_dice.contact.touch import DepthNoise, TouchEvidence, TouchModel

__all__ = ['ContactSolver', 'DepthNoise', 'Distance', 'HandContact', 'HeadSurface',
           'LearnedTouchModel', 'LearntRatio', 'PersonContact', 'SkinTables', 'TouchEvidence',
           'TouchModel', 'load_touch_model']
