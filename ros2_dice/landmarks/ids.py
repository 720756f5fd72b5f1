# SPDX-License-Identifier: Apache-2.0
"""Names of tracks: five characters, never used twice in a run."""
from __future__ import annotations

import secrets
import string

_ALPHABET = string.ascii_lowercase + string.digits


class IdSource:
    """
    Gives `[a-z0-9]{5}`, the form that ROS4HRI asks for.

    Args:
        deterministic: a0000, a0001, ... instead of random ones, for tests and replays.
    """

    def __init__(self, deterministic: bool = False) -> None:
        self._deterministic = deterministic
        self._count = 0
        self._used: set[str] = set()

    def new(self) -> str:
        """Return a name that this source has not given before."""
        while True:
            if self._deterministic:
                letter, number = divmod(self._count, 10000)
                name = f'{string.ascii_lowercase[letter % 26]}{number:04d}'
                self._count += 1
            else:
                name = ''.join(secrets.choice(_ALPHABET) for _ in range(5))
            if name not in self._used:
                self._used.add(name)
                return name
