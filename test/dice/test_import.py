# SPDX-License-Identifier: Apache-2.0
"""From the official files to a folder under hashes, and back."""
from __future__ import annotations

import contextlib
import json
import pickle
import random
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytestmark = pytest.mark.timeout(600)  # gigabytes, on machines that are busy

from ros2_dice.dice import (  # noqa: E402
    DiceNetwork,
    ModelState,
    check_imported,
    imported_folders,
    is_dead,
    load_imported,
    model_folder,
    official_shapes,
    standin_hand,
    standin_head,
    standin_references,
)
from ros2_dice.dice.checkpoint import open_checkpoint  # noqa: E402
from ros2_dice.dice.folder import FILES, MANIFEST  # noqa: E402
from ros2_dice.dice.importing import import_model  # noqa: E402
from ros2_dice.dice.sources import NEEDED, SOURCES, find_sources  # noqa: E402
from ros2_dice.dice.template import read_sampling, read_template  # noqa: E402
from ros2_dice.errors import AssetError  # noqa: E402


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory, standin_files: Any) -> Path:
    """Folder of all official files: right shapes, one number a tensor of the network."""
    folder = tmp_path_factory.mktemp('official')
    standin_files.write_module(folder / 'model.bin', standin_files.thin_weights())
    standin_files.write_bodies(folder)
    return folder


@pytest.fixture(scope='module')
def imported(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Path]:
    """An imported model, 1 GB; not to be changed for good."""
    folder = model_folder('dice', tmp_path_factory.mktemp('data'))
    import_model(find_sources(files), folder)
    yield folder
    shutil.rmtree(folder)  # pytest keeps its folders for three runs


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


def test_an_imported_model_is_what_the_files_hold(imported: Path, files: Path) -> None:
    model = load_imported(imported)
    assert set(model.tensors) == set(official_shapes())
    assert all(tensor.dtype is torch.float32 and (tensor == 0.01).all()
               for tensor in model.tensors.values())
    for name, values in standin_references().items():
        np.testing.assert_allclose(model.references[name], values, atol=1e-15)
    for found, made in ((model.hand, standin_hand()), (model.head, standin_head())):
        for name in made.keys() & found.keys():
            np.testing.assert_array_equal(found[name], made[name], err_msg=name)
    assert {'lmk_faces_idx', 'lmk_bary_coords', 'neck_idx'} <= model.head.keys()
    assert (model.name, model.heads, model.stand_in) == ('dice', 4, False)
    DiceNetwork.from_tensors(model.tensors, model.references, model.heads)


def test_the_weights_are_mapped_and_not_copied(imported: Path) -> None:
    model = load_imported(imported)
    pointers = [tensor.data_ptr() for tensor in model.tensors.values()]
    size = (imported / 'network.safetensors').stat().st_size
    assert max(pointers) - min(pointers) < size
    maps = Path('/proc/self/maps').read_text()
    assert str(imported / 'network.safetensors') in maps
    next(iter(model.tensors.values())).zero_()  # private pages
    assert check_imported(imported).state is ModelState.PRESENT


def test_the_manifest_says_where_everything_comes_from(imported: Path, files: Path) -> None:
    import hashlib

    manifest = json.loads((imported / MANIFEST).read_text())
    assert set(manifest['sources']) == set(SOURCES)
    for key, row in manifest['sources'].items():
        content = (files / SOURCES[key].file).read_bytes()
        assert row['sha256'] == hashlib.sha256(content).hexdigest()
        assert 'non-commercial' in row['licence']
        assert row['url'].startswith('https://')
    assert set(manifest['files']) == set(FILES)
    assert manifest['weights_hash'] == manifest['files']['network.safetensors']['sha256']
    assert manifest['missing'] == []
    assert all(is_dead(name) for name in manifest['dropped']['tensors'])
    assert len(manifest['dropped']['tensors']) == 372
    assert str(files) not in json.dumps(manifest), 'no path of this machine'


@pytest.mark.parametrize(('name', 'share'), [
    *((name, 0.5) for name in (*FILES, MANIFEST)), ('network.safetensors', 0.0),
    ('reference.npz', 0.999), (MANIFEST, 0.0), (MANIFEST, 0.999)])
def test_a_flipped_byte_is_refused(imported: Path, name: str, share: float) -> None:
    path = imported / name
    at = int(share * path.stat().st_size)

    def flip() -> None:
        with path.open('r+b') as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 4]))

    flip()
    try:
        with pytest.raises(AssetError, match=name) as caught:
            load_imported(imported)
        assert 'ros2-dice import' in caught.value.next_step
        assert check_imported(imported).state is ModelState.CORRUPTED
    finally:
        flip()


@pytest.mark.parametrize('name', [*FILES, MANIFEST])
def test_a_file_that_is_gone_is_refused(imported: Path, name: str, tmp_path: Path) -> None:
    (imported / name).rename(tmp_path / name)
    try:
        with pytest.raises(AssetError, match=name):
            load_imported(imported)
        assert check_imported(imported).state is ModelState.CORRUPTED
    finally:
        shutil.move(tmp_path / name, imported / name)


def test_a_longer_or_shorter_file_is_refused(imported: Path) -> None:
    path = imported / 'reference.npz'
    content = path.read_bytes()
    for wrong in (content + b'x', content[:-1], b''):
        path.write_bytes(wrong)
        with pytest.raises(AssetError, match='reference'):
            load_imported(imported)
    path.write_bytes(content)
    load_imported(imported)


def without(files: Path, *keys: str) -> dict[str, Path]:
    return {key: path for key, path in find_sources(files).items()
            if key not in (*keys, 'checkpoint')}


def light(files: Path) -> dict[str, Path]:
    """Return what is quick to import."""
    return {'mano': files / 'MANO_RIGHT.pkl'}


def test_templates_are_rebuilt_from_the_bodies(files: Path, tmp_path: Path) -> None:
    manifest = import_model(without(files, 'hand-template', 'head-template'), tmp_path / 'm')
    assert manifest['facts']['hand-template'] == 'the body at zero parameters'
    references = np.load(tmp_path / 'm' / 'reference.npz')
    hand = standin_hand()
    wrist = hand['J_regressor'][0] @ hand['v_template']
    np.testing.assert_allclose(references['ref_rh_ref_kps'][0], wrist, atol=1e-15)
    # The stand-ins' templates are 1 mm of noise off the bodies.
    for name, values in standin_references().items():
        apart = references[name] - references[name].mean(0) - (values - values.mean(0))
        assert 0 < np.abs(apart).max() < 0.004


def test_what_is_missing_is_listed_with_the_next_command(files: Path, tmp_path: Path) -> None:
    manifest = import_model(without(files, 'landmarks', 'neck'), tmp_path / 'm')
    assert [row['option'].split()[0] for row in manifest['missing']] == [
        '--checkpoint', '--landmarks', '--neck']
    assert [row['needed'] for row in manifest['missing']] == [True, True, False]
    status = check_imported(tmp_path / 'm')
    assert status.state is ModelState.INCOMPLETE
    assert '--landmarks landmark_embedding.npy' in status.next_step
    with pytest.raises(AssetError, match=r'incomplete: no network\.safetensors, reference\.npz'):
        load_imported(tmp_path / 'm')
    assert np.load(tmp_path / 'm' / 'flame.npz')['neck_idx'].size == 0
    assert set(NEEDED) == {'checkpoint', 'mano', 'flame', 'landmarks', 'hand-transforms',
                           'head-transforms'}


def test_equal_files_give_equal_folders(files: Path, tmp_path: Path) -> None:
    for name in ('a', 'b'):
        import_model(light(files), tmp_path / name)
    for path in (tmp_path / 'a').iterdir():
        assert path.read_bytes() == (tmp_path / 'b' / path.name).read_bytes()


def test_a_failure_leaves_nothing_and_the_old_model_in_place(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'models' / 'dice'
    import_model(light(files), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    bad = tmp_path / 'model.bin'
    bad.write_bytes(pickle.dumps(1))
    with pytest.raises(AssetError, match='not a file of torch'):
        import_model({**light(files), 'checkpoint': bad}, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ['dice']

    class Stop(BaseException):
        """As Ctrl-C."""

    def stop(text: str, done: int, total: int) -> None:
        if text.startswith('Reading'):
            raise Stop

    with pytest.raises(Stop):
        import_model({'checkpoint': files / 'model.bin'}, folder, stop)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ['dice']


def test_a_folder_that_is_something_else_is_left_alone(files: Path, tmp_path: Path) -> None:
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'letter.txt').write_text('dear')
    (tmp_path / 'link').symlink_to(mine)
    for place in (mine, tmp_path / 'link', mine / 'letter.txt'):
        with pytest.raises(AssetError, match='not an imported model'):
            import_model(light(files), place)
    assert [path.name for path in mine.iterdir()] == ['letter.txt']


@pytest.mark.parametrize('name', ['', '.', '..', 'a/b', '/a', 'open', '.a', 'a' * 65, 'a\nb'])
def test_a_name_that_is_no_name(name: str) -> None:
    with pytest.raises(AssetError, match='model name'):
        model_folder(name)


def test_imported_models_are_found(tmp_path: Path) -> None:
    assert imported_folders(tmp_path) == ()
    for name in ('b', 'a', '.import-x'):
        (tmp_path / 'models' / name).mkdir(parents=True)
    assert [path.name for path in imported_folders(tmp_path)] == ['a', 'b']
    assert check_imported(tmp_path / 'models' / 'a').state is ModelState.CORRUPTED


# --- what the module file says beside its numbers

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

