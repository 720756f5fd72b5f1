# SPDX-License-Identifier: Apache-2.0
"""What the README points at is there."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from ros2_dice.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ('README.md', 'model/README.md', 'CONTRIBUTING.md', 'QUALITY_DECLARATION.md',
         'docs/bring_your_own_weights.md')


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r'\]\(([^)#]+)[^)]*\)', path.read_text()):
        if '://' not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize('page', PAGES)
def test_commands_and_files_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    for verb in re.findall(r'ros2-dice ([a-z-]+)', text):
        assert verb in VERBS, verb
    for name in re.findall(r'(?<![\w/])(?:tools|config|model|docs|test)/[\w/]+\.\w+', text):
        assert (ROOT / name).is_file(), name


def test_the_two_commands_are_named() -> None:
    text = (ROOT / 'README.md').read_text()
    assert './tools/demo.sh' in text
    assert './tools/test.sh' in text
