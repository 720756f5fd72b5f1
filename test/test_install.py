# SPDX-License-Identifier: Apache-2.0
"""A plain `pip install` into a new environment has everything, far from the source tree."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from source_copy import copy_source

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.install, pytest.mark.timeout(1200)]

CHECK = """
import importlib, json, sys
from pathlib import Path
import ros2_dice
from ament_index_python.packages import get_package_share_directory
from ros2_dice.share import share_folder

assert Path(ros2_dice.__file__).is_relative_to(sys.prefix), ros2_dice.__file__
# By file: pkgutil passes over what lies in a package that wants torch.
root = Path(ros2_dice.__file__).parent
files = [path.relative_to(root.parent).with_suffix('') for path in root.rglob('*.py')]
names = ['.'.join(file.parts).removesuffix('.__init__') for file in files]
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:  # the extra dice is not installed here
        assert error.name == 'torch', error
share = share_folder()
assert share == Path(get_package_share_directory('ros2_dice')), share
interfaces = [path.relative_to(share).as_posix() for kind in ('msg', 'srv', 'action')
              for path in share.glob(f'{kind}/*.{kind}')]
for path in interfaces:
    kind, file = path.split('/')
    type_ = getattr(importlib.import_module(f'ros2_dice.{kind}'), file.partition('.')[0])
    type_.__class__.__import_type_support__()
    assert type_.__class__._TYPE_SUPPORT is not None, path
import numpy
numpy.load(share / 'model' / 'open_bodies.npz').files
print(json.dumps({'modules': names, 'interfaces': interfaces,
                  'share': sorted(p.relative_to(share).as_posix() for p in share.rglob('*'))}))
"""


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
    """Give the Python of a new environment with this package, built from a copy of the tree."""
    folder = tmp_path_factory.mktemp('install')
    source = folder / 'source'
    copy_source(source)
    clean = {name: value for name, value in os.environ.items() if name not in (
        'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'AMENT_PREFIX_PATH', 'PYTHONPATH')}
    subprocess.run([sys.executable, '-m', 'venv', folder / 'venv'], check=True, env=clean)
    python = folder / 'venv' / 'bin' / 'python'
    done = subprocess.run(
        [python, '-m', 'pip', 'install', '-q', '-c', source / 'constraints.txt',
         f'{source}[ros]'], env=clean, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-4000:]
    clean['AMENT_PREFIX_PATH'] = str(folder / 'venv')
    return python, clean


def run(environment, *words):
    """Run the new environment's Python from the root folder; return what it printed."""
    python, variables = environment
    done = subprocess.run([python, *words], cwd='/', env=variables, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_and_interface_is_there(environment):
    found = json.loads(run(environment, '-c', CHECK).splitlines()[-1])
    own = {'.'.join(path.relative_to(ROOT).with_suffix('').parts)
           for path in (ROOT / 'ros2_dice').rglob('*.py')
           if path.name != '__init__.py'
           and path.relative_to(ROOT).parts[1] not in ('msg', 'srv', 'action')}
    assert own <= set(found['modules'])
    assert set(found['interfaces']) == {
        path.relative_to(ROOT).as_posix() for kind in ('msg', 'srv', 'action')
        for path in ROOT.glob(f'{kind}/*.{kind}')}
    shipped = {path.relative_to(ROOT).as_posix() for folder in ('config', 'launch', 'model')
               for path in (ROOT / folder).rglob('*')
               if path.is_file() and '__pycache__' not in path.parts}
    assert shipped <= set(found['share'])


def test_the_commands_are_there(environment):
    python, variables = environment
    help_text = subprocess.run([python.parent / 'ros2-dice', '--help'], cwd='/', env=variables,
                               check=True, text=True, capture_output=True).stdout
    assert 'demo' in help_text
    listed = run(environment, '-m', 'ros2_dice.ros.processes', '--help')
    assert 'params_file' in listed
    for name in ('dice_node', 'source_node', 'recorder_node', 'ros2-dice'):
        assert os.access(python.parents[1] / 'lib' / 'ros2_dice' / name, os.X_OK)


def test_the_environment_is_consistent(environment):
    assert 'No broken requirements' in run(environment, '-m', 'pip', 'check')
