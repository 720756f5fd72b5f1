# SPDX-License-Identifier: Apache-2.0
"""Errors are one line: what, how it is, what was expected, what to do."""
from __future__ import annotations

from typing import Any

import pytest

from ros2_dice.errors import DiceError, why


@pytest.mark.parametrize(('parts', 'line'), [
    ({}, 'the thing'),
    ({'got': 'fp8', 'expected': 'fp16'}, "the thing is 'fp8'; expected fp16"),
    ({'got': 0, 'next_step': 'give another one'}, 'the thing is 0 (give another one)'),
    ({'state': 'cut off', 'expected': 'a whole file', 'next_step': 'fetch it again'},
     'the thing is cut off; expected a whole file (fetch it again)'),
])
def test_the_parts_become_one_line(parts: dict[str, Any], line: str) -> None:
    error = DiceError('the thing', **parts)
    assert str(error) == error.text() == line


@pytest.mark.parametrize(('error', 'reason'), [
    (FileNotFoundError(2, 'No such file or directory', 'x.npz'), 'No such file or directory'),
    (ValueError('bad magic\nand more of it'), 'bad magic'), (EOFError(), 'EOFError'),
])
def test_the_reason_of_a_foreign_error_is_short(error: Exception, reason: str) -> None:
    assert why(error) == reason
