# SPDX-License-Identifier: Apache-2.0
"""
DICE: the network, what goes before it and after it, and stand-ins for what can't be shipped.

What needs torch is imported when it is first asked for, so that everything else works without it.
"""
from __future__ import annotations

import importlib
from typing import Any

from ros2_dice.dice.folder import is_model_name, model_folder, models_folder, read_manifest
from ros2_dice.dice.imported import (
    ImportedModel,
    ModelState,
    ModelStatus,
    check_imported,
    imported_folders,
    load_imported,
)
from ros2_dice.dice.names import is_dead
from ros2_dice.dice.standin import standin_hand, standin_head, standin_references

_WITH_TORCH = {
    'DiceNetwork': 'ros2_dice.dice.network',
    'DiceOutput': 'ros2_dice.dice.network',
    'formula_weights': 'ros2_dice.dice.weight_formula',
    'ParametricOutput': 'ros2_dice.dice.simplified',
    'simplify': 'ros2_dice.dice.simplified',
    'official_shapes': 'ros2_dice.dice.weight_formula',
}
"""Name: the module that holds it."""

__all__ = ['ImportedModel', 'ModelState', 'ModelStatus', 'check_imported', 'imported_folders',
           'is_dead', 'is_model_name', 'load_imported', 'model_folder', 'models_folder',
           'read_manifest', 'standin_hand', 'standin_head', 'standin_references']


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(importlib.import_module(_WITH_TORCH[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
