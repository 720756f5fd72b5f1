# SPDX-License-Identifier: Apache-2.0
"""
Build of ros2_dice for machines without a ROS installation.

On a ROS machine colcon reads package.xml and CMakeLists.txt and never looks at this file. Here
the same CMakeLists.txt is built against the ROS wheels, and its staged result becomes part of the
wheel (or of the editable install).
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from setuptools import Distribution, Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PACKAGE = 'ros2_dice'
INTERFACES = ('msg', 'srv', 'action')
SHARED = (*INTERFACES, 'config', 'launch', 'model')
"""Folders that go to share/ros2_dice, beside package.xml."""
SOURCES = ('CMakeLists.txt', 'package.xml', 'pyproject.toml', 'setup.py', 'cmake', *SHARED)
"""What the staged result is made from; ros2_dice/ is left out, an editable install has it."""
REBUILD_VARIABLE = 'ROS2_DICE_REBUILD'
"""Set it to 1 to compile the messages even if nothing has changed."""


def wheels_prefix() -> Path:
    """Return the prefix (the folder with lib/, share/, include/) that holds the ROS wheels."""
    spec = find_spec('rosidl_adapter')
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            'ros2_dice: the ROS build wheels are missing. Install with build isolation '
            '(plain `pip install`), or use colcon on a machine with ROS.')
    package = Path(next(iter(spec.submodule_search_locations)))
    return package.parents[3]  # <prefix>/lib/pythonX.Y/site-packages/rosidl_adapter


def run(*words: object, env: Mapping[str, str]) -> None:
    """Run a command; on failure show what it printed and end the build."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise SystemExit(f'ros2_dice: {" ".join(command[:3])} ... failed')


def stage(build_dir: Path) -> Path:
    """Configure, build and install CMakeLists.txt into a staging prefix."""
    prefix = wheels_prefix()
    staged = build_dir / 'stage'
    shutil.rmtree(build_dir, ignore_errors=True)
    env = dict(os.environ)
    env['AMENT_PREFIX_PATH'] = str(prefix)
    env['CMAKE_PREFIX_PATH'] = str(prefix)
    env['PYTHONDONTWRITEBYTECODE'] = '1'
    env.setdefault('CMAKE_BUILD_PARALLEL_LEVEL', str(os.cpu_count() or 1))
    cmake = shutil.which('cmake')
    run(cmake, '-G', 'Ninja', '-S', ROOT, '-B', build_dir,
        '-DCMAKE_BUILD_TYPE=Release', '-DBUILD_TESTING=OFF', '-Wno-dev',
        f'-DCMAKE_PROJECT_INCLUDE={ROOT / "cmake" / "wheels.cmake"}',
        f'-DCMAKE_INSTALL_PREFIX={staged}',
        f'-DPython3_EXECUTABLE={sys.executable}', env=env)
    run(cmake, '--build', build_dir, env=env)
    run(cmake, '--install', build_dir, '--strip', env=env)
    return staged


def file_hashes(folder: Path, names: tuple[str, ...] = ('',)) -> dict[str, str]:
    """Return the sha256 of each file below some entries of a folder, by its path in there."""
    found = (path for name in names for path in
             ([folder / name] if (folder / name).is_file() else (folder / name).rglob('*')))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(found) if path.is_file() and '__pycache__' not in path.parts}


def build_key() -> dict[str, object]:
    """Return what decides about the staged result: sources, build packages and Python."""
    tools = sorted(f'{found.name}=={found.version}' for found in distributions()
                   if found.name.startswith('ros-') or found.name in ('cmake', 'empy', 'numpy'))
    return {'sources': file_hashes(ROOT, SOURCES), 'tools': tools,
            'python': sysconfig.get_config_var('EXT_SUFFIX')}


def kept_stage(build_dir: Path, kept: Path) -> Path:
    """
    Return what `stage` would, from the last time if nothing has changed since.

    Args:
        build_dir: for compiling.
        kept: where the result stays for the next time, beside a list of what it was made from
            and of what is in it.
    """
    staged, record = kept / 'stage', kept / 'stage.json'
    key = build_key()
    try:
        known = json.loads(record.read_text())
    except (OSError, ValueError):
        known = {}
    if os.environ.get(REBUILD_VARIABLE, '') in ('', '0') and known.get('key') == key \
            and known.get('files') == file_hashes(staged):
        print(f'ros2_dice: messages unchanged, not compiled again ({REBUILD_VARIABLE}=1 does)')
        return staged
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    shutil.copytree(stage(build_dir), staged, symlinks=True)
    record.write_text(json.dumps({'key': key, 'files': file_hashes(staged)}))
    return staged


def replace_folder(source: Path, target: Path) -> None:
    """Put a copy of `source` at `target`; a reader sees the old or the new folder, whole."""
    new = target.with_name(f'.{target.name}.new')
    old = target.with_name(f'.{target.name}.old')
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, new, ignore=shutil.ignore_patterns('*.c', '__pycache__'))
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


class BuildInterfaces(build_ext):
    """Generates and compiles the messages; feeds the staged files to setuptools."""

    def run(self) -> None:
        """Build, and copy the generated package beside our modules."""
        build_dir = Path(self.build_temp).resolve() / 'interfaces'
        staged = kept_stage(build_dir, ROOT / 'build' / 'interfaces') if self.inplace \
            else stage(build_dir)
        generated = next(staged.glob(f'**/{PACKAGE}/msg/__init__.py')).parents[1]
        target = ROOT / PACKAGE if self.inplace else Path(self.build_lib) / PACKAGE
        target.mkdir(parents=True, exist_ok=True)
        for name in INTERFACES:
            replace_folder(generated / name, target / name)
        for stale in target.glob(f'{PACKAGE}_s__*.so'):
            stale.unlink()
        for module in generated.glob(f'{PACKAGE}_s__*.so'):
            shutil.copy2(module, target)
        # In place: install_data may already hold this list.
        self.distribution.data_files[:] = self.data_files(staged)

    def data_files(self, staged: Path) -> Iterator[tuple[str, list[str]]]:
        """List the files that make the environment's prefix an ament prefix."""
        share = staged / 'share' / PACKAGE
        wanted = [*staged.glob('lib/lib*.so'), *staged.glob(f'lib/{PACKAGE}/*'),
                  *staged.glob('share/ament_index/resource_index/*/*'), share / 'package.xml']
        for name in SHARED:
            wanted += (share / name).rglob('*')
        for path in wanted:
            if path.is_file() and path.parent.name != 'parent_prefix_path':
                yield str(path.parent.relative_to(staged)), [str(path)]

    def get_outputs(self) -> list[str]:
        """Return nothing: the placeholder extension has no file of its own."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Return nothing, as above."""
        return {}


class InterfaceDistribution(Distribution):
    """A distribution whose editable install keeps its data files."""

    def has_data(self) -> bool:
        """Asked for by editable installs only; without it they leave data_files out."""
        return self.has_data_files()


if __name__ == '__main__':  # as build backends run this file
    setup(
        distclass=InterfaceDistribution,
        # The generated packages of an editable install must not be taken for sources.
        packages=find_packages(include=[f'{PACKAGE}*'], exclude=[
            f'{PACKAGE}.{name}{below}' for name in INTERFACES for below in ('', '.*')
        ]),
        data_files=[],  # filled by build_ext
        # A placeholder: it makes setuptools run build_ext and tag the wheel for this platform.
        ext_modules=[Extension(f'{PACKAGE}.interfaces', sources=[])],
        cmdclass={'build_ext': BuildInterfaces},
    )
