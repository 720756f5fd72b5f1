# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and data files of the official setup, and of what pretends to be one."""
from __future__ import annotations

import contextlib
import json
import random
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytestmark = pytest.mark.timeout(600)  # large files, on machines that are busy

from ros2_dice.dice import official_shapes  # noqa: E402
from ros2_dice.dice.checkpoint import open_checkpoint  # noqa: E402
from ros2_dice.dice.template import read_sampling, read_template  # noqa: E402
from ros2_dice.errors import AssetError  # noqa: E402


def test_the_official_layout_file_converts(shared_dice: Path) -> None:
    table = json.loads((shared_dice / 'state_dict.json').read_text())
    with open_checkpoint(shared_dice / 'official_layout_model.bin') as checkpoint:
        checkpoint.check()
        assert (checkpoint.form, checkpoint.heads, checkpoint.heads_read) == (
            'whole module', 4, True)
        assert list(checkpoint.shapes) == list(table)
        assert not any('fused_layer_norm' in name or name == 'apex' for name in sys.modules)
        for name, (shape, dtype) in table.items():
            values = checkpoint.read(name)
            assert (list(values.shape), str(values.dtype)) == (shape, dtype), name
            key = (zlib.crc32(name.encode()) % 1000 + 1) / 1000 if dtype == 'float32' else 7
            assert values.flat[0] == np.asarray(key, dtype), name
        assert set(checkpoint.live()) == set(official_shapes())
        assert sum(int(np.prod(shape)) for name, shape in checkpoint.dead().items()
                   if 'num_batches' not in name) == 58_883_304


def refused(files: Any, tmp_path: Path, said: str, tensors: dict[str, Any] | None = None,
            **changes: dict[str, Any]) -> None:
    path = tmp_path / 'model.bin'
    files.write_module(path, files.thin_weights() if tensors is None else tensors, changes)
    with pytest.raises(AssetError, match=said), open_checkpoint(path) as checkpoint:
        checkpoint.check()


@pytest.mark.parametrize(('kind', 'attributes', 'said'), [
    ('FusedLayerNorm', {'eps': 1e-5}, '1e-05'),
    ('FusedLayerNorm', {'eps': None}, 'eps'),
    ('BatchNorm2d', {'eps': 1e-3}, '0.001'),
    ('BatchNorm1d', {'track_running_stats': False}, 'track_running_stats'),
    ('BertSelfAttention', {'num_attention_heads': 8}, 'heads x channels'),
    ('BertSelfAttention', {'num_attention_heads': 0}, 'heads x channels'),
    ('BertSelfAttention', {'num_attention_heads': True}, 'heads x channels'),
    ('BertIntermediate', {'intermediate_act_fn': 'relu'}, 'gelu'),
    ('METRO_Encoder', {'use_img_layernorm': True}, 'layer norm'),
    ('Conv2d', {'groups': 2}, 'groups'),
    ('Conv2d', {'padding_mode': 'reflect'}, 'padding_mode'),
    ('HighResolutionModule', {'fuse_method': 'CAT'}, 'fuse_method'),
    ('Linear', {'_modules': None}, '_modules'),
    ('Linear', {'_parameters': {'weight': 'heavy'}}, 'str'),
    ('Linear', {'_buffers': []}, '_buffers'),
])
def test_a_module_that_computes_something_else_is_refused(
        standin_files: Any, tmp_path: Path, kind: str, attributes: dict[str, Any],
        said: str) -> None:
    refused(standin_files, tmp_path, said, **{kind: attributes})


@pytest.mark.parametrize('change', ['missing', 'shape', 'unknown', 'stage'])
def test_weights_of_another_network_are_refused(standin_files: Any, tmp_path: Path,
                                                change: str) -> None:
    tensors = standin_files.thin_weights()
    if change == 'missing':
        del tensors['cam_param_fc.weight']
    elif change == 'shape':
        tensors['cam_param_fc2.weight'] = torch.zeros(1).expand(250, 842)
    elif change == 'unknown':
        tensors['cam_param_fc4.weight'] = torch.zeros(3, 3)
    else:
        tensors = {name: value for name, value in tensors.items()
                   if not name.startswith('trans_encoder.2.')}
    refused(standin_files, tmp_path, 'tensor|outputs of trans_encoder', tensors)


def test_other_sizes_of_interaction_stages_are_read_from_the_shapes(
        standin_files: Any, tmp_path: Path) -> None:
    """One stage of InteractionNet, 512 to 4 (specification, section 4)."""
    tensors = {name: value for name, value in standin_files.thin_weights().items()
               if not name.startswith('deform_encoder.1.')}
    for name in ('cls_head', 'residual'):
        width = tensors[f'deform_encoder.0.{name}.weight'].shape[1]
        tensors[f'deform_encoder.0.{name}.weight'] = torch.zeros(1).expand(4, width)
        tensors[f'deform_encoder.0.{name}.bias'] = torch.zeros(4)
    path = tmp_path / 'model.bin'
    standin_files.write_module(path, tensors)
    with open_checkpoint(path) as checkpoint:
        checkpoint.check()


def test_a_small_file_can_t_make_a_huge_network(standin_files: Any, tmp_path: Path) -> None:
    tensors = standin_files.thin_weights()
    for layer in range(4, 300):
        tensors |= {name.replace('layer.3', f'layer.{layer}'): value
                    for name, value in tensors.items()
                    if name.startswith('trans_encoder.0.bert.encoder.layer.3.')}
    path = tmp_path / 'weights.pt'
    torch.save(tensors, path)
    assert path.stat().st_size < 3e6
    with open_checkpoint(path) as checkpoint, pytest.raises(AssetError, match='describes'):
        checkpoint.check()


@pytest.mark.parametrize(('steps', 'said'), [
    ([], 'no list D'), ('D', 'no list D'), ([torch.zeros(195, 777)], 'matrix of 778'),
    ([torch.zeros(1).expand(778, 300_000)], 'matrix of 778'),
    ([torch.zeros(1).expand(300_000, 778)], 'makes fewer'),
    ([torch.full((195, 778), float('nan'))], 'matrix of 778'), ([torch.zeros(196, 778)], '195'),
    ([torch.zeros(195, 778, dtype=torch.int64)], 'matrix of 778'), ([7], 'int'),
])
def test_transforms_that_lead_elsewhere_are_refused(tmp_path: Path, steps: Any,
                                                    said: str) -> None:
    path = tmp_path / 'hand_mesh_transforms.pt'
    torch.save({'D': steps}, path)
    with pytest.raises(AssetError, match=said):
        read_sampling(path, 778, 195)


def test_further_levels_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / 'hand_mesh_transforms.pt'
    torch.save({'D': [torch.ones(195, 778), torch.ones(49, 195)]}, path)
    assert [step.shape for step in read_sampling(path, 778, 195)] == [(195, 778)]


@pytest.mark.parametrize('value', [np.zeros((777, 3)), np.zeros((778, 3), int),
                                   np.full((778, 3), np.inf), 'hand', [1.0]])
def test_a_wrong_template_is_refused(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / 'rh_ref_vs.pt')
    with pytest.raises(AssetError, match='rh_ref_vs'):
        read_template(tmp_path / 'rh_ref_vs.pt', 778)


@pytest.mark.parametrize('seed', range(8))
def test_damage_anywhere_is_read_as_data_or_refused(files: Path, tmp_path: Path,
                                                    seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / 'model.bin'
    with zipfile.ZipFile(files / 'model.bin') as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    program = next(name for name in members if name.endswith('data.pkl'))
    data = bytearray(members[program])
    for _ in range(rng.choice((1, 3, 20))):
        at, other = rng.randrange(len(data)), rng.randrange(len(data))
        size = rng.randrange(1, 40)
        data[at:at + rng.choice((0, size))] = data[other:other + size]
    with zipfile.ZipFile(path, 'w') as archive:  # with right checksums
        for name, content in members.items():
            archive.writestr(name, bytes(data) if name == program else content)
    whole = bytearray((files / 'hand_mesh_transforms.pt').read_bytes())
    whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    (tmp_path / 'hand.pt').write_bytes(whole)
    with contextlib.suppress(AssetError), open_checkpoint(path) as checkpoint:
        checkpoint.check()
    with contextlib.suppress(AssetError):
        read_sampling(tmp_path / 'hand.pt', 778, 195)


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: {'state_dict': state, 'epoch': 3},
    lambda state: {'model': {f'module.{name}': value for name, value in state.items()}},
])
def test_a_plain_state_dict_is_read(standin_files: Any, tmp_path: Path,
                                    wrap: Callable[[dict[str, Any]], Any]) -> None:
    path = tmp_path / 'weights.pt'
    state = {name: value.half() if value.is_floating_point() and 'cam' in name else value
             for name, value in standin_files.thin_weights().items()}
    torch.save(wrap(state), path)
    with open_checkpoint(path) as checkpoint:
        checkpoint.check()
        assert (checkpoint.form, checkpoint.heads_read) == ('state dict', False)
        values = checkpoint.array('cam_param_fc2.weight')
        assert values.dtype == np.float32
        assert np.abs(values - 0.01).max() < 1e-5


def test_broken_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'weights.pt'
    torch.save({'a': torch.tensor([1.0, float('nan')]), 'c.running_var': torch.tensor([-1.0]),
                'd': torch.tensor([1e300]).double(), 'e': torch.arange(3)}, path)
    with open_checkpoint(path) as checkpoint:
        for name in checkpoint.shapes:
            with pytest.raises(AssetError, match=name):
                checkpoint.array(name)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file = pytest.importorskip('safetensors.torch').save_file
    path = tmp_path / 'weights.safetensors'
    save_file({'a': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(2).half()}, path)
    with open_checkpoint(path) as checkpoint:
        assert dict(checkpoint.shapes) == {'a': (2, 3), 'b': (2,)}
        assert checkpoint.array('a').tolist() == [[0, 1, 2], [3, 4, 5]]
        with pytest.raises(AssetError, match='missing'):
            checkpoint.check()


@pytest.mark.parametrize('change', [
    lambda data: data[:-1], lambda data: data + b'\0', lambda data: data[:20],
    lambda data: b'\xff' * 7 + b'\0' + data[8:],
    lambda data: data.replace(b'[2,3]', b'[9,9]'), lambda data: data.replace(b'F32', b'BAD'),
    lambda data: data.replace(b'[0,24]', b'[4,28]'), lambda data: data.replace(b'{', b'[', 1)])
def test_damaged_safetensors_are_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    from safetensors.torch import save_file

    path = tmp_path / 'weights.safetensors'
    save_file({'a': torch.arange(6.0).reshape(2, 3)}, path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(AssetError, match=r'weights\.safetensors'), open_checkpoint(path):
        pass
