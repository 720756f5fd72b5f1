# SPDX-License-Identifier: Apache-2.0
"""From the official files to a folder under hashes, and back."""
from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
from ros2_dice.dice.folder import (  # noqa: E402
    FILES,
    FORMAT,
    KIND,
    MANIFEST,
    manifest_text,
    new_folder,
)
from ros2_dice.dice.importing import import_model  # noqa: E402
from ros2_dice.dice.sources import NEEDED, SOURCES, find_sources  # noqa: E402
from ros2_dice.errors import AssetError  # noqa: E402


@pytest.fixture(scope='module')
def imported(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Path]:
    """An imported model, 1 GB; not to be changed for good."""
    folder = model_folder('dice', tmp_path_factory.mktemp('data'))
    import_model(find_sources(files), folder)
    yield folder
    shutil.rmtree(folder)  # pytest keeps its folders for three runs


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


def test_a_quick_look_sees_another_size_but_no_flipped_byte(imported: Path) -> None:
    path = imported / 'mano.npz'
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + b'!')
        assert check_imported(imported, every_byte=False).state is ModelState.PRESENT
        assert check_imported(imported).state is ModelState.CORRUPTED
        path.write_bytes(content[:-1])
        status = check_imported(imported, every_byte=False)
        assert status.state is ModelState.CORRUPTED
        assert 'mano.npz' in status.note
    finally:
        path.write_bytes(content)
    assert check_imported(imported).state is ModelState.PRESENT


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


def test_what_a_killed_import_left_goes_with_the_next_one(files: Path, tmp_path: Path) -> None:
    models = tmp_path / 'models'
    code = ('import os, signal, sys; from pathlib import Path\n'
            'from ros2_dice.dice.folder import new_folder\n'
            'with new_folder(Path(sys.argv[1])) as new:\n'
            '    (new / "half").touch(); os.kill(os.getpid(), signal.SIGKILL)')
    done = subprocess.run([sys.executable, '-c', code, str(models / 'a')], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name[:8] for path in models.iterdir()] == ['.import-']
    with new_folder(models / 'b'):  # one that is at work
        import_model(light(files), models / 'dice')
        assert len(list(models.iterdir())) == 2
    assert sorted(path.name for path in models.iterdir()) == ['b', 'dice']


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


@pytest.mark.parametrize('lacking', [
    ('note',), ('stand_in',), ('sources', 'missing'), ('weights_hash',), ('facts', 'dropped')])
def test_a_manifest_of_another_making_is_named_not_raised(lacking: tuple[str, ...],
                                                          tmp_path: Path) -> None:
    """Its own hash is right: assets and doctor go on, and say what to do."""
    document = {'format': FORMAT, 'kind': KIND, 'files': {}, 'stand_in': False, 'note': '',
                'weights_hash': '', 'sources': {}, 'facts': {}, 'dropped': {}, 'missing': []}
    (tmp_path / MANIFEST).write_text(manifest_text(
        {key: value for key, value in document.items() if key not in lacking}))
    status = check_imported(tmp_path)
    assert status.state is ModelState.CORRUPTED
    assert 'ros2-dice import' in status.next_step
    (tmp_path / MANIFEST).write_text(manifest_text(document))
    assert check_imported(tmp_path).state is ModelState.INCOMPLETE
