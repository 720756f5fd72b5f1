# SPDX-License-Identifier: Apache-2.0
"""What a pickle may name, and the inert objects that stand for it."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """What an allowed name may be used for; by default only as a value, never called."""

    call: Callable[..., Any] | None = None
    """Takes the arguments of a REDUCE; a function of ours that checks them."""
    make: Callable[[Name], StandIn] | None = None
    """Makes the empty object of a NEWOBJ."""


@dataclass(frozen=True)
class Name:
    """A global that the file names, and that the closed list allows."""

    module: str
    name: str
    rule: Rule

    def __str__(self) -> str:
        return f'{self.module}.{self.name}'


ClosedList = Mapping[tuple[str, str], Rule]
"""(module, name) to what it may be used for."""


class StandIn:
    """An object that BUILD may fill, once."""

    filled = False

    def fill(self, state: Any) -> None:
        """
        Take the state that the file holds for this object.

        Raises:
            ValueError, TypeError: it is not what such an object has.
        """
        raise NotImplementedError


class Inert(StandIn):
    """An object of a class that is not here: the class's name, and the state as it was stored."""

    def __init__(self, name: Name) -> None:
        self.name = name
        self.state: Any = None

    def fill(self, state: Any) -> None:
        """Keep the state."""
        self.state = state


class Items(dict[Any, Any], StandIn):
    """A mapping of a class that is not here; keeps its items and its state apart."""

    def __init__(self, name: Name | None = None) -> None:
        super().__init__()
        self.name = name
        self.state: Any = None

    def fill(self, state: Any) -> None:
        """Keep the state."""
        self.state = state
