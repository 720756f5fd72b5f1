# SPDX-License-Identifier: Apache-2.0
"""
The network's weights from any file that may hold them, one tensor at a time.

Forms: the released whole module, a state dict of torch.save, safetensors. Names are those of the
official state_dict. Nothing of the file is run, and no tensor is read before the shapes of all
were compared with the network's.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice.assets.closed_list import Inert
from ros2_dice.assets.plain_file import open_plain
from ros2_dice.assets.safetensors_file import SafetensorsFile
from ros2_dice.assets.torch_file import TensorRecord, TorchFile
from ros2_dice.dice.module_file import MODULE, module_content
from ros2_dice.dice.names import is_dead
from ros2_dice.errors import AssetError

DEFAULT_HEADS = 4
"""As published; a state dict does not tell (specification, section 4)."""
MAX_NUMBERS = 1 << 29
"""Of a network, twice those of the released one; a small file can describe large tensors."""
_WRAPPERS = ('state_dict', 'model', 'model_state_dict')
_PARALLEL = 'module.'


@dataclass(frozen=True)
class Checkpoint:
    """An open file of weights."""

    label: str
    form: str
    """`whole module`, `state dict` or `safetensors`."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of all tensors, dead ones too."""
    heads: int
    heads_read: bool
    """Whether the file says how many heads there are."""
    read: Callable[[str], np.ndarray]

    def live(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the tensors that the network reads."""
        return {name: shape for name, shape in self.shapes.items() if not is_dead(name)}

    def dead(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the tensors that nothing reads."""
        return {name: shape for name, shape in self.shapes.items() if is_dead(name)}

    def array(self, name: str) -> np.ndarray:
        """
        Return a tensor's numbers as float32.

        Raises:
            AssetError: they are damaged, not finite, or no numbers of a network.
        """
        values = self.read(name)
        if values.dtype.kind != 'f':
            raise AssetError(f'{self.label}: {name}', got=str(values.dtype), expected='floats')
        with np.errstate(over='ignore'):
            values = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(values).all():
            raise AssetError(f'{self.label}: {name} holds what is not finite',
                             expected='numbers')
        if name.endswith('.running_var') and values.size and values.min() < 0.0:
            raise AssetError(f'{self.label}: {name} holds negative variances')
        return values

    def check(self) -> None:
        """
        Compare names and shapes with the network's.

        Raises:
            AssetError: one is missing, unknown or of another shape.
        """
        import torch

        from ros2_dice.dice.network import DiceNetwork
        from ros2_dice.dice.tokens import REFERENCES

        numbers = sum(math.prod(shape) for shape in self.live().values())
        if numbers > MAX_NUMBERS:
            raise AssetError(f'{self.label} describes {numbers} numbers',
                             expected=f'at most {MAX_NUMBERS}')
        outlines = {name: torch.empty(shape, device='meta')
                    for name, shape in self.live().items()}
        anywhere = {name: np.zeros((count, 3)) for name, count in REFERENCES.items()}
        DiceNetwork.from_tensors(outlines, anywhere, self.heads)


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """
    Open a file of weights; what it is shows in its first bytes.

    Raises:
        AssetError: it is damaged, in the old format of torch.save, or names what is not allowed.
    """
    with open_plain(path) as stream:
        head = stream.read(9)
    if head[8:] == b'{' and not head.startswith(b'PK'):
        with SafetensorsFile(path) as file:
            shapes = {name: entry.shape for name, entry in file.entries.items()}
            names = _plain_names(shapes)
            yield Checkpoint(path.name, 'safetensors',
                             {name: shapes[stored] for name, stored in names.items()},
                             DEFAULT_HEADS, False, lambda name: file.array(names[name]))
        return
    with TorchFile(path) as file:
        value = file.load(MODULE)
        heads = None
        if isinstance(value, Inert):
            content = module_content(value, path.name)
            records, heads = dict(content.tensors), _one_number(content.heads, path.name)
        else:
            records = _state_dict(value, path.name)
        yield Checkpoint(path.name, 'state dict' if heads is None else 'whole module',
                         {name: record.shape for name, record in records.items()},
                         heads or DEFAULT_HEADS, heads is not None,
                         lambda name: file.array(records[name]))


def _state_dict(value: Any, label: str) -> dict[str, TensorRecord]:
    """Return the tensors of a state dict, which may lie in a dict of a training run."""
    for wrapper in _WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(wrapper), dict):
            value = value[wrapper]
            break
    if not isinstance(value, dict) or not value:
        raise AssetError(f'{label} holds {type(value).__name__}',
                         expected='a module or its state dict')
    for name, tensor in value.items():
        if type(name) is not str or not name.isprintable():
            raise AssetError(f'{label} has a key of type {type(name).__name__}',
                             expected='names of tensors')
        if not isinstance(tensor, TensorRecord):
            raise AssetError(f'{label}: {name[:80]} is {type(tensor).__name__}',
                             expected='a tensor')
    return {name: value[stored] for name, stored in _plain_names(value).items()}


def _plain_names(stored: Mapping[str, Any]) -> dict[str, str]:
    """Return official name to stored one; a module trained on several GPUs has a prefix."""
    parallel = bool(stored) and all(name.startswith(_PARALLEL) for name in stored)
    return {name.removeprefix(_PARALLEL) if parallel else name: name for name in stored}


def _one_number(heads: Mapping[str, int], label: str) -> int:
    if len(set(heads.values())) != 1:
        raise AssetError(f'{label}: attention heads of the stages', got=dict(heads),
                         expected='one number for all, as published')
    return next(iter(heads.values()))
