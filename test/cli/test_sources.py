# SPDX-License-Identifier: Apache-2.0
"""Picture arguments and the names of results."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ros2_dice.cli.sources import check_out, expand, result_names
from ros2_dice.errors import ConfigError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ('b.jpg', 'a.PNG', 'notes.txt', 'sub/c.jpg'):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / 'in'


def test_a_folder_means_its_pictures_in_order(pictures: Path) -> None:
    files, problems = expand([str(pictures)])
    assert [path.name for path in files] == ['a.PNG', 'b.jpg']
    assert not problems


def test_a_pattern_that_the_shell_left_alone(pictures: Path) -> None:
    files, _ = expand([f'{pictures}/*.jpg', f'{pictures}/**/*.jpg'])
    assert [path.name for path in files] == ['b.jpg', 'c.jpg'], 'each once'


def test_a_file_is_taken_whatever_its_name_and_a_missing_one_too(pictures: Path) -> None:
    files, problems = expand([str(pictures / 'notes.txt'), str(pictures / 'none.jpg')])
    assert [path.name for path in files] == ['notes.txt', 'none.jpg']
    assert not problems


def test_brackets_in_a_real_name_are_no_pattern(tmp_path: Path) -> None:
    (tmp_path / 'x[1].jpg').touch()
    assert expand([str(tmp_path / 'x[1].jpg')])[0] == [tmp_path / 'x[1].jpg']


def test_what_means_nothing_is_a_problem(pictures: Path) -> None:
    (pictures / 'empty').mkdir()
    files, problems = expand([f'{pictures}/*.webp', str(pictures / 'empty')])
    assert not files
    assert [(argument, error.what) for argument, error in problems.items()] == [
        (f'{pictures}/*.webp', f'{pictures}/*.webp matches no file'),
        (f'{pictures}/empty', f'{pictures}/empty holds no picture')]


def test_equal_stems_get_numbers() -> None:
    files = [Path(name) for name in ('p/x.jpg', 'p/x.png', 'q/x.jpg', 'p/x_2.jpg', 'y.v1.jpg')]
    assert result_names(files) == ['x', 'x_2', 'x_3', 'x_2_2', 'y.v1']


def test_a_folder_with_sources_is_refused_also_through_a_link(tmp_path: Path) -> None:
    source = tmp_path / 'in' / 'x.png'
    source.parent.mkdir()
    source.touch()
    os.symlink(source.parent, tmp_path / 'link')
    for out in (source.parent, tmp_path / 'link'):
        with pytest.raises(ConfigError, match='holds the picture x.png'):
            check_out([source], out)
    check_out([source], tmp_path / 'out')
    with pytest.raises(ConfigError, match=r'x\.png is a file; expected a folder'):
        check_out([], source)
