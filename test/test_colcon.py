# SPDX-License-Identifier: Apache-2.0
"""
The robot's way: colcon builds the package in a workspace, and it runs from there.

Jazzy's ament_cmake, message generators and rclpy come as wheels and stand for /opt/ros; this
package is not among them. What is missing against a robot is `launch` and the system's Python.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from source_copy import GENERATED, copy_source

from ros2_dice.ros.processes import REFUSED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
COLCON = ('colcon-bash==0.5.0', 'colcon-package-information==0.4.1',
          'colcon-package-selection==0.2.10', 'colcon-ros==0.5.0')
pytestmark = [pytest.mark.install, pytest.mark.timeout(1800)]

CHECK = """
import importlib, json, sys
from pathlib import Path
import ros2_dice
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from ros2_dice.share import share_folder

prefix = Path(get_package_prefix('ros2_dice'))
assert Path(ros2_dice.__file__).is_relative_to(prefix), ros2_dice.__file__
assert share_folder() == Path(get_package_share_directory('ros2_dice')), share_folder()
for kind in ('msg', 'srv', 'action'):
    for path in share_folder().glob(f'{kind}/*.{kind}'):
        type_ = getattr(importlib.import_module(f'ros2_dice.{kind}'), path.stem)
        type_.__class__.__import_type_support__()
        assert type_.__class__._TYPE_SUPPORT is not None, path
print(json.dumps({'prefix': str(prefix), 'files': sorted(
    path.relative_to(prefix).as_posix() for path in prefix.rglob('*') if path.is_file())}))
"""


class Workspace:
    """A colcon workspace on top of an environment that stands for /opt/ros."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.underlay = folder / 'underlay'
        self.source = folder / 'ws' / 'src' / 'ros2_dice'
        bare = {name: value for name, value in os.environ.items() if name not in (
            'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'PYTHONPATH', 'PYTHONHOME',
            'COLCON_PREFIX_PATH', 'RMW_IMPLEMENTATION')}
        self.variables = {
            **bare, 'AMENT_PREFIX_PATH': str(self.underlay),
            'CMAKE_PREFIX_PATH': str(self.underlay),
            'PATH': f'{self.underlay}/bin{os.pathsep}{bare["PATH"]}'}

    def run(self, *words: object, cwd: Path | None = None) -> str:
        """Run a command in the underlay; return what it printed."""
        done = subprocess.run([str(word) for word in words], cwd=cwd or self.source.parents[1],
                              env=self.variables, text=True, capture_output=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    def sourced(self, line: str) -> str:
        """Run a line of bash with the workspace sourced, far from the tree."""
        return self.run('bash', '-c', f'. {self.source.parents[1]}/install/setup.bash && {line}',
                        cwd=self.folder)


@pytest.fixture(scope='module')
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Build the package with colcon, in a copy of the tree without generated files."""
    space = Workspace(tmp_path_factory.mktemp('colcon'))
    copy_source(space.source)
    space.run(sys.executable, '-m', 'venv', space.underlay, cwd=space.folder)
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    wanted = [*project['build-system']['requires'], *project['project']['dependencies'],
              *project['project']['optional-dependencies']['ros'], *COLCON]
    (space.folder / 'wanted.txt').write_text('\n'.join(wanted))
    space.run('python', '-m', 'pip', 'install', '-q', '-c', ROOT / 'constraints.txt',
              '-r', space.folder / 'wanted.txt')
    assert space.run('colcon', 'list', '-n').split() == ['ros2_dice']
    # The wheels export folders of the machine that built them; /opt/ros needs no such help.
    space.run('colcon', 'build', '--packages-select', 'ros2_dice', '--event-handlers',
              'console_direct+', '--cmake-args', '-DBUILD_TESTING=ON', '-Wno-dev',
              f'-DPython3_EXECUTABLE={space.underlay}/bin/python',
              f'-DCMAKE_PROJECT_INCLUDE={space.source}/cmake/wheels.cmake',
              '-DEXECUTABLE_TEMPLATE=cmake/executable.py.in')
    return space


def test_the_workspace_has_every_file_and_interface(workspace: Workspace) -> None:
    (workspace.folder / 'check.py').write_text(CHECK)
    found = json.loads(workspace.sourced('python3 check.py').splitlines()[-1])
    assert Path(found['prefix']) == workspace.source.parents[1] / 'install' / 'ros2_dice'
    files = set(found['files'])
    assert {'lib/ros2_dice/dice_node', 'lib/ros2_dice/source_node', 'lib/ros2_dice/recorder_node',
            'bin/ros2-dice'} <= files
    for folder in ('config', 'launch', 'model', *GENERATED):
        shipped = {f'share/ros2_dice/{path.relative_to(ROOT).as_posix()}'
                   for path in (ROOT / folder).rglob('*')
                   if path.is_file() and '__pycache__' not in path.parts}
        assert shipped <= files, shipped - files
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'ros2_dice').rglob('*.py')
               if path.relative_to(ROOT).parts[1] not in GENERATED}
    installed = {name.split('site-packages/')[1] for name in files if 'site-packages/' in name}
    assert modules <= installed, modules - installed


def test_the_commands_run_from_the_workspace(workspace: Workspace) -> None:
    assert 'demo' in workspace.sourced('ros2-dice --help')
    assert 'params_file' in workspace.sourced('python3 -m ros2_dice.ros.processes --help')
    assert 'pip install -c constraints-robot.txt' in workspace.sourced('ros2-dice doctor || true')
    # It comes up as far as its parameters and refuses one.
    node = 'ws/install/ros2_dice/lib/ros2_dice/dice_node'
    said = workspace.sourced(f'timeout 100 {node} --ros-args -p smoothing.min_cutoff:=-1.0 2>&1; '
                             f'test $? = {REFUSED}')
    assert 'smoothing.min_cutoff' in said
    assert 'Traceback' not in said
