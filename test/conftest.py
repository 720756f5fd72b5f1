# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures. Every run of the tests is its own ROS network, on this machine only."""
from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from script_module import load_script

from ros2_dice.ros.domain import DOMAIN_VARIABLE, DomainClaim

ROOT = Path(__file__).resolve().parents[1]

_CLAIM = DomainClaim()
# Before rclpy is imported: the middleware reads these once per process.
os.environ[DOMAIN_VARIABLE] = str(_CLAIM.id)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['RMW_IMPLEMENTATION'] = 'rmw_fastrtps_cpp'
for variable in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
    os.environ[variable] = str(ROOT / 'config' / 'fast_ci.xml')
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'  # off by default: wrong field types pass unseen
os.environ['ROS_LOG_DIR'] = tempfile.mkdtemp(prefix='ros2_dice_test_log_')
atexit.register(shutil.rmtree, os.environ['ROS_LOG_DIR'], ignore_errors=True)
if Path(sys.prefix, 'share', 'ament_index').is_dir():
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)

MATERIAL_VARIABLE = 'ROS2_DICE_MATERIAL'


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> bool:
    """
    Poll until the condition holds; False when it did not in time.

    On a machine with a load of 16 a process took half a minute to start.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(name='wait_until')
def wait_until_fixture() -> Callable[..., bool]:
    """`wait_until(condition, timeout_s=60)`, for test modules that can't import conftest."""
    return wait_until


@pytest.fixture(scope='session')
def material() -> Path:
    """Folder of real pictures and clips; the test is skipped where there is none."""
    folder = Path(os.environ.get(MATERIAL_VARIABLE) or ROOT.parent / 'shared' / 'material')
    if not (folder / 'labels.json').is_file():
        pytest.skip(f'no test material; set {MATERIAL_VARIABLE}')
    return folder


@pytest.fixture
def node() -> Iterator[Any]:
    """A node of the test's own, spun in a thread, torn down in the order that rclpy needs."""
    rclpy = pytest.importorskip('rclpy')
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node('test_node', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, name='test_node')
    thread.start()
    yield node
    executor.shutdown()   # wakes spin() up
    thread.join(10)
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[Any]]]:
    """`start(words or Process, **Popen options)`: a process that does not outlive the test."""
    from ros2_dice.ros import processes

    running: list[subprocess.Popen[Any]] = []

    def begin(what: Any, **options: Any) -> subprocess.Popen[Any]:
        if isinstance(what, processes.Process):
            process = processes.start(what, **options)
        else:
            process = subprocess.Popen(what, **options)
        running.append(process)
        return process

    yield begin
    processes.stop(running)
    for process in running:
        for stream in (process.stdout, process.stderr, process.stdin):
            if stream is not None:
                stream.close()


@pytest.fixture(scope='session')
def standin_files() -> Any:
    """Give tools/make_standin_files.py as a module; the test is skipped without torch."""
    pytest.importorskip('torch')
    return load_script(ROOT / 'tools' / 'make_standin_files.py')


@pytest.fixture(scope='session')
def standin_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """
    A data folder with the model `dice_standin`, and what `ros2-dice import` said of it.

    A gigabyte, made once: not to be changed.
    """
    pytest.importorskip('torch')
    pytest.importorskip('safetensors')
    data = tmp_path_factory.mktemp('standin_data')
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_dice.cli.main', 'import', '--stand-ins', '--verify',
         '--json', '--directory', str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield data, json.loads(done.stdout)
    shutil.rmtree(data)  # pytest would keep three of them
