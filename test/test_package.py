# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: versions, interfaces, executables, imports, arrows, installation."""
from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tokenize
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

import ros2_dice
from ros2_dice.errors import EXTRAS, built_by_colcon, install_hint
from ros2_dice.share import share_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'ros2_dice'
GENERATED = ('msg', 'srv', 'action')
INTERFACES = sorted(path.relative_to(ROOT).as_posix()
                    for kind in GENERATED for path in ROOT.glob(f'{kind}/*.{kind}'))
EXECUTABLES = {
    'dice_node': 'ros2_dice.ros.node', 'source_node': 'ros2_dice.ros.source',
    'recorder_node': 'ros2_dice.ros.recorder', 'ros2-dice': 'ros2_dice.cli.main'}

ARROWS = {
    # room: the rooms that it may import, beside errors; as drawn in docs/architecture.md
    'errors': set(),
    'types': set(),
    'parameters': set(),
    'share': set(),
    'pictures': {'types'},
    'upright': {'types'},
    'stamps': set(),
    'locks': set(),
    'assets': {'share', 'parameters', 'locks'},
    'runtime': {'parameters', 'locks'},
    'bodies': {'types', 'parameters', 'share', 'assets'},
    'landmarks': {'types', 'parameters', 'bodies', 'runtime', 'assets'},
    'fitting': {'types', 'parameters', 'bodies', 'landmarks', 'stamps'},
    'contact': {'types', 'parameters', 'bodies', 'fitting', 'assets'},
    'dice': {'types', 'parameters', 'bodies', 'runtime', 'assets', 'share', 'landmarks', 'fitting',
             'contact', 'stamps', 'locks'},
    'estimator': {'types', 'parameters', 'bodies', 'dice', 'open_estimator', 'dice_estimator'},
    'open_estimator': {'types', 'parameters', 'bodies', 'landmarks', 'fitting', 'contact',
                       'runtime', 'assets', 'share', 'stamps'},
    'dice_estimator': {'types', 'parameters', 'bodies', 'landmarks', 'fitting', 'contact', 'dice',
                       'runtime', 'assets', 'stamps'},
    'render': {'types', 'parameters', 'bodies', 'pictures'},
    'evaluation': {'types', 'parameters', 'bodies', 'landmarks', 'fitting', 'contact',
                   'estimator', 'assets', 'share', 'render', 'pictures', 'runtime', 'dice'},
    'ros': {'types', 'parameters', 'bodies', 'estimator', 'render', 'assets', 'share',
            'pictures', 'upright', 'stamps'},
    # The outermost room; it starts nodes and reads their recordings, without rclpy of its own.
    'cli': {'types', 'parameters', 'bodies', 'estimator', 'render', 'assets', 'share', 'dice',
            'evaluation', 'runtime', 'ros', 'pictures', 'upright'},
}


def sources() -> list[Path]:
    """Return the package's own Python files."""
    return sorted(path for path in PACKAGE.rglob('*.py')
                  if path.relative_to(PACKAGE).parts[0].lstrip('.').split('.')[0] not in GENERATED)


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imported(path: Path) -> set[str]:
    """Return the dotted names that a file imports anywhere, in functions too."""
    names: set[str] = set()
    with tokenize.open(path) as file:
        tree = ast.parse(file.read())
    package = module_name(path).split('.')
    if path.name != '__init__.py':
        package = package[:-1]
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            names.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ''
            if statement.level:
                base = '.'.join([*package[:len(package) - statement.level + 1],
                                 *filter(None, [base])])
            # `from a import b` may mean the module a.b.
            names.update({base, *(f'{base}.{alias.name}' for alias in statement.names)})
    return names


def imported_at_once(path: Path) -> set[str]:
    """Return the foreign packages that a file needs to be imported at all."""
    with tokenize.open(path) as file:
        body = ast.parse(file.read()).body
    return {name.split('.')[0] for statement in body
            for name in ([alias.name for alias in statement.names]
                         if isinstance(statement, ast.Import) else
                         [statement.module or ''] if isinstance(statement, ast.ImportFrom)
                         and not statement.level else [])}


def room(name: str) -> str:
    """Return the second part of a dotted name inside the package: its room."""
    return name.split('.')[1]


MODULES = [module_name(path) for path in sources()]
WITH_TORCH = {module_name(path) for path in sources() if 'torch' in imported_at_once(path)}
CORE = [name for name in MODULES
        if not name.startswith('ros2_dice.ros') and name not in WITH_TORCH]


def test_versions_agree():
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    assert version == ros2_dice.__version__ == project['version']


def test_the_build_uses_the_message_packages_of_the_runtime():
    """A message library and the one that it is compiled against must be the same version."""
    data = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    runtime = dict(row.split('==') for row in data['project']['optional-dependencies']['ros']
                   if row.startswith('ros-'))
    build = dict(row.split('==') for row in data['build-system']['requires']
                 if row.startswith('ros-'))
    assert all(runtime[name] == build[name] for name in runtime.keys() & build.keys())
    assert {'ros-sensor-msgs', 'ros-geometry-msgs', 'ros-action-msgs'} <= build.keys()


def test_package_xml_names_every_ros_package_that_is_imported():
    tree = ElementTree.parse(ROOT / 'package.xml')
    declared = {tag.text for kind in ('depend', 'exec_depend') for tag in tree.findall(kind)}
    used = {name.split('.')[0] for path in sources() for name in imported(path)}
    known = {'rclpy', 'action_msgs', 'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs',
             'lifecycle_msgs', 'rcl_interfaces', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs',
             'std_srvs', 'tf2_msgs', 'unique_identifier_msgs', 'visualization_msgs'}
    assert used & known <= declared


@pytest.mark.parametrize('path', INTERFACES)
def test_every_field_has_a_comment(path):
    """Each field or block of fields stands under a comment, or its message is one of ours."""
    commented = False
    for line in (ROOT / path).read_text().splitlines():
        if line.startswith('#'):
            commented = True
        elif not line.strip() or line == '---':
            commented = False if line == '---' else commented
        elif '=' not in line:
            own = line.split()[0].removesuffix('[]')
            assert commented or f'msg/{own}.msg' in INTERFACES, line


@pytest.mark.parametrize('path', INTERFACES)
def test_compiled_interfaces_are_current(path):
    pytest.importorskip('rclpy')
    from ament_index_python.packages import get_package_share_directory

    installed = Path(get_package_share_directory('ros2_dice'), path)
    assert installed.read_text() == (ROOT / path).read_text(), 'repeat the install'


@pytest.mark.parametrize('name', EXECUTABLES)
def test_every_executable_is_installed_and_has_a_main(name):
    from ros2_dice.ros.processes import executable

    pytest.importorskip('rclpy')
    assert EXECUTABLES[name] in Path(executable(name)).read_text()
    source = ROOT / (EXECUTABLES[name].replace('.', '/') + '.py')
    functions = [node.name for node in ast.parse(source.read_text()).body
                 if isinstance(node, ast.FunctionDef)]
    assert 'main' in functions


def test_the_core_imports_without_ros(tmp_path):
    """What is outside ros/ needs neither rclpy nor the generated messages."""
    code = '\n'.join([
        'import importlib, sys',
        "for name in ('rclpy', 'ros2_dice.msg', 'ros2_dice.srv', 'ros2_dice.action', "
        "'sensor_msgs', 'std_msgs'):",
        '    sys.modules[name] = None',
        f'for name in {CORE!r}:',
        '    importlib.import_module(name)',
        "heavy = {'torch', 'rerun', 'tensorrt'} & set(sys.modules)",
        'assert not heavy, heavy'])
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, text=True,
                          capture_output=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stderr


def test_the_processes_can_be_listed_without_ros(tmp_path):
    code = ("import sys; sys.modules['rclpy'] = None; sys.modules['ros2_dice.msg'] = None; "
            'from ros2_dice.ros.processes import processes; print(processes())')
    subprocess.run([sys.executable, '-c', code], check=True, cwd=tmp_path, capture_output=True,
                   env={**os.environ, 'PYTHONPATH': str(ROOT)})


def test_every_module_imports_with_ros(tmp_path):
    pytest.importorskip('rclpy')
    names = MODULES if find_spec('torch') else [name for name in MODULES if name not in WITH_TORCH]
    code = f'import importlib\nfor name in {names!r}: importlib.import_module(name)'
    # Not from the root: after `colcon build` the messages are with the installed modules.
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('path', sources(), ids=MODULES)
def test_only_the_ros_room_knows_ros(path):
    if module_name(path).startswith('ros2_dice.ros'):
        return
    foreign = {'rclpy', 'ament_index_python', 'launch', 'launch_ros'}
    for name in imported(path):
        assert name.split('.')[0] not in foreign
        assert not name.split('.')[0].endswith(('_msgs', '_interfaces', '_srvs'))
        assert not name.startswith(tuple(f'ros2_dice.{kind}' for kind in GENERATED))


@pytest.mark.parametrize('path', sources(), ids=MODULES)
def test_dependencies_point_one_way(path):
    own = module_name(path)
    if own == 'ros2_dice':
        assert not {name for name in imported(path) if name.startswith('ros2_dice')}
        return
    used = {room(name) for name in imported(path) if name.startswith('ros2_dice.')}
    used -= {room(own), 'errors', '__version__', *GENERATED}
    assert used <= ARROWS[room(own)], f'{own} must not import {used - ARROWS[room(own)]}'


def test_every_room_is_in_the_drawing():
    assert {room(name) for name in MODULES if '.' in name} == set(ARROWS)


def test_the_drawing_has_no_circle():
    # estimator is the composition's front; open_estimator never imports it.
    order: list[str] = []
    left = dict(ARROWS)
    while left:
        free = [name for name, uses in left.items() if uses <= set(order)]
        assert free, f'circle among {sorted(left)}'
        order += free
        for name in free:
            del left[name]


def test_torch_is_not_behind_a_door():
    """What needs torch is imported when it is asked for: `import ros2_dice.bodies` does not."""
    doors = {module_name(path) for path in PACKAGE.glob('*/__init__.py')}
    assert not WITH_TORCH & doors
    assert {name.split('.')[1] for name in WITH_TORCH} <= {'bodies', 'dice', 'runtime'}


def test_every_folder_with_code_is_a_package():
    """A folder without __init__.py works from the tree and is left out by `pip install`."""
    folders = {path.parent for path in sources()}
    assert all((folder / '__init__.py').is_file() for folder in folders)


@pytest.mark.parametrize('path', sources(), ids=MODULES)
def test_files_are_short_and_licensed(path):
    lines = path.read_text().splitlines()
    assert lines[0] == '# SPDX-License-Identifier: Apache-2.0'
    assert len(lines) < 400


@pytest.mark.skipif(Path(ros2_dice.__file__).parent != PACKAGE, reason='installed apart')
def test_the_share_folder_is_the_tree_beside_the_code():
    assert share_folder() == ROOT
    assert (share_folder() / 'model' / 'open_bodies.npz').is_file()


def test_the_share_folder_is_found_by_the_ament_index(tmp_path, monkeypatch):
    from ros2_dice import share

    index = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'ros2_dice').touch()
    model = tmp_path / 'share' / 'ros2_dice' / 'model'
    model.mkdir(parents=True)
    (model / 'assets.toml').touch()
    monkeypatch.setattr(share, '__file__', str(tmp_path / 'x' / 'ros2_dice' / 'share.py'))
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path}')
    assert share.share_folder() == tmp_path / 'share' / 'ros2_dice'


def test_a_missing_share_folder_is_an_error_with_a_next_step(tmp_path, monkeypatch):
    from ros2_dice import share
    from ros2_dice.errors import AssetError

    monkeypatch.setattr(share, '__file__', str(tmp_path / 'x' / 'ros2_dice' / 'share.py'))
    monkeypatch.setattr(share.sys, 'prefix', str(tmp_path))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    with pytest.raises(AssetError, match='pip install'):
        share.share_folder()


def test_hints_name_extras_that_there_are():
    text = (ROOT / 'pyproject.toml').read_text()
    extras = tomllib.loads(text)['project']['optional-dependencies']
    assert "'.[view]'" in install_hint('view')
    for extra, names in EXTRAS.items():
        own = {re.split(r'[><=; ]', line)[0] for line in extras[extra]
               if not line.startswith('ros-')}
        if 'ros2_dice[engines]' in own:
            own = own - {'ros2_dice[engines]'} | set(EXTRAS['engines'].split())
        assert own == set(names.split())
    for path in sources():
        source = path.read_text()
        assert set(re.findall(r'install_hint\([\'"](\w+)', source)) <= set(extras), path
        assert "pip install 'ros2_dice" not in source, f'{path.name}: it is in no index'


@pytest.mark.parametrize('by_colcon', [True, False])
def test_a_robot_is_not_told_to_install_the_tree(tmp_path, by_colcon):
    module = tmp_path / 'lib' / 'python3.12' / 'site-packages' / 'ros2_dice' / 'errors.py'
    assert not built_by_colcon(module), 'nothing there'
    (tmp_path / 'share' / 'ros2_dice').mkdir(parents=True)
    (tmp_path / 'share' / 'ros2_dice' / 'package.xml').touch()
    environment = tmp_path / 'other' if by_colcon else tmp_path
    assert built_by_colcon(module, str(environment)) is by_colcon
    assert not built_by_colcon(PACKAGE / 'errors.py')
