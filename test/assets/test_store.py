# SPDX-License-Identifier: Apache-2.0
"""A file is given out only when it is what the manifest names."""
from __future__ import annotations

import os
from pathlib import Path

import pytest
from house import CONTENT, House

from ros2_dice.assets import (
    Condition,
    asset_named,
    check_asset,
    data_folder,
    find_asset,
    missing_assets,
)
from ros2_dice.assets import store as store_module
from ros2_dice.errors import AssetError


def put(house: House, name: str, data: bytes | None = None) -> Path:
    house.data.mkdir(exist_ok=True)
    path = house.data / f'{name}.tflite'
    path.write_bytes(CONTENT[name] if data is None else data)
    return path


def test_a_right_file_is_found(house: House) -> None:
    path = put(house, 'eye')
    assert find_asset('eye') == path
    assert check_asset(asset_named('eye')) is Condition.PRESENT


def test_a_shipped_file_is_found_in_the_share_folder(house: House) -> None:
    assert find_asset('body') == house.share / 'model' / 'body.npz'


def test_missing_names_the_folder_and_the_command(house: House) -> None:
    put(house, 'palm')
    put(house, 'ear')
    with pytest.raises(AssetError, match='missing') as caught:
        find_asset('eye')
    assert caught.value.next_step == 'ros2-dice assets pull eye'


def test_one_command_fetches_all_when_several_are_missing(house: House) -> None:
    with pytest.raises(AssetError, match='missing') as caught:
        find_asset('eye')
    assert caught.value.next_step == 'ros2-dice assets pull'
    assert str(house.data) in str(caught.value)
    assert not house.data.exists(), 'looking makes no folder'


def test_the_command_names_a_folder_given_by_parameter(house: House, tmp_path: Path) -> None:
    folder = tmp_path / 'my weights'
    with pytest.raises(AssetError) as caught:
        find_asset('eye', str(folder))
    assert caught.value.next_step == f"ros2-dice assets pull --directory '{folder}'"


@pytest.mark.parametrize('change', ['flip', 'cut', 'empty', 'longer'])
def test_a_wrong_file_is_refused_with_what_was_got_and_expected(house: House, change: str) -> None:
    right = CONTENT['eye']
    wrong = {'flip': b'E' + right[1:], 'cut': right[:-1], 'empty': b'', 'longer': right + b'!'}
    put(house, 'eye', wrong[change])
    with pytest.raises(AssetError) as caught:
        find_asset('eye')
    error = caught.value
    assert error.next_step == 'ros2-dice assets pull eye --force'
    if change == 'flip':
        assert error.expected == asset_named('eye').sha256
        assert isinstance(error.got, str)
        assert len(error.got) == 64
        assert error.got != error.expected
    else:
        assert error.expected == '3000 bytes'
        got = {'cut': '2999', 'empty': 'empty', 'longer': '3001'}[change]
        assert error.state.startswith(got)
    assert check_asset(asset_named('eye')) is Condition.CORRUPTED


def test_a_file_that_changes_after_it_was_checked_is_checked_again(house: House) -> None:
    path = put(house, 'eye')
    find_asset('eye')
    before = path.stat()
    path.write_bytes(b'E' + CONTENT['eye'][1:])  # same size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(AssetError, match='sha256'):
        find_asset('eye')


def test_a_file_is_hashed_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    put(house, 'eye')
    calls: list[Path] = []
    digest = store_module.file_digest
    monkeypatch.setattr(store_module, 'file_digest',
                        lambda path: calls.append(path) or digest(path))
    for _ in range(3):
        find_asset('eye')
    assert len(calls) == 1


def test_unknown_name_lists_the_names(house: House) -> None:
    with pytest.raises(AssetError, match='eye, palm'):
        find_asset('nose')


def test_what_the_user_brings_says_where_to_get_it(house: House) -> None:
    with pytest.raises(AssetError, match='https://example.org') as caught:
        find_asset('mine')
    assert 'ros2-dice import --mine mine.pkl' in caught.value.next_step
    house.data.mkdir()
    (house.data / 'mine.pkl').write_bytes(b'anything')
    assert check_asset(asset_named('mine')) is Condition.UNVERIFIED


def test_a_folder_in_the_file_s_place(house: House) -> None:
    (house.data / 'eye.tflite').mkdir(parents=True)
    with pytest.raises(AssetError):
        find_asset('eye')
    assert check_asset(asset_named('eye')) is Condition.CORRUPTED


def test_missing_assets_lists_an_estimator_s_gaps(house: House) -> None:
    put(house, 'eye')
    put(house, 'palm', b'wrong')
    assert [asset.name for asset in missing_assets('open')] == ['palm', 'ear']


def test_where_the_data_folder_is(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS2_DICE_DATA', str(tmp_path / 'env'))
    assert data_folder() == tmp_path / 'env'
    assert data_folder(tmp_path / 'given') == tmp_path / 'given', 'the parameter comes first'
    monkeypatch.delenv('ROS2_DICE_DATA')
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'xdg'))
    monkeypatch.setenv('HOME', str(tmp_path))
    assert data_folder().name == 'ros2_dice'
    assert tmp_path in data_folder().parents
