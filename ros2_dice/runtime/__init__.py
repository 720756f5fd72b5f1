# SPDX-License-Identifier: Apache-2.0
"""Inference engines behind one protocol; knows nothing of hands and faces."""
from ros2_dice.runtime.openvino_engine import load_openvino
from ros2_dice.runtime.protocol import Engine, require_shapes
from ros2_dice.runtime.threads import usable_threads

__all__ = ['Engine', 'load_openvino', 'require_shapes', 'usable_threads']
