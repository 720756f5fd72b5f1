# SPDX-License-Identifier: Apache-2.0
"""The table of parameters, its validation, and what is made from it."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from parameter_files import flat_parameters
from script_module import load_script

from ros2_dice.errors import ConfigError
from ros2_dice.parameters import PARAMETERS, Parameter, Settings, yaml_text

ROOT = Path(__file__).resolve().parents[1]
ROWS = list(PARAMETERS.values())
IDS = list(PARAMETERS)


def allowed(row: Parameter) -> st.SearchStrategy[Any]:
    """Return values that the row takes."""
    if row.choices:
        return st.sampled_from(row.choices)
    if isinstance(row.default, bool):
        return st.booleans()
    if isinstance(row.default, int):
        return st.integers(int(row.low or 0), int(row.high or 0))
    if isinstance(row.default, float):
        return st.floats(row.low, row.high)
    return st.text()


def test_rows_are_named_as_ros_wants_them():
    assert len(PARAMETERS) == len(set(PARAMETERS))
    for row in ROWS:
        assert row.name == row.name.lower()
        assert all(part.isidentifier() for part in row.name.split('.'))
        assert row.description.endswith('.')


@pytest.mark.parametrize('row', ROWS, ids=IDS)
def test_default_passes_its_own_check(row):
    assert row.check(row.default) == row.default
    assert type(row.check(row.default)) is type(row.default)


@pytest.mark.parametrize('row', ROWS, ids=IDS)
def test_numbers_have_a_range_or_choices(row):
    if isinstance(row.default, (int, float)) and not isinstance(row.default, bool):
        assert row.choices or (row.low is not None and row.high is not None)


@given(st.data())
def test_allowed_values_come_back_in_the_rows_type(data):
    row = data.draw(st.sampled_from(ROWS))
    value = data.draw(allowed(row))
    assert Settings({row.name: value})[row.name] == value
    assert type(row.check(value)) is type(row.default)


@given(st.sampled_from(ROWS), st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
    st.lists(st.integers()), st.dictionaries(st.text(), st.text())))
def test_any_value_is_taken_or_refused_by_name(row, value):
    taken = refusal = None
    try:
        taken = Settings({row.name: value})[row.name]
    except ConfigError as error:
        refusal = error
    if refusal is None:
        assert type(taken) is type(row.default)
        assert not isinstance(taken, float) or math.isfinite(taken)
    else:
        assert row.name in str(refusal)
        assert refusal.expected


@pytest.mark.parametrize(('name', 'value'), [
    ('input.max_age', math.nan), ('input.max_age', math.inf), ('input.max_age', -0.1),
    ('input.max_age', '1'), ('backend.threads', 1.0), ('backend.threads', True),
    ('backend.precision', 'fp8'), ('input.rotation', 45), ('tf.enabled', 1), ('autostart', 'yes')])
def test_wrong_values_are_refused(name, value):
    with pytest.raises(ConfigError) as caught:
        Settings({name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize(('name', 'words'), [
    ('input.max_agee', ['input.max_agee is unknown', '(input.max_age may be meant; ']),
    ('min_area', ['min_area is unknown', '(contact.min_area may be meant; ']),
    ('qwertz', ['qwertz is unknown', '(ros2-dice parameters lists them)']),
])
def test_an_unknown_name_is_refused_with_the_nearest(name, words):
    with pytest.raises(ConfigError) as caught:
        Settings({name: 1.0})
    for word in words:
        assert word in str(caught.value)


def test_a_whole_number_serves_as_a_double():
    value = Settings({'input.max_age': 1})['input.max_age']
    assert value == 1.0
    assert isinstance(value, float)


def test_replace_changes_all_or_nothing():
    before = Settings({'overlay.rate': 5.0})
    with pytest.raises(ConfigError):
        before.replace({'overlay.scale': 1.0, 'overlay.quality': 0})
    after = before.replace({'overlay.scale': 1.0})
    assert (before.number('overlay.scale'), after.number('overlay.scale')) == (0.5, 1.0)
    assert after.number('overlay.rate') == 5.0


def test_readers_return_the_wanted_type():
    settings = Settings()
    assert settings.text('model.id') == 'open'
    assert settings.flag('input.use_camera_info') is True
    assert settings.integer('overlay.quality') == 80
    assert isinstance(settings.number('overlay.quality'), float)
    assert set(settings) == set(PARAMETERS)


def test_the_yaml_text_reads_back_as_the_defaults(tmp_path):
    path = tmp_path / 'dice.yaml'
    path.write_text(yaml_text())
    values = flat_parameters(path)
    assert values == dict(Settings())
    assert {n: type(v) for n, v in values.items()} == {n: type(v) for n, v in Settings().items()}


@pytest.fixture
def tool():
    """Give tools/write_parameters.py as a module."""
    return load_script(ROOT / 'tools' / 'write_parameters.py')


def test_made_files_are_current(tool):
    for path, text in tool.outputs().items():
        assert path.read_text() == text, 'run: python tools/write_parameters.py'
    assert '| `model.id` |' in (ROOT / 'README.md').read_text()


def test_the_tool_renews_the_text_between_its_markers(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, 'ROOT', tmp_path)
    (tmp_path / 'config').mkdir()
    readme = tmp_path / 'README.md'
    readme.write_text('before\n<!-- parameters -->\nstale text\n<!-- /parameters -->\nafter\n')
    assert tool.main(['--check']) == 1
    assert 'stale text' in readme.read_text()
    assert tool.main([]) == 0
    assert tool.main(['--check']) == 0
    text = readme.read_text()
    assert 'stale text' not in text
    assert text.startswith('before\n')
    assert text.endswith('after\n')
    assert 'README.md' in capsys.readouterr().out
    assert tool.readme_text('no markers') == 'no markers'


@pytest.mark.parametrize('profile', ['dice', 'cpu', 'gpu', 'jetson', 'network'])
def test_profiles_are_valid(profile):
    values = flat_parameters(ROOT / 'config' / f'{profile}.yaml')
    Settings(values)
    for name, value in values.items():
        # rclpy takes no int for a double.
        assert type(value) is type(PARAMETERS[name].default), name


def test_the_network_profile_fits_one_datagram():
    assert flat_parameters(ROOT / 'config' / 'network.yaml')['output.level_of_detail'] == 1


def test_record_qos_names_what_rosbag2_knows():
    profiles = yaml.safe_load((ROOT / 'config' / 'record_qos.yaml').read_text())
    assert profiles['/dice/topologies']['durability'] == 'transient_local'
    for profile in profiles.values():
        assert profile['reliability'] in ('reliable', 'best_effort')
        assert profile['history'] == 'keep_last'
        assert profile['depth'] > 0
