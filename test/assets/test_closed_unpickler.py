# SPDX-License-Identifier: Apache-2.0
"""Pickles: data comes through, and nothing else does."""
from __future__ import annotations

import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import DONE, PICKLES, called, words
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_dice.assets.closed_arrays import CONTAINERS, NUMPY
from ros2_dice.assets.closed_list import Inert, Rule
from ros2_dice.assets.closed_unpickler import read_pickle
from ros2_dice.dice.module_file import MODULE, module_content
from ros2_dice.errors import AssetError


@pytest.mark.parametrize('name', PICKLES)
def test_hostile_pickles_are_refused_and_nothing_happens(
        name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    with pytest.raises(AssetError, match='evil.bin') as caught:
        module_content(read_pickle(PICKLES[name], MODULE, 'evil.bin'), 'evil.bin')
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not Path(DONE).exists()
    assert not any(module.startswith(('antigravity', 'metro', 'torch.hub'))
                   for module in set(sys.modules) - before)


@pytest.mark.parametrize(('data', 'said'), [
    (called(os.system, 'x'), f'names {os.name}.system'),
    (b'csys\nexit\n.', 'names sys.exit'),
    (b'ctorch.nn.modules.linear\nLinear\n' + words('x') + b'\x85\x81.',
     'NEWOBJ of torch.nn.modules.linear.Linear with arguments'),
    (b'cmetro.modeling.bert.modeling_bert\ngelu\n)R.', 'REDUCE of metro.modeling.bert'),
    (b'\x80\x02\x82\x01.', 'opcode EXT1'),
    (b'(ios\nsystem\n.', 'opcode INST'),
    (b'c' + b'a' * 10_000 + b'\nb\n.', 'names aaa'),
    (b'ca\x1b[31m\nb\n.', r'names a\\x1b'),
])
def test_a_refusal_names_what_was_refused(data: bytes, said: str) -> None:
    with pytest.raises(AssetError, match='is refused') as caught:
        read_pickle(data, MODULE, 'evil.bin')
    assert said.replace('\\\\', '\\') in str(caught.value)


@pytest.mark.parametrize('cut', range(1, 40))
def test_a_pickle_cut_off_anywhere_is_refused(cut: int) -> None:
    data = pickle.dumps({'a': [1, 2.5, 'text', (True, None)], 'b': {'c'}}, 4)
    with pytest.raises(AssetError):
        read_pickle(data[:-cut], CONTAINERS, 'cut.pkl')


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-2**63, 2**63) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=['Cs'])) | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(
        st.characters(exclude_categories=['Cs'])), inner) | st.sets(st.text('abc')))


@settings(max_examples=150, deadline=None)
@given(value=PLAIN, protocol=st.integers(0, 4))
def test_plain_values_come_through_unchanged(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    allowed = {**CONTAINERS, ('_codecs', 'encode'): Rule(call=lambda text, _: text.encode(
        'latin1')), ('__builtin__', 'bytes'): Rule(call=bytes)}
    assert read_pickle(data, allowed, 'plain.pkl') == value


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, 60))
def test_noise_is_read_as_data_or_refused(data: bytes, at: int) -> None:
    whole = pickle.dumps({'a': [1, 2.5, 'text', (True, None)], 'b': {'c'}}, 2)
    for noisy in (data, whole[:at] + data + whole[at:]):
        try:
            read_pickle(noisy, MODULE, 'noise.bin')
        except AssetError:
            continue


def test_an_object_is_its_name_and_its_state() -> None:
    data = b'ca.b\nC\n)\x81}' + words('x') + b'K\x07sb.'
    value = read_pickle(data, {('a.b', 'C'): Rule(make=Inert)}, 'x.pkl')
    assert isinstance(value, Inert)
    assert str(value.name) == 'a.b.C'
    assert value.state == {'x': 7}


def test_text_of_python_2_becomes_latin_1() -> None:
    assert read_pickle(b'U\x02\xe9a.', {}, 'x.pkl') == 'éa'
    assert read_pickle(b"S'a\\xe9'\np0\n.", {}, 'x.pkl') == 'aé'


@pytest.mark.parametrize(('part', 'name', 'wrap'), [
    (b'X' + struct.pack('<I', 100_000) + b'a' * 100_000, b'c_codecs\nencode\n', b'\x85'),
    (b'](' + words('a') * 20_000 + b'e', b'cbuiltins\nset\n', b'\x85'),
    (b'](' + (words('a') + words('b') + b'\x86') * 10_000 + b'e',
     b'ccollections\nOrderedDict\n', b'\x85')])
def test_a_part_that_is_copied_again_and_again_is_refused(part: bytes, name: bytes, wrap: bytes
                                                          ) -> None:
    """One megabyte with 400 000 copies in it would take 400 GB."""
    data = part + b'q\0' + name + b'q\1' + b'00](' + (b'h\1h\0' + wrap + b'R') * 100 + b'e.'
    with pytest.raises(AssetError, match='copies its parts'):
        read_pickle(data, {**NUMPY, **CONTAINERS}, 'evil.pkl')


def test_arrays_of_every_protocol_are_copied_often_enough() -> None:
    arrays = [np.full(1000, number) for number in range(20)]
    for protocol in range(5):
        found = read_pickle(pickle.dumps(arrays, protocol), NUMPY, 'arrays.pkl')
        assert [one.array().tolist() for one in found] == [one.tolist() for one in arrays]
