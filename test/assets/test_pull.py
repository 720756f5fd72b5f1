# SPDX-License-Identifier: Apache-2.0
"""Fetching: only right files get their names, whatever happens on the way."""
from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from house import CONTENT, WHEEL, House, write_wheel

from ros2_dice.assets import download as download_module
from ros2_dice.assets import fetch as fetch_module
from ros2_dice.assets import find_asset, pull
from ros2_dice.errors import AssetError

FILES = {f'{name}.tflite' for name in CONTENT}


def start(house: House, way: str, result: Path) -> subprocess.Popen[bytes]:
    """Pull in a process of its own, see house.py."""
    return subprocess.Popen([sys.executable, str(Path(__file__).with_name('house.py')), way,
                             str(house.share), str(house.wheel), str(result)],
                            env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])})


def check_all(house: House) -> None:
    assert house.names() == FILES
    for name, data in CONTENT.items():
        assert find_asset(name).read_bytes() == data


def test_pip_fetches_and_only_the_needed_members_are_taken(house: House) -> None:
    seen: list[tuple[str, int, int]] = []
    fresh = pull(progress=lambda *step: seen.append(step))
    assert [asset.name for asset in fresh] == list(CONTENT)
    check_all(house)
    assert any('netbox==1.2.3' in text for text, _, _ in seen)
    assert all(0 <= done <= total for _, done, total in seen if total)
    assert pull() == (), 'nothing is fetched twice'


def test_one_name(house: House) -> None:
    pull(['palm'])
    assert house.names() == {'palm.tflite'}


def test_force_mends_a_corrupted_file(house: House) -> None:
    pull()
    (house.data / 'eye.tflite').write_bytes(b'')
    assert [asset.name for asset in pull()] == ['eye'], 'a wrong file counts as missing'
    assert [asset.name for asset in pull(['ear'], force=True)] == ['ear']
    check_all(house)


def test_pip_without_the_wheel_says_what_to_do(house: House) -> None:
    house.wheel.unlink()
    with pytest.raises(AssetError, match=r'netbox==1\.2\.3') as caught:
        pull()
    assert 'No matching distribution' in str(caught.value.got)
    assert 'assets pull --from' in caught.value.next_step
    assert '--platform manylinux_2_28_x86_64' in caught.value.next_step
    assert house.names() == set()


def test_python_without_pip(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(AssetError, match='pip is missing') as caught:
        pull()
    assert 'ensurepip' in caught.value.next_step
    assert house.names() == set()


@pytest.mark.parametrize('kind', ['wheel', 'folder of the wheel', 'unpacked wheel', 'networks'])
def test_from_something_at_hand(house: House, tmp_path: Path, kind: str,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, 'download_wheel', None)  # a call would fail
    away = tmp_path / 'stick'
    away.mkdir()
    source = away
    if kind == 'wheel':
        source = house.wheel
    elif kind == 'folder of the wheel':
        shutil.copy(house.wheel, away)
    elif kind == 'unpacked wheel':
        with zipfile.ZipFile(house.wheel) as archive:
            archive.extractall(away)
    else:
        for name, data in CONTENT.items():
            (away / f'{name}.tflite').write_bytes(data)
    pull(source=source)
    check_all(house)


def test_from_a_single_network(house: House, tmp_path: Path) -> None:
    (tmp_path / 'palm.tflite').write_bytes(CONTENT['palm'])
    assert [asset.name for asset in pull(source=tmp_path / 'palm.tflite')] == ['palm']
    (tmp_path / 'renamed.bin').write_bytes(CONTENT['eye'])
    pull(['eye'], source=tmp_path / 'renamed.bin')
    assert house.names() == {'palm.tflite', 'eye.tflite'}
    with pytest.raises(AssetError, match='none of the wanted files'):
        pull(source=tmp_path / 'renamed.bin', force=True)


def test_from_a_folder_takes_the_right_one_of_several(house: House, tmp_path: Path) -> None:
    for sub, data in (('a', b'old'), ('b', CONTENT['eye'])):
        (tmp_path / 'stick' / sub).mkdir(parents=True)
        (tmp_path / 'stick' / sub / 'eye.tflite').write_bytes(data)
    pull(['eye'], source=tmp_path / 'stick')
    assert find_asset('eye').read_bytes() == CONTENT['eye']


def test_from_what_is_not_there(house: House, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match='does not exist'):
        pull(source=tmp_path / 'none.whl')
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(AssetError, match=r'eye\.tflite.*and 2 more'):
        pull(source=empty)


def test_a_tampered_wheel_is_refused_and_its_right_members_are_kept(house: House) -> None:
    write_wheel(house.wheel, {**CONTENT, 'palm': CONTENT['palm'][:-1] + b'!'})
    with pytest.raises(AssetError, match=r'palm\.tflite .* is refused') as caught:
        pull(source=house.wheel)
    assert caught.value.expected.startswith(f'{len(CONTENT["palm"])} bytes, sha256 ')
    assert house.names() == FILES - {'palm.tflite'}


def test_a_member_that_unpacks_to_gigabytes_is_not_unpacked(house: House) -> None:
    write_wheel(house.wheel, {**CONTENT, 'eye': b'\0' * (64 << 20)})
    began = time.monotonic()
    with pytest.raises(AssetError, match='more bytes'):
        pull(['eye'], source=house.wheel)
    assert time.monotonic() - began < 5
    assert house.names() == set()


def test_a_wheel_that_lacks_a_member(house: House) -> None:
    write_wheel(house.wheel, {name: CONTENT[name] for name in ('eye', 'palm')})
    with pytest.raises(AssetError, match=r'netbox/networks/ear\.tflite is not in'):
        pull(source=house.wheel)


@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.98])
def test_a_truncated_wheel(house: House, keep: float) -> None:
    data = house.wheel.read_bytes()
    house.wheel.write_bytes(data[:int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(AssetError, match='a whole file'):
        pull(source=house.wheel)
    assert house.names() == set()


def test_a_wheel_with_damaged_bytes(house: House) -> None:
    data = bytearray(house.wheel.read_bytes())
    start = data.index(b'eye.tflite') + len('eye.tflite')
    data[start:start + 8] = bytes(8)
    house.wheel.write_bytes(data)
    with pytest.raises(AssetError):
        pull(['eye'], source=house.wheel)
    assert house.names() == set()


def test_failing_writes_leave_no_half_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    pull(['eye'])

    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(fetch_module.os, 'fsync', full)
    with pytest.raises(AssetError, match='No space left'):
        pull(force=True)
    assert house.names() == {'eye.tflite'}
    assert find_asset('eye').read_bytes() == CONTENT['eye'], 'the old one stays'


def test_an_interrupt_leaves_nothing(house: House) -> None:
    def stop(text: str, *_: int) -> None:
        if 'palm' in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(source=house.wheel, progress=stop)
    assert house.names() == {'eye.tflite'}, 'whole files stay, parts go'


def test_an_interrupt_while_pip_works_ends_pip(
        house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, 'pip_command', lambda *_, **__: [
        sys.executable, '-c', 'import time; time.sleep(60)'])
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **kwargs))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(download_module.subprocess, 'Popen', start)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(progress=stop)
    assert started[0].poll() == -signal.SIGTERM
    assert house.names() == set()


def test_folders_may_go_while_the_progress_is_counted(tmp_path: Path) -> None:
    """pip removes folders of its own meanwhile; this once failed a pull."""
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            (tmp_path / 'a' / 'b').mkdir(parents=True)
            shutil.rmtree(tmp_path / 'a')

    worker = threading.Thread(target=come_and_go)
    worker.start()
    try:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            assert download_module._size_bytes(tmp_path) == 0
    finally:
        stop.set()
        worker.join()


def test_leftovers_of_a_killed_pull_are_removed(house: House) -> None:
    leftover = house.data / '.pull-abc'
    leftover.mkdir(parents=True)
    (leftover / 'eye.tflite').write_bytes(b'half')
    pull(['eye'])
    assert house.names() == {'eye.tflite'}


def test_a_pull_killed_outright_leaves_the_folder_usable(house: House, tmp_path: Path) -> None:
    child = start(house, 'die', tmp_path)
    assert child.wait(20) == -signal.SIGKILL
    assert (house.data / 'eye.tflite').read_bytes() == CONTENT['eye']
    assert not (house.data / 'palm.tflite').exists()
    pull(source=house.wheel)  # neither the lock nor the part is in the way
    check_all(house)


def test_concurrent_pulls_fetch_once(house: House, tmp_path: Path) -> None:
    children = [start(house, 'count', tmp_path / 'count') for _ in range(4)]
    assert [child.wait(30) for child in children] == [0] * 4
    assert (tmp_path / 'count').read_text() == 'x', 'who waited found the files'
    check_all(house)


def test_waiting_is_said(house: House) -> None:
    house.data.mkdir()
    import fcntl

    said: list[str] = []
    with (house.data / '.lock').open('a') as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)

        def let_go(text: str, *_: int) -> None:
            said.append(text)
            fcntl.flock(holder, fcntl.LOCK_UN)

        pull(['eye'], source=house.wheel, progress=let_go)
    assert said[0] == 'Waiting for another pull'
    assert house.names() == {'eye.tflite'}


def test_a_file_system_without_locks_takes_files_all_the_same(
        house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder that is mounted over the network may have none."""
    def no_locks(handle: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr('fcntl.flock', no_locks)
    pull(source=house.wheel)
    for name in CONTENT:
        assert find_asset(name)


def test_a_data_folder_that_is_a_file(house: House) -> None:
    house.data.write_text('not a folder')
    with pytest.raises(AssetError, match="can't be written") as caught:
        pull()
    assert 'ROS2_DICE_DATA' in caught.value.next_step


def test_a_read_only_folder(house: House, tmp_path: Path) -> None:
    # pytest's folders belong to this user alone; root, whom no permission stops, goes as nobody.
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    house.data.mkdir()
    house.data.chmod(0o555)
    result = tmp_path / 'result'
    result.touch()
    result.chmod(0o666)
    start(house, 'nobody', result).wait(20)
    house.data.chmod(0o755)
    assert "can't be written (Permission denied)" in result.read_text()
    assert house.names() == set()


@pytest.mark.parametrize(('name', 'said'), [
    ('mine', 'https://example.org'), ('body', 'ships with the package'), ('nose', 'eye, palm')])
def test_what_can_t_be_fetched_says_why(house: House, name: str, said: str) -> None:
    with pytest.raises(AssetError, match=said):
        pull([name])


def test_nothing_of_the_wheel_is_run_or_installed(house: House) -> None:
    pull()
    assert WHEEL.startswith('netbox')
    with pytest.raises(ImportError):
        __import__('netbox')
