# SPDX-License-Identifier: Apache-2.0
"""The open estimator's eyes: detectors, landmark networks, and tracks between frames."""
from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.face import FaceObservation
from ros2_dice.landmarks.hand import HandObservation
from ros2_dice.landmarks.persons import PersonObservation, TrackedHand
from ros2_dice.landmarks.track import PersonTracker

__all__ = ['FaceObservation', 'HandObservation', 'PersonObservation', 'PersonTracker', 'Region',
           'TrackedHand']
