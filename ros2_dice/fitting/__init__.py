# SPDX-License-Identifier: Apache-2.0
"""
From landmarks to bodies: fits, metric size, temporal filter.

`PersonFitter(bodies, settings).fit(persons, camera, stamp_ns)` takes everybody that
`ros2_dice.landmarks.PersonTracker` saw in one frame and returns a `FittedPerson` each: a
`FittedHead` and `FittedHand`s with filtered states, vertices, poses and joints in the camera's
optical frame. Who is not seen is predicted for `tracking.timeout` seconds.

What the contact room needs besides: `FittedHand.fit` is the frame's own fit with its cost,
`FittedHand.with_state(state)` moves the hand, and `FittedPerson.ratio` is what is known beforehand
of the size of a person's hands.

`fit_hand` and `HeadFitter.fit` are the bare fits of one frame.
"""
from ros2_dice.fitting.hand import HandFit, fit_hand
from ros2_dice.fitting.head import HeadFit, HeadFitter
from ros2_dice.fitting.person import PersonFitter
from ros2_dice.fitting.priors import SizePrior
from ros2_dice.fitting.results import FittedHand, FittedHead, FittedPerson

__all__ = ['FittedHand', 'FittedHead', 'FittedPerson', 'HandFit', 'HeadFit', 'HeadFitter',
           'PersonFitter', 'SizePrior', 'fit_hand']
