# SPDX-License-Identifier: Apache-2.0
"""Names of tracks: five characters, never used twice in a run."""
from __future__ import annotations

import secrets
import string

_ALPHABET = string.ascii_lowercase + string.digits
_LENGTH = 5


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
        if self._deterministic:
            self._count += 1
            return _numbered(self._count - 1)
        while True:
            name = ''.join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
            if name not in self._used:
                self._used.add(name)
                return name


def _numbered(number: int) -> str:
    """Return a0000 to z9999, then aa000 to zz999, and so on: 19 million names."""
    letters = 1
    while number >= (count := 26 ** letters * 10 ** (_LENGTH - letters)) and letters < _LENGTH:
        number -= count
        letters += 1
    digits = _LENGTH - letters
    head, tail = divmod(number, 10 ** digits)
    word = ''.join(string.ascii_lowercase[head // 26 ** place % 26]
                   for place in reversed(range(letters)))
    return word + (f'{tail:0{digits}d}' if digits else '')
