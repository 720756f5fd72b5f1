# SPDX-License-Identifier: Apache-2.0
"""What setup.py keeps of a build of the messages, and when it compiles them again."""
from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from script_module import load_script

pytest.importorskip('setuptools')

ROOT = Path(__file__).resolve().parents[1]


class House:
    """A tree with a message, and a compiler that counts."""

    def __init__(self, setup: ModuleType, root: Path) -> None:
        self.setup, self.root, self.builds = setup, root, 0
        self.message = root / 'msg' / 'One.msg'
        self.message.parent.mkdir()
        self.message.write_text('int32 one')

    def stage(self, build_dir: Path) -> Path:
        """Stand in for cmake."""
        self.builds += 1
        (build_dir / 'stage' / 'lib').mkdir(parents=True, exist_ok=True)
        (build_dir / 'stage' / 'lib' / 'libone.so').write_bytes(self.message.read_bytes())
        return build_dir / 'stage'

    def install(self) -> Path:
        """Return the library that an editable install takes."""
        return self.setup.kept_stage(self.root / 'temp', self.root / 'kept') / 'lib' / 'libone.so'


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    setup = load_script(ROOT / 'setup.py')
    house = House(setup, tmp_path)
    monkeypatch.setattr(setup, 'ROOT', tmp_path)
    monkeypatch.setattr(setup, 'stage', house.stage)
    monkeypatch.delenv(setup.REBUILD_VARIABLE, raising=False)
    return house


def test_nothing_is_compiled_again_without_a_change(house: House,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert house.install().read_text() == 'int32 one'
    assert capsys.readouterr().out == ''
    assert house.install().read_text() == 'int32 one'
    assert house.builds == 1
    assert 'ROS2_DICE_REBUILD=1' in capsys.readouterr().out


def test_a_change_of_a_source_is_compiled(house: House) -> None:
    house.install()
    house.message.write_text('int32 two')
    assert house.install().read_text() == 'int32 two'
    (house.root / 'msg' / 'Two.msg').write_text('int32 two')
    house.install()
    assert house.builds == 3


def test_other_generators_compile(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.install()
    monkeypatch.setattr(house.setup, 'distributions', lambda: iter(()))
    house.install()
    assert house.builds == 2


def test_what_was_damaged_is_compiled(house: House) -> None:
    house.install().write_text('cut off')
    assert house.install().read_text() == 'int32 one'
    house.install().unlink()
    assert house.install().read_text() == 'int32 one'
    (house.root / 'kept' / 'stage.json').write_text('{')
    house.install()
    assert house.builds == 4


def test_the_variable_compiles(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.install()
    monkeypatch.setenv(house.setup.REBUILD_VARIABLE, '1')
    house.install()
    assert house.builds == 2


def test_a_build_that_fails_leaves_nothing_to_be_taken(house: House,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(build_dir: Path) -> Path:
        raise SystemExit('no compiler')

    house.install()
    house.message.write_text('int32 two')
    with monkeypatch.context() as patch:
        patch.setattr(house.setup, 'stage', fail)
        with pytest.raises(SystemExit):
            house.install()
    assert house.install().read_text() == 'int32 two'
    assert house.builds == 2
