# SPDX-License-Identifier: Apache-2.0
"""Faults of the engine cache: each time the start goes on, says so, and the next one is right."""
from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_rungs import ToyRung, ladder, reference

from ros2_dice.errors import AssetError, EngineError
from ros2_dice.landmarks.networks import load_networks
from ros2_dice.parameters import Settings
from ros2_dice.runtime import cache as cache_module
from ros2_dice.runtime.cache import QUARANTINE_S, QUARANTINED, EngineCache
from ros2_dice.runtime.engine_file import Entry, Sample, read_entry
from ros2_dice.runtime.ladder import Wish

KEY = {'engine': 'openvino', 'precision': 'fp32', 'batch': 'b1', 'weights': 'w1'}


def entry(size: int = 1000, **key: str) -> Entry:
    """Return an entry with a payload of some size."""
    payload = memoryview(bytes(range(256)) * (size // 256) + bytes(size % 256))
    return Entry({**KEY, **key}, payload, reference(), {'build_s': 1.5})


def only_engine(folder: Path) -> Path:
    """Return the one engine of a folder."""
    (path,) = folder.glob('*.engine')
    return path


def start(folder: Path, **rung: object) -> tuple[ToyRung, list[str], float]:
    """Choose as a node would; return rung, log and the answer to 1."""
    said: list[str] = []
    toy = ToyRung(**rung)  # type: ignore[arg-type]
    engine = ladder(folder, toy, said=said).choose(Wish(), build=True).engine
    answer = engine.infer({'x': np.ones((1, 3), np.float32)})['y']
    return toy, said, float(answer[0, 0])


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    path = cache.store(entry())
    assert path is not None
    assert path == cache.path(KEY)
    found = cache.find(KEY)
    assert found is not None
    assert bytes(found.payload) == bytes(entry().payload)
    assert dict(found.key) == KEY
    assert found.facts == {'build_s': 1.5}
    assert isinstance(found.proof, Sample)
    np.testing.assert_array_equal(found.proof.outputs['y'], reference().outputs['y'])
    assert (path.stat().st_mode & 0o077) == 0


def test_an_entry_can_say_that_nothing_is_worth_keeping(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.store(Entry(KEY, memoryview(b''), None, {'difference': {'metres': 1.0}}))
    found = cache.find(KEY)
    assert found is not None
    assert (len(found.payload), found.proof) == (0, None)


def flip(position: int) -> Callable[[Path], None]:
    """Return a fault that flips a byte."""
    def fault(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 0x10
        path.write_bytes(data)
    return fault


def other_key(path: Path) -> None:
    """Put an engine of other weights under this name."""
    cache = EngineCache(path.parent)
    other = cache.store(entry(weights='w2'))
    assert other is not None
    os.replace(other, path)


def other_payload(path: Path) -> None:
    """Put a whole file in place whose engine answers something else."""
    found = read_entry(path)
    cache = EngineCache(path.parent)
    cache.store(Entry(found.key, memoryview(b'{"error": 0.25}'), found.proof, found.facts))


def unloadable(path: Path) -> None:
    """Put a whole file in place that the library refuses."""
    found = read_entry(path)
    EngineCache(path.parent).store(
        Entry(found.key, memoryview(b'no JSON'), found.proof, found.facts))


@pytest.mark.parametrize(('fault', 'words'), [
    (lambda p: p.write_bytes(b''), 'empty'),
    (lambda p: p.write_bytes(p.read_bytes()[:-1]), 'cut off or changed'),
    (lambda p: p.write_bytes(p.read_bytes()[:200]), 'cut off or changed'),
    (lambda p: p.write_bytes(p.read_bytes()[:10]), 'not an engine of this version'),
    (lambda p: p.write_bytes(os.urandom(5000)), 'not an engine of this version'),
    (lambda p: p.write_bytes(p.read_bytes() + b'x'), 'cut off or changed'),
    (flip(0), 'not an engine of this version'), (flip(20), 'cut off or changed'),
    (flip(100), 'cut off or changed'), (flip(-40), 'cut off or changed'),
    (flip(-1), 'cut off or changed'), (other_key, "belongs to device 'none', not 'cpu'"),
    (other_payload, 'did not prove itself'), (unloadable, 'did not prove itself')])
def test_a_bad_file_is_moved_aside_and_built_anew(
        tmp_path: Path, fault: Callable[[Path], None], words: str) -> None:
    start(tmp_path)
    fault(only_engine(tmp_path))
    toy, said, answer = start(tmp_path)
    assert (toy.builds, answer) == (1, 2.0)
    assert any(words in line for line in said), said
    assert len(list((tmp_path / 'quarantine').glob('*.bad'))) == 1
    toy, said, answer = start(tmp_path)
    assert (toy.builds, answer, said) == (0, 2.0, [])


def test_quarantine_is_bounded(tmp_path: Path) -> None:
    for _ in range(QUARANTINED + 2):
        start(tmp_path)
        flip(-1)(only_engine(tmp_path))
        start(tmp_path)
    assert len(list((tmp_path / 'quarantine').glob('*.bad'))) == QUARANTINED


@pytest.mark.parametrize(('age_s', 'left'), [
    (QUARANTINE_S - 3600.0, 2), (QUARANTINE_S + 3600.0, 1)])
def test_quarantined_files_go_after_a_while(tmp_path: Path, age_s: float, left: int) -> None:
    start(tmp_path)
    flip(-1)(only_engine(tmp_path))
    start(tmp_path)
    first, = (tmp_path / 'quarantine').glob('*.bad')
    used_s = time.time() - age_s
    os.utime(first, (used_s, used_s))
    flip(-1)(only_engine(tmp_path))
    start(tmp_path)
    assert len(list((tmp_path / 'quarantine').glob('*.bad'))) == left


def test_a_file_that_can_not_be_read_is_built_anew(tmp_path: Path) -> None:
    start(tmp_path)
    path = only_engine(tmp_path)
    path.unlink()
    path.mkdir()  # root reads whatever the mode says
    toy, said, answer = start(tmp_path)
    assert (toy.builds, answer) == (1, 2.0)
    assert any("can't be read" in line for line in said)


def test_a_folder_that_can_not_be_made_costs_only_the_cache(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    toy, said, answer = start(tmp_path / 'file' / 'engines')
    assert (toy.builds, answer) == (1, 2.0)
    assert any('not kept' in line for line in said)


def test_a_read_only_disk_costs_only_the_cache(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    start(tmp_path)
    monkeypatch.setattr(cache_module.tempfile, 'NamedTemporaryFile', refuse)
    monkeypatch.setattr(cache_module.os, 'utime', refuse)
    monkeypatch.setattr(cache_module.os, 'replace', refuse)
    monkeypatch.setattr('fcntl.flock', lambda *args: None)
    toy, said, answer = start(tmp_path)
    assert (toy.builds, answer, said) == (0, 2.0, []), 'what is there serves'
    toy, said, answer = start(tmp_path, version='2')
    assert (toy.builds, answer) == (1, 2.0)
    assert any('Read-only file system' in line for line in said)


@pytest.mark.parametrize('at_byte', [0, 100, 900])
def test_a_full_disk_costs_only_the_cache(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_byte: int) -> None:
    def write(stream: object, entry: Entry) -> int:
        os.write(stream.fileno(), bytes(at_byte))  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, 'write_entry', write)
        toy, said, answer = start(tmp_path)
    assert (toy.builds, answer) == (1, 2.0)
    assert any('No space left' in line for line in said)
    assert {path.suffix for path in tmp_path.iterdir()} <= {'.lock'}
    assert start(tmp_path)[0].builds == 1
    assert start(tmp_path)[0].builds == 0


def test_room_is_asked_for_before_writing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(cache_module.shutil.disk_usage(tmp_path))
    monkeypatch.setattr(cache_module.shutil, 'disk_usage', lambda path: usage(100, 99, 1))
    said: list[str] = []
    assert EngineCache(tmp_path, say=said.append).store(entry()) is None
    assert 'No space left' in said[0]


def test_the_least_recently_used_engines_go_first(tmp_path: Path) -> None:
    said: list[str] = []
    cache = EngineCache(tmp_path, limit_bytes=(64 << 20) + 25_000, say=said.append)
    for number, name in enumerate('abc'):
        path = cache.store(entry(6000, weights=name))
        assert path is not None
        os.utime(path, (number, number))
    assert cache.find({**KEY, 'weights': 'a'}) is not None  # used just now
    cache.store(entry(10_000, weights='d'))
    left = [name for name in 'abcd' if cache.path({**KEY, 'weights': name}).exists()]
    assert left == ['a', 'c', 'd']
    assert 'full' in said[0]


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(EngineError, match='writable by others.*chmod'):
        EngineCache(tmp_path)


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                             ) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        monkeypatch.setattr('os.geteuid', lambda: 12345)
    with pytest.raises(EngineError, match="another user's.*chown"):
        EngineCache(tmp_path)


def test_networks_are_not_taken_from_a_folder_that_others_may_write_to(tmp_path: Path) -> None:
    """OpenVINO keeps what it compiled for the open estimator there: programs, too."""
    tmp_path.chmod(0o777)
    settings = Settings({'backend.cache_directory': str(tmp_path)})
    with pytest.raises(EngineError, match='writable by others'):
        load_networks(settings, str(tmp_path))


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """OpenVINO would make it writable by the group, and the engine cache refuse it then."""
    settings = Settings({'backend.cache_directory': str(tmp_path / 'new')})
    before = os.umask(0o002)
    try:
        with pytest.raises(AssetError):
            load_networks(settings, str(tmp_path))
    finally:
        os.umask(before)
    assert EngineCache(tmp_path / 'new').folder.stat().st_mode & 0o777 == 0o700


def test_a_file_system_without_locks_keeps_engines_all_the_same(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some that are mounted over the network have none."""
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr('fcntl.flock', no_locks)
    cache = EngineCache(tmp_path)
    other = tmp_path / 'another-0123.engine.0.part'
    other.touch()
    with cache.locked(KEY) as locked:
        assert not locked
        assert cache.store(entry()) is not None
    assert cache.find(KEY) is not None
    assert other.exists(), 'somebody may be at work on it'


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from toy_rungs import ToyRung, ladder
from ros2_dice.runtime import cache
from ros2_dice.runtime.ladder import Wish

folder, mode = Path(sys.argv[2]), sys.argv[3]
class Slow(ToyRung):
    def build(self, progress):
        payload = super().build(progress)
        (folder / 'building').touch()
        while mode == 'die' or (mode == 'wait' and not (folder / 'go').exists()):
            time.sleep(0.01)
        return payload
if mode == 'die-writing':
    def write(stream, entry):
        stream.write(b'half')
        stream.flush()
        (folder / 'building').touch()
        time.sleep(600)
    cache.write_entry = write
rung = Slow()
ladder(folder, rung).choose(Wish(), build=True)
print(rung.builds)
"""


def child(folder: Path, mode: str) -> subprocess.Popen[str]:
    """Start another process that wants the same engine."""
    return subprocess.Popen(
        [sys.executable, '-c', CHILD, str(Path(__file__).parent), str(folder), mode],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a file is there."""
    while not path.exists():
        assert process.poll() is None, 'ended early'
        time.sleep(0.01)


def test_two_processes_build_one_engine_once(tmp_path: Path) -> None:
    first = child(tmp_path, 'wait')
    wait_for(tmp_path / 'building', first)
    second = child(tmp_path, 'wait')
    time.sleep(0.2)  # the second may come to wait; either way only one builds
    (tmp_path / 'go').touch()
    counts = [int(process.communicate(timeout=60)[0]) for process in (first, second)]
    assert counts == [1, 0]
    assert start(tmp_path)[0].builds == 0


@pytest.mark.parametrize('mode', ['die', 'die-writing'])
def test_killed_in_the_middle_of_a_build(tmp_path: Path, mode: str) -> None:
    process = child(tmp_path, mode)
    wait_for(tmp_path / 'building', process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    toy, _, answer = start(tmp_path)
    assert (toy.builds, answer) == (1, 2.0)
    assert not list(tmp_path.glob('*.part'))
    assert start(tmp_path)[0].builds == 0


def test_waiting_for_another_build_is_said_and_can_be_given_up(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)

    def give_up(waited_s: float) -> None:
        raise TimeoutError(f'{waited_s:.0f}')

    with cache.locked(KEY) as here:
        assert here
        with pytest.raises(TimeoutError), cache.locked(KEY, give_up):
            pass
    with cache.locked(KEY, give_up) as here:
        assert here
