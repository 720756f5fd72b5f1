# SPDX-License-Identifier: Apache-2.0
"""The node as a process, with the fake estimator of test/ros in it."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'ros'))

from fakes import FakeEstimator

from ros2_dice.ros.node import main

sys.exit(main(estimator_factory=FakeEstimator))
