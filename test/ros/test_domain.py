# SPDX-License-Identifier: Apache-2.0
"""A run of its own gets a domain of its own."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from ros2_dice.ros.domain import DomainClaim, domain_in_use

FIRST = 61 + os.getpid() % 40
"""Where to look; another run of the tests looks elsewhere."""


@pytest.fixture
def claims():
    """`claims(**arguments)`: a claim that ends with the test."""
    made: list[DomainClaim] = []

    def claim(**arguments) -> DomainClaim:
        made.append(DomainClaim(**arguments))
        return made[-1]

    yield claim
    for one in made:
        one.close()


def test_two_claims_differ_and_a_closed_one_is_free_again(claims):
    first, second = claims(first=FIRST), claims(first=FIRST)
    assert first.id != second.id
    first.close()
    assert claims(first=first.id).id == first.id


def test_the_users_domain_is_left_alone(claims, monkeypatch):
    free = claims(first=FIRST)
    free.close()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(free.id))
    assert claims(first=free.id).id != free.id
    assert claims(first=free.id, taken=()).id == free.id


def test_a_domain_with_a_participant_is_left_alone(claims):
    free = claims(first=FIRST)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(('127.0.0.1', 7400 + 250 * free.id + 12))  # the second one
        assert domain_in_use(free.id)
        free.close()
        assert claims(first=free.id).id != free.id


def test_a_killed_process_leaves_no_claim(claims):
    code = (f'from ros2_dice.ros.domain import DomainClaim\nimport time\n'
            f'claim = DomainClaim(first={FIRST}, taken=())\nprint(claim.id, flush=True)\n'
            'time.sleep(60)')
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                          text=True) as other:
        assert other.stdout is not None
        number = int(other.stdout.readline())
        assert claims(first=number).id != number
        other.send_signal(signal.SIGKILL)
        other.wait(10)
    assert claims(first=number, taken=()).id == number


def test_this_run_of_the_tests_has_one():
    number = int(os.environ['ROS_DOMAIN_ID'])
    assert 1 <= number <= 100
    with pytest.raises(OSError, match='in use'):
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(f'\0ros2_dice/domain/{number}')
