# SPDX-License-Identifier: Apache-2.0
"""Inference engines behind one protocol; knows nothing of hands and faces."""
import sys
from types import ModuleType
from typing import cast

from ros2_dice.runtime.openvino_engine import OpenVinoEngine, load_openvino, load_openvino_in_two
from ros2_dice.runtime.protocol import Engine, require_shapes
from ros2_dice.runtime.threads import usable_threads

__all__ = ['Engine', 'OpenVinoEngine', 'load_openvino', 'load_openvino_in_two', 'require_shapes',
           'usable_threads']

# Its converter reports each use to a server and waits for the answer when the program ends. With
# this entry the import of that reporter fails, and OpenVINO takes a stub of its own instead.
sys.modules.setdefault('openvino_telemetry', cast(ModuleType, None))
