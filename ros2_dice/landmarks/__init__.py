# SPDX-License-Identifier: Apache-2.0
"""
The open estimator's eyes: detectors, landmark networks, and tracks between frames.

`PersonTracker(settings, asset_directory).observe(frame)` returns a `PersonObservation` for each
person in the frame: landmarks of the face and of up to two hands, as the networks give them (not
smoothed), under names that last. Points are in image pixels, x right, y down, the first pixel's
centre at 0.5; `fresh` tells a sight of this frame from the last one before a loss.

How a frame goes: `track` looks where faces and hands were (`face`, `hand`) or, at speed, will be
(`motion`), at the first hand beside the face; `search` spends the rest on what is missing, with
the detectors (`detect`, `find_face`, `find_hand`, `body`); `judge` and `belief` decide what is
real, `crowd` whose it is.
"""
from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.persons import FaceSight, PersonObservation, TrackedHand
from ros2_dice.landmarks.track import PersonTracker

__all__ = ['FaceObservation', 'FaceSight', 'HandObservation', 'PersonObservation',
           'PersonTracker', 'Region', 'TrackedHand']
