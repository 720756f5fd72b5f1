# SPDX-License-Identifier: Apache-2.0
"""A ROS domain that nobody else on this machine uses, for runs that shall meet no other nodes."""
from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable

DOMAIN_VARIABLE = 'ROS_DOMAIN_ID'

_IDS = range(1, 101)
"""Keeps the ports of DDS below Linux's range for outgoing connections."""
_PARTICIPANTS = 5
"""So many participants of a domain are looked for."""


class DomainClaim:
    """
    Holds a domain until it is closed or this process ends.

    A claim is a name in Linux's table of abstract sockets, so that of two programs that choose
    at the same time only one gets the domain, and nothing is left behind when one is killed. A
    domain whose ports are in use, as by the nodes of a robot, is left alone, too. When there is
    no free one, the first choice is shared.

    Args:
        taken: ids to stay away from; by default that of the user's environment.
        first: the id to begin with; by default it depends on the process.
    """

    def __init__(self, taken: Iterable[int] | None = None, first: int | None = None) -> None:
        avoided = set(_of_environment() if taken is None else taken)
        offset = os.getpid() if first is None else first - _IDS[0]
        choices = [number for number in (_IDS[(offset + step) % len(_IDS)] for step in range(
            len(_IDS))) if number not in avoided]
        self.id = choices[0]
        self._socket: socket.socket | None = None
        for number in choices:
            claimed = _claim(number)
            if claimed is not None and not domain_in_use(number):
                self.id, self._socket = number, claimed
                return
            if claimed is not None:
                claimed.close()

    def close(self) -> None:
        """Let others have the domain."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def domain_in_use(number: int) -> bool:
    """Tell whether a DDS participant of this machine listens in a domain."""
    base = 7400 + 250 * number  # DDSI-RTPS 2.3, section 9.6.1.1
    for port in (base, *(base + 10 + 2 * index for index in range(_PARTICIPANTS))):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('', port))
            except OSError:
                return True
    return False


def _of_environment() -> set[int]:
    word = os.environ.get(DOMAIN_VARIABLE, '')
    return {int(word)} if word.isdecimal() else set()


def _claim(number: int) -> socket.socket | None:
    """Return a socket that stands for the domain, None when another process has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if sys.platform == 'linux':
            claim.bind(f'\0ros2_dice/domain/{number}')
    except OSError:
        claim.close()
        return None
    return claim
