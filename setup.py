# SPDX-License-Identifier: Apache-2.0
"""
Build of ros2_dice for machines without a ROS installation.

On a ROS machine colcon reads package.xml and CMakeLists.txt and never looks at this file. Here
the same CMakeLists.txt is built against the ROS wheels, and its staged result becomes part of the
wheel (or of the editable install).
"""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from setuptools import Distribution, Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PACKAGE = 'ros2_dice'
INTERFACES = ('msg', 'srv', 'action')
SHARED = (*INTERFACES, 'config', 'launch', 'model')
"""Folders that go to share/ros2_dice, beside package.xml."""


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
        staged = stage(Path(self.build_temp).resolve() / 'interfaces')
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


setup(
    distclass=InterfaceDistribution,
    # The generated packages of an editable install must not be taken for sources.
    packages=find_packages(include=[f'{PACKAGE}*'], exclude=[
        pattern for name in INTERFACES for pattern in (f'{PACKAGE}.{name}', f'{PACKAGE}.{name}.*')
    ]),
    data_files=[],  # filled by build_ext
    # A placeholder: it makes setuptools run build_ext and tag the wheel for this platform.
    ext_modules=[Extension(f'{PACKAGE}.interfaces', sources=[])],
    cmdclass={'build_ext': BuildInterfaces},
)
