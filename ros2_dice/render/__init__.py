# SPDX-License-Identifier: Apache-2.0
"""Overlays, clips and mesh files; no display needed."""
from ros2_dice.render.overlay import Overlay, hand_label
from ros2_dice.render.raster import Fragments, interpolate, rasterize

__all__ = ['Fragments', 'Overlay', 'hand_label', 'interpolate', 'rasterize']
