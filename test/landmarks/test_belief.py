# SPDX-License-Identifier: Apache-2.0
"""Trust, votes, names and cuts."""
from __future__ import annotations

import re

import numpy as np
import pytest

from ros2_dice.landmarks.belief import Belief, find_threshold
from ros2_dice.landmarks.cut import CutDetector
from ros2_dice.landmarks.ids import IdSource
from ros2_dice.landmarks.vote import SideVote
from ros2_dice.types import Frame


def test_find_threshold() -> None:
    """Finds need more than tracks; the ends of the range stay."""
    assert find_threshold(0.5) == pytest.approx(0.85)
    assert find_threshold(1.0) == 1.0
    assert find_threshold(0.0) < find_threshold(0.5)


def test_new_track_proves_itself() -> None:
    """Two good looks, and it is believed; a doubtful one ends it."""
    belief = Belief(0.9, proven=False)
    assert not belief.confirmed
    assert belief.add(0.9, 0.5)
    assert not belief.confirmed
    assert belief.add(0.85, 0.5)
    assert belief.confirmed
    assert not Belief(0.9, proven=False).add(0.7, 0.5)


def test_old_track_may_fail_for_a_moment() -> None:
    """One middling look is no loss, many are; a hopeless one is at once."""
    belief = Belief(0.95, proven=True)
    assert belief.add(0.45, 0.5)
    assert not belief.add(0.1, 0.5)
    assert [belief.add(0.42, 0.5) for _ in range(20)][-1] is False
    assert belief.add(0.99, 0.5) is True


def test_vote() -> None:
    """One frame does not settle it, three do, and one mistake does not turn it."""
    vote = SideVote()
    assert vote.confidence == 0.5
    vote.add(0.9)
    assert vote.looks_right
    assert not vote.settled
    for _ in range(3):
        vote.add(0.98)
    assert vote.settled
    assert vote.confidence > 0.99
    vote.add(0.0)
    assert vote.looks_right
    for _ in range(10):
        vote.add(0.0)
    assert not vote.looks_right


def test_ids_are_never_used_twice() -> None:
    """Five characters each, all different."""
    source = IdSource()
    names = [source.new() for _ in range(500)]
    assert len(set(names)) == 500
    assert all(re.fullmatch('[a-z0-9]{5}', name) for name in names)


def test_deterministic_ids() -> None:
    """a0000, a0001, ... and on past the ten thousandth, and past z9999."""
    source = IdSource(deterministic=True)
    names = [source.new() for _ in range(263_000)]
    assert names[:2] == ['a0000', 'a0001']
    assert names[10_000] == 'b0000'
    assert names[259_999:260_001] == ['z9999', 'aa000']
    assert names[262_999] == 'ac999'
    assert len(set(names)) == len(names)


def picture(value: int, size: tuple[int, int] = (48, 64)) -> Frame:
    """Return a grey frame."""
    return Frame(np.full((*size, 3), value, np.uint8))


def test_cut() -> None:
    """The first frame and a change of most of the picture are cuts; a moving part is none."""
    cuts = CutDetector()
    assert cuts.is_cut(picture(100))
    assert not cuts.is_cut(picture(104))
    moved = np.full((48, 64, 3), 100, np.uint8)
    moved[:, :10] = 200
    assert not cuts.is_cut(Frame(moved))
    assert cuts.is_cut(picture(220))
    assert cuts.is_cut(picture(220, (720, 1280)))  # another size is another scene
    assert not cuts.is_cut(picture(220, (720, 1280)))
    cuts.reset()
    assert cuts.is_cut(picture(220))


def test_cut_of_one_pixel() -> None:
    """The smallest picture is enough."""
    cuts = CutDetector()
    assert cuts.is_cut(picture(0, (1, 1)))
    assert cuts.is_cut(picture(255, (1, 1)))
