# SPDX-License-Identifier: Apache-2.0
"""The DICE network: loading, shapes, and its numbers against stored ones."""
# ruff: noqa: E402
from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')

import network_samples
from script_module import load_script

from ros2_dice.dice import (
    DiceNetwork,
    ParametricOutput,
    formula_weights,
    is_dead,
    simplify,
    standin_references,
)
from ros2_dice.dice.heads import gate_deformation
from ros2_dice.dice.network import DiceOutput
from ros2_dice.dice.tokens import TOKENS, centred_references
from ros2_dice.dice.transformer import StageShape
from ros2_dice.dice.weight_formula import formula_tensor, official_shapes
from ros2_dice.errors import AssetError

# Filling 300 million weights and running 100 G multiply-adds in float64 may take its time.
pytestmark = pytest.mark.timeout(900)

DIGEST = '64a7feac775b4dabf4cb0d2c268aa79f2c8b3da09453672281ea0c9dd19479dc'
SHAPES = {
    'cam_param': (3,), 'hand_joints': (21, 3), 'head_joints': (68, 3), 'hand_vs_sub': (195, 3),
    'hand_vs': (778, 3), 'head_vs_sub2': (559, 3), 'head_vs_sub1': (1675, 3),
    'head_vs': (5023, 3), 'hand_contact_sub': (195, 1), 'hand_contact': (778, 1),
    'head_contact_sub2': (559, 1), 'head_contact_sub1': (1675, 1), 'head_contact': (5023, 1),
    'rh_betas': (10,), 'rh_transl': (3,), 'rh_rot': (3,), 'rh_pose': (45,), 'face_shape': (100,),
    'face_exp': (50,), 'face_pose': (6,), 'face_rot': (3,), 'face_transl': (3,),
    'deform_sub2': (559, 3), 'deform_sub1': (1675, 3), 'deform': (5023, 3), 'presence': (1,),
    'deform_ungated': (5023, 3)}


@pytest.fixture(scope='module')
def weights():
    """Formula-made weights, the dead ones too, as an official file has them."""
    return formula_weights(0, dead=True)


@pytest.fixture
def outlines():
    """Tensors of the usual shapes without memory."""
    return {name: torch.empty(shape, device='meta') for name, shape in official_shapes().items()}


def load(tensors, heads: int = 4):
    return DiceNetwork.from_tensors(tensors, standin_references(0), heads)


def compare_with_samples(outputs, bound: float) -> None:
    """Compare with numbers of the published network in float64."""
    with np.load(network_samples.FILE) as stored:
        assert set(stored.files) == set(SHAPES)
        for name, values in network_samples.samples(outputs).items():
            np.testing.assert_allclose(values, stored[name], rtol=0, atol=bound, err_msg=name)


def test_outputs_equal_the_samples_of_this_repository(weights):
    with torch.inference_mode():
        compare_with_samples(load(weights)(network_samples.picture().float()), 5e-5)


def test_the_simplified_networks_give_the_same_numbers(weights, monkeypatch):
    network = DiceNetwork.from_tensors(weights, standin_references(0), dtype=torch.float64)
    with torch.inference_mode():
        simplified, parametric = simplify(network), simplify(network, parametric_only=True)
        # Both begin with the same modules; once is enough.
        common = simplified.run(network_samples.picture())
        for made in (simplified, parametric):
            monkeypatch.setattr(made, 'run', lambda image: common)
            compare_with_samples(made(torch.empty(0)), 1e-10)


def test_the_numbers_of_the_original_are_met(shared_dice, weights, capsys):
    """
    The published network in float64, on the picture with the open gate.

    tools/check_parity.py compares both pictures, both precisions and the simplified network.
    """
    from tools.parity.network import compare_network
    from tools.parity.report import Report

    with np.load(shared_dice / 'parity_seed0.npz') as file:
        stored = {name: file[name] for name in file.files if not name.startswith('midsum_')}
    one = {name: values[1:] if values.shape[:1] == (2,) else values
           for name, values in stored.items()}
    report = Report()
    compare_network(one, weights, dtype=torch.float64, simplified=False, report=report)
    assert report.compared == len(SHAPES) + 13
    assert report.finish() == 0, capsys.readouterr().out


def test_the_formula_fills_as_the_published_script(shared_dice, weights):
    table = json.loads((shared_dice / 'state_dict.json').read_text())
    assert {name: tuple(shape) for name, (shape, _) in table.items()} == {
        name: tuple(value.shape) for name, value in weights.items()}
    digest = hashlib.sha256()
    for name in table:
        digest.update(name.encode())
        digest.update(weights[name].numpy().tobytes())
    assert digest.hexdigest() == DIGEST


def test_other_seeds_fill_as_the_published_script(shared_dice):
    script = load_script(shared_dice / 'fill_weights.py')
    shapes = official_shapes()
    small = [name for name, shape in shapes.items() if np.prod(shape, dtype=int) <= 4096]
    for name in small[::7]:
        wanted = script.fill(name, shapes[name], 'float32', set(shapes), 11)
        assert np.array_equal(formula_tensor(name, shapes, 11), wanted), name


def test_the_formula_gives_the_same_everywhere():
    shapes = official_shapes()
    digest = hashlib.sha256()
    for name in sorted(shapes):
        if np.prod(shapes[name], dtype=int) <= 4096:
            digest.update(formula_tensor(name, shapes, 3).tobytes())
    assert digest.hexdigest() == '58b1dc1e28562d25c1ab21491bf594d383f297c9e9fa8ae1443569c2941e441c'


@pytest.mark.parametrize('change', [
    lambda network: network, simplify, lambda network: simplify(network, parametric_only=True)],
    ids=['published', 'simplified', 'parametric only'])
def test_every_output_has_its_shape_for_any_batch(change):
    with torch.device('meta'):
        network = change(DiceNetwork(torch.empty(TOKENS, 3)).eval())
        outputs = network(torch.empty(3, 3, 224, 224))
    found = {name: tuple(value.shape) for name, value in outputs._asdict().items()}
    assert found == {name: (3, *SHAPES[name]) for name in type(outputs)._fields}


def test_the_simplified_network_exports_for_any_batch():
    """No branch depends on data, and no shape but the batch is free."""
    with torch.device('meta'):
        network = simplify(DiceNetwork(torch.empty(TOKENS, 3)).eval())
        batch = torch.export.Dim('batch', min=1, max=8)
        program = torch.export.export(network, (torch.empty(2, 3, 224, 224),),
                                      dynamic_shapes={'image': {0: batch}})
        outputs = program.module()(torch.empty(5, 3, 224, 224))
    assert {name: tuple(value.shape[1:]) for name, value in outputs._asdict().items()} == SHAPES
    assert {value.shape[0] for value in outputs} == {5}


def test_names_and_order_of_the_outputs():
    assert list(SHAPES) == list(DiceOutput._fields)
    assert set(ParametricOutput._fields) < set(DiceOutput._fields)


def test_sizes_that_the_specification_leaves_open_are_read_off_the_tensors():
    stages = (StageShape(96, 32, 20, 48, 2), StageShape(20, 64, 8, 40, 1),
              StageShape(8, 16, 4, 24, 3, 843))
    with torch.device('meta'):
        tensors = DiceNetwork(torch.empty(TOKENS, 3), interaction_stages=stages).state_dict()
    network = load(tensors, heads=8).to('meta')
    assert network.feat_downsampler.out_features == 96
    assert len(network.deform_encoder) == 3
    for simplified in (network, simplify(network)):
        outputs = simplified(torch.empty(2, 3, 224, 224, device='meta'))
        assert outputs.deform.shape == (2, 5023, 3)


def test_dead_tensors_are_not_needed_and_not_loaded():
    everything = official_shapes(dead=True)
    live = official_shapes()
    assert {name for name in everything if is_dead(name)} == everything.keys() - live.keys()
    assert not any('embeddings.word' in name or 'pooler' in name for name in live)
    assert sum(name.startswith('backbone.classifier') for name in everything) == 2
    assert 'trans_encoder.0.bert.position_embeddings.weight' in live


def test_the_tensors_given_are_used_not_copied(outlines):
    outlines['cam_param_fc.weight'] = torch.zeros(1, 3)
    network = load(outlines)
    assert network.cam_param_fc.weight.data_ptr() == outlines['cam_param_fc.weight'].data_ptr()
    assert not network.cam_param_fc.weight.requires_grad
    assert not network.training


@pytest.mark.parametrize(('name', 'tensor', 'words'), [
    ('cam_param_fc.weight', None, 'missing'),
    ('trans_encoder.0.cls_head.weight', None, 'missing'),
    ('deform_encoder.0.bert.img_embedding.weight', (7,), 'a matrix'),
    ('hand_upsampling.weight', (778, 196), r'shape \(778, 195\)'),
    ('trans_encoder.3.cls_head.weight', (3, 3), 'missing'),
    ('some.other.weight', (3,), 'unknown'),
    ('trans_encoder.1.bert.img_embedding.weight', (256, 511), '512 inputs'),
])
def test_weights_of_another_network_are_refused(outlines, name, tensor, words):
    if tensor is None:
        del outlines[name]
    else:
        outlines[name] = torch.empty(tensor, device='meta')
    with pytest.raises(AssetError, match=words):
        load(outlines)


def test_heads_must_divide_the_channels(outlines):
    with pytest.raises(AssetError, match='heads'):
        load(outlines, heads=3)


def test_template_points_are_centred_on_the_vertices():
    references = standin_references(0)
    moved = {name: values + ([1.0, 2.0, 3.0] if 'rh' in name else [-4.0, 0.0, 1.0])
             for name, values in references.items()}
    places = centred_references(references)
    np.testing.assert_allclose(centred_references(moved), places, atol=1e-12)
    np.testing.assert_allclose(places[89:284].mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(places[284:].mean(0), 0.0, atol=1e-12)
    assert abs(places[:21].mean(0)).max() > 1e-4  # joints are not about their own mean


@pytest.mark.parametrize('change', [
    lambda given: given.pop('ref_rh_ref_kps'),
    lambda given: given.update(ref_head_ref_kps=np.zeros((67, 3)))])
def test_template_points_of_other_shapes_are_refused(change):
    given = dict(standin_references(0))
    change(given)
    with pytest.raises(AssetError, match='template points'):
        centred_references(given)


def test_the_gate_opens_above_one_half():
    deformation_m = torch.ones(3, 5, 3)
    gated = gate_deformation(torch.tensor([[0.5], [0.500001], [0.9]]), deformation_m)
    assert gated.sum((1, 2)).tolist() == [0.0, 15.0, 15.0]


def test_the_tool_says_what_is_wrong_with_a_file(tmp_path, monkeypatch, capsys):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tools import check_parity

    empty = tmp_path / 'empty.npz'
    np.savez(empty, nothing=np.zeros(3))
    for path in (tmp_path / 'none.npz', empty):
        monkeypatch.setattr(sys, 'argv', ['check_parity', str(path)])
        assert check_parity.main() == 1
        assert path.name in capsys.readouterr().err
