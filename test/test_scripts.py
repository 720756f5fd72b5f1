# SPDX-License-Identifier: Apache-2.0
"""The README's two scripts: what they say and do where the system lacks something."""
from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ('tools/demo.sh', 'tools/test.sh', '.ci/run')
NEEDED = ('bash', 'env', 'uname', 'dirname', 'basename', 'tr', 'cat', 'sort', 'sha256sum', 'find',
          'printf')

pytestmark = pytest.mark.skipif(platform.machine() != 'x86_64' or sys.platform != 'linux',
                                reason='the wheels are for Linux on x86_64 only')


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a folder of commands without Python, compiler and apt-get, as an ordinary user."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    command(folder, 'id', 'echo 1000')
    return folder


def command(folder: Path, name: str, line: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/bash\n{line}\n')
    path.chmod(0o755)


def run(bare: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ['bash', str(ROOT / script)], capture_output=True, text=True, timeout=60,
        env={'PATH': str(bare), 'HOME': str(bare),
             'ROS2_DICE_VENV': str(bare.parent / 'venv'), **variables})


@pytest.mark.parametrize('script', SCRIPTS)
def test_scripts_may_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(['bash', '-n', str(ROOT / script)], check=True)


@pytest.mark.parametrize('script', SCRIPTS[:2])
def test_a_user_is_told_the_exact_line(bare: Path, script: str) -> None:
    done = run(bare, script)
    assert done.returncode == 1
    assert 'sudo apt-get install -y python3 python3-venv python3-dev gcc g++' in done.stderr
    assert not (bare.parent / 'venv').exists()


def test_only_what_is_lacking_is_named(bare: Path) -> None:
    (bare / 'python3').symlink_to(Path(sys.executable).resolve())
    command(bare, 'gcc', 'true')
    if subprocess.run([bare / 'python3', '-c', 'import ensurepip'], check=False).returncode:
        pytest.skip('this Python itself lacks ensurepip')
    done = run(bare, 'tools/test.sh')
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if 'lacks' in line)
    assert 'g++' in line
    assert 'gcc' not in line
    assert 'venv' not in line


def test_root_gets_it_installed(bare: Path) -> None:
    command(bare, 'id', 'echo 0')
    command(bare, 'apt-get', f'echo "$@" >>{bare.parent}/apt')
    done = run(bare, 'tools/demo.sh')
    assert (bare.parent / 'apt').read_text().splitlines() == [
        'update -qq',
        'install -y -qq --no-install-recommends python3 python3-venv python3-dev gcc g++']
    assert done.returncode == 1, 'this apt-get installs nothing'
    assert 'no Python of 3.10 to 3.13 found' in done.stderr


def test_other_machines_are_sent_to_their_distribution(bare: Path) -> None:
    (bare / 'uname').unlink()
    command(bare, 'uname', '[ "$1" = -m ] && echo aarch64 || echo Linux')
    done = run(bare, 'tools/demo.sh')
    assert done.returncode == 1
    assert 'colcon' in done.stderr


def test_what_another_environment_left_is_cleared(bare: Path) -> None:
    command(bare, 'python3', 'env >' + f'{bare.parent}/seen; exit 1')
    run(bare, 'tools/demo.sh', _ROS_WHEELS_BOOTSTRAP_COMPLETE='1', LD_LIBRARY_PATH='/elsewhere',
        PYTHONPATH='/opt/ros')
    seen = (bare.parent / 'seen').read_text()
    for name in ('_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'LD_LIBRARY_PATH', 'PYTHONPATH'):
        assert f'{name}=' not in seen


@pytest.mark.parametrize(('stamp', 'holds', 'wanted', 'there'), [
    ('ros', 'sum', 'ros', True), ('ros,dice,test', 'sum', 'ros', True),
    ('ros,dice,test', 'sum', 'test,dice', True), ('ros', 'sum', 'ros,dice,test', False),
    ('ros', 'older', 'ros', False), ('dice', 'sum', 'dic', False)])
def test_what_an_install_brought_is_not_installed_again(
        bare: Path, stamp: str, holds: str, wanted: str, there: bool) -> None:
    (bare.parent / 'venv').mkdir()
    (bare.parent / 'venv' / f'ros2_dice-{stamp}').write_text(holds)
    done = subprocess.run(
        ['bash', '-c', f'. {ROOT}/tools/environment.sh; installed {wanted} sum'],
        env={'PATH': str(bare), 'ROS2_DICE_VENV': str(bare.parent / 'venv')}, timeout=60)
    assert (done.returncode == 0) is there
