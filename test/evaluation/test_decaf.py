# SPDX-License-Identifier: Apache-2.0
"""The Decaf data set's layout, with numbers and pictures made here."""
from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted_squares import HOVER, TOUCH, BrightnessEstimator, write_clip

from ros2_dice.bodies import load_open_bodies
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.dice.standin import standin_hand, standin_head
from ros2_dice.errors import AssetError, ConfigError
from ros2_dice.evaluation.decaf import DecafDataset, DecafSequence
from ros2_dice.evaluation.decaf_run import joints_21_m, run_decaf
from ros2_dice.evaluation.decaf_truth import DecafTruth
from ros2_dice.evaluation.gallery import Gallery
from ros2_dice.share import share_folder
from ros2_dice.types import HandJoints

FRAMES = 6
TURN = np.array((0.1, -0.3, 0.2))
TRANSLATION = np.array((0.02, 0.01, 0.9))


def parameters(rng: np.random.Generator) -> dict[str, Any]:
    head = {'transl': 3, 'global_orient': 3, 'shape_params': 100, 'pose_params': 6,
            'expression_params': 50}
    hand = {'betas': 10, 'transl': 3, 'global_orient': 3, 'hand_pose': 45}
    return {part: {name: rng.normal(0, 0.1, (1, size)).astype(np.float32)
                   for name, size in sizes.items()}
            for part, sizes in (('head', head), ('right_hand', hand))}


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def score(sequences: list[DecafSequence], limit: int = 0, masked: bool = True) -> dict[str, Any]:
    return run_decaf(BrightnessEstimator(), sequences, None, threshold=0.5, every=1, limit=limit,
                     masked=masked, gallery=Gallery(), overlay=None, advance=lambda name: None)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """One subject, one camera, six frames, of which the last three touch."""
    root, rng = tmp_path / 'DecafDataset' / 'test', np.random.default_rng(1)
    for name in ('videos', 'segmentations', 'deformations', 'contacts'):
        (root / name / 'S1').mkdir(parents=True)
    write_clip(root / 'videos' / 'S1' / '084.mp4', [HOVER] * 3 + [TOUCH] * 3, rate=25)
    write_clip(root / 'segmentations' / 'S1' / '084.mp4', [255] * FRAMES, rate=25)
    np.save(root / 'deformations' / 'S1' / 'deforms.npy',
            rng.normal(0, 0.001, (FRAMES, 5023, 3)).astype(np.float32))
    contact = np.zeros((FRAMES, 778), np.uint8)
    contact[3:, :9] = 1
    np.save(root / 'contacts' / 'S1' / 'contacts_rh.npy', contact)
    dump(root / 'params' / 'S1' / 'params_smoothed.pkl',
         {n: parameters(rng) for n in range(FRAMES)})
    extrinsic = np.eye(4)
    extrinsic[:3, :3], extrinsic[:3, 3] = rotation_matrix(TURN), TRANSLATION
    dump(root / 'cameras' / 'S1' / 'cameras.pkl', {'84': {
        'intrinsic': np.array([[70, 0, 32], [0, 71, 30], [0, 0, 1.0]]), 'extrinsic': extrinsic}})
    return root.parent


@pytest.fixture(scope='session')
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The body models' folder, filled by formula."""
    folder = tmp_path_factory.mktemp('assets')
    (folder / 'mano_v1_2' / 'models').mkdir(parents=True)
    head, hand = standin_head(), standin_hand()

    def table(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = ('v_template', 'shapedirs', 'posedirs', 'J_regressor', 'weights')
        tree = np.stack([np.asarray(arrays['parents']).astype(np.uint32),
                         np.arange(len(arrays['parents']), dtype=np.uint32)])
        return {**{name: np.asarray(arrays[name]) for name in names},
                'f': np.asarray(arrays['faces'], np.uint32), 'kintree_table': tree}

    dump(folder / 'generic_model.pkl', table(head))
    dump(folder / 'mano_v1_2' / 'models' / 'MANO_RIGHT.pkl',
         {**table(hand), 'hands_components': np.eye(45)[::-1]})
    landmarks = np.empty((), object)
    landmarks[()] = {'full_lmk_faces_idx': head['lmk_faces_idx'][None],
                     'full_lmk_bary_coords': head['lmk_bary_coords'][None]}
    np.save(folder / 'landmark_embedding.npy', landmarks, allow_pickle=True)
    np.save(folder / 'FLAME_neck_idx.npy', head['neck_idx'])
    return folder


def test_frames_are_read_in_place(dataset: Path):
    sequence, = DecafDataset(dataset).sequences(('84',))
    assert (sequence.name, len(sequence)) == ('S1/084', FRAMES)
    assert isinstance(sequence.deformations, np.memmap)
    frames = list(sequence.frames(2))
    assert [frame.number for frame in frames] == [0, 2, 4]
    assert [frame.touches for frame in frames] == [False, False, True]
    assert frames[0].head['shape_params'].shape == (100,)
    assert sequence.lens.matrix[0, 0] == 70
    np.testing.assert_allclose(sequence.lens.translation_m, TRANSLATION)


def test_an_estimator_is_scored_by_contact_labels_alone(dataset: Path):
    sequences = DecafDataset(dataset).sequences()
    found = score(sequences)
    json.dumps(found, allow_nan=False)
    assert (found['frames'], found['frames_missing']) == (FRAMES, 0)
    assert found['touch']['f1'] == 1.0
    assert set(found['errors'].values()) == {None}


def test_masks_black_out_the_background(dataset: Path):
    write_clip(dataset / 'test' / 'segmentations' / 'S1' / '084.mp4', [0] * FRAMES, rate=25)
    sequences = DecafDataset(dataset).sequences()
    for masked, missing in ((True, 4), (False, 0)):
        found = score(sequences, limit=4, masked=masked)
        assert (found['frames'], found['frames_missing']) == (4, missing)


def test_true_meshes_follow_the_conventions(dataset: Path, assets: Path):
    bodies = load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')
    truth = DecafTruth(assets, bodies)
    sequence, = DecafDataset(dataset).sequences()
    frame = next(sequence.frames())
    found = truth.meshes(frame, sequence.lens)
    still = type(frame)(frame.number, frame.head, frame.hand, np.zeros((5023, 3)), False)
    rest = truth.meshes(still, sequence.lens)
    assert found.head_m is not None
    assert rest.head_m is not None
    # The deformation is subtracted, turned with head and camera, and the neck has none.
    turn = rotation_matrix(TURN) @ rotation_matrix(frame.head['global_orient'])
    expected = frame.deformation_m @ turn.T
    expected[standin_head()['neck_idx']] = 0
    np.testing.assert_allclose(rest.head_m - found.head_m, expected, atol=1e-12)
    # The head turns about the centroid of its vertices.
    unturned = {**frame.head, 'global_orient': np.zeros(3)}
    other = truth.meshes(type(frame)(0, unturned, frame.hand, np.zeros((5023, 3)), False),
                         sequence.lens)
    assert other.head_m is not None
    np.testing.assert_allclose(other.head_m.mean(0), rest.head_m.mean(0), atol=1e-9)
    assert found.joints_m is not None
    assert found.joints_m.shape == (21, 3)
    assert found.hand_m is not None
    assert found.hand_m.shape == (778, 3)


def test_joints_of_openxr_are_put_in_the_order_of_the_data_set():
    points = np.arange(78.0).reshape(26, 3)
    found = joints_21_m(HandJoints(points, np.zeros((26, 4)), np.zeros(26),
                                   np.zeros(26, np.uint8)))
    np.testing.assert_array_equal(found[0], points[1])
    np.testing.assert_array_equal(found[1:4], points[7:10])
    np.testing.assert_array_equal(found[13:16], points[2:5])
    np.testing.assert_allclose(found[16], points[4] + 0.7 * (points[5] - points[4]))


def test_the_command_says_what_is_missing_and_goes_on(dataset: Path, tmp_path: Path, capsys):
    from ros2_dice.assets import find_asset
    from ros2_dice.cli.main import main

    try:
        find_asset('face_landmark')
    except AssetError as error:
        pytest.skip(error.text())
    out = tmp_path / 'out.json'
    with pytest.raises(SystemExit) as stopped:
        main(['evaluate', 'decaf', str(dataset), '--every', '2', '--json', str(out), '--report',
              str(tmp_path / 'page')])
    assert stopped.value.code == 0
    assert 'generic_model.pkl' in capsys.readouterr().err
    document = json.loads(out.read_text())
    assert document['systems'][0]['frames_missing'] == document['systems'][0]['frames'] == 3
    assert 'FastMETRO' in (tmp_path / 'page' / 'index.html').read_text()


def test_missing_files_are_named_with_where_they_come_from(dataset: Path, tmp_path: Path):
    bodies = load_open_bodies(share_folder() / 'model' / 'open_bodies.npz')
    with pytest.raises(AssetError, match=r'generic_model\.pkl.*flame\.is\.tue\.mpg\.de'):
        DecafTruth(dataset / 'assets', bodies)
    with pytest.raises(ConfigError, match='test/videos'):
        DecafDataset(tmp_path / 'nothing')
    (dataset / 'test' / 'contacts' / 'S1' / 'contacts_rh.npy').unlink()
    with pytest.raises(ConfigError, match=r'contacts/S1/contacts_rh\.npy is missing'):
        DecafDataset(dataset).sequences()


def test_counts_and_shapes_have_to_agree(dataset: Path):
    path = dataset / 'test' / 'contacts' / 'S1' / 'contacts_rh.npy'
    np.save(path, np.zeros((FRAMES + 1, 778), np.uint8))
    with pytest.raises(ConfigError, match='6 and 7 frames'):
        DecafDataset(dataset).sequences()
    np.save(path, np.zeros((FRAMES, 777), np.uint8))
    with pytest.raises(ConfigError, match='778'):
        DecafDataset(dataset).sequences()


def test_a_pickle_that_runs_code_is_refused(dataset: Path):
    class Hostile:
        def __reduce__(self):
            return print, ('must not be called',)

    sequence, = DecafDataset(dataset).sequences()
    dump(dataset / 'test' / 'params' / 'S1' / 'params_smoothed.pkl', {0: Hostile()})
    with pytest.raises(AssetError):
        next(sequence.frames())
