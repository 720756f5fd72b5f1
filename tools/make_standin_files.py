# SPDX-License-Identifier: Apache-2.0
"""
Write files that look like those of the official DICE setup, with numbers made by formula.

    python tools/make_standin_files.py OUT            # about 1.3 GB, as large as the real ones
    python tools/make_standin_files.py OUT --thin     # one number a tensor: to import, not to run
    ros2-dice import --from OUT --name dice_trial --verify

They have the names, the formats and the class paths of the originals (a pickled module, pickles
with chumpy arrays and sparse matrices, an object array), so that `ros2-dice import` can be tried
and measured without one licensed file. Nothing of a licensed file is in them.
"""
from __future__ import annotations

import argparse
import contextlib
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor

from ros2_dice.dice import formula_weights, official_shapes, standin_hand, standin_head
from ros2_dice.dice.module_file import BATCH_NORM_EPS, LAYER_NORM_EPS
from ros2_dice.dice.standin import standin_decimation, standin_templates

HEADS = 4
_BERT = 'metro.modeling.bert.modeling_bert'
_METRO = 'metro.modeling.bert.modeling_metro'
_HRNET = 'metro.modeling.hrnet.hrnet_cls_net_featmaps'
_REGRESSOR = 'metro.modeling.bert.param_regressor'
_LIST, _SEQUENTIAL = (f'torch.nn.modules.container.{name}' for name in ('ModuleList',
                                                                        'Sequential'))
_HOOKS = ('_backward_hooks', '_forward_hooks', '_forward_pre_hooks', '_state_dict_hooks',
          '_load_state_dict_pre_hooks')
_BY_PATH = {
    # end of a module's path: its class
    'encoder.layer': _LIST, 'attention': f'{_BERT}.BertAttention',
    'self': f'{_BERT}.BertSelfAttention', 'attention.output': f'{_BERT}.BertSelfOutput',
    'intermediate': f'{_BERT}.BertIntermediate', 'output': f'{_BERT}.BertOutput',
    'pooler': f'{_BERT}.BertPooler', 'embeddings': f'{_BERT}.BertEmbeddings',
    'encoder': f'{_BERT}.BertEncoder', 'bert': f'{_METRO}.METRO_Encoder',
    'LayerNorm': 'apex.normalization.fused_layer_norm.FusedLayerNorm',
    'backbone': f'{_HRNET}.HighResolutionNet', 'fc_block': _SEQUENTIAL,
    'hand_param_regressor': f'{_REGRESSOR}.Hand_Parameter_Regressor',
    'face_param_regressor': f'{_REGRESSOR}.Face_Parameter_Regressor',
}


def main() -> int:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip().splitlines()[0])
    parser.add_argument('out', type=Path, help='folder to make')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--thin', action='store_true', help='one number a tensor')
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tensors = thin_weights() if options.thin else formula_weights(options.seed, dead=True)
    write_module(options.out / 'model.bin', tensors)
    write_bodies(options.out, options.seed)
    for path in sorted(options.out.iterdir()):
        print(f'{path.stat().st_size / 1e6:8.1f} MB  {path}')
    return 0


def thin_weights() -> dict[str, Tensor]:
    """Return tensors of the official shapes that repeat one number each."""
    return {name: torch.tensor(7) if name.endswith('num_batches_tracked')
            else torch.full((1,), 0.01).expand(shape) if shape else torch.tensor(0.01)
            for name, shape in official_shapes(dead=True).items()}


def write_module(path: Path, tensors: Mapping[str, Tensor],
                 changes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """
    Write a pickled module, as torch.save does with the original's classes.

    Args:
        path: of the file.
        tensors: by official name.
        changes: attributes to set on all modules of a class, by the class's short name.
    """
    with foreign_classes() as find:
        torch.save(_module((), dict(tensors), find, changes or {}), path)


def write_bodies(folder: Path, seed: int = 0) -> None:
    """Write the other files of the official setup."""
    head = standin_head(seed)
    write_body(folder / 'MANO_RIGHT.pkl', standin_hand(seed))
    write_body(folder / 'generic_model.pkl', head)
    np.save(folder / 'neck_idx.npy', head['neck_idx'])
    table = {'full_lmk_faces_idx': head['lmk_faces_idx'][None],
             'full_lmk_bary_coords': head['lmk_bary_coords'][None],
             'dynamic_lmk_faces_idx': torch.zeros((79, 17), dtype=torch.int64)}
    np.save(folder / 'landmark_embedding.npy', np.array(table, object), allow_pickle=True)
    for name, vertices in standin_templates(seed).items():
        torch.save(vertices, folder / f'{name}.pt')
    sampling = standin_decimation(seed)
    sizes = {'hand_D0': (195, 778), 'head_D0': (1675, 5023), 'head_D1': (559, 1675)}
    for part in ('hand', 'head'):
        steps = [torch.sparse_coo_tensor(
            torch.from_numpy(np.stack(sampling[name][:2])), torch.from_numpy(sampling[name][2]),
            size, check_invariants=True)
            for name, size in sizes.items() if name.startswith(part)]
        torch.save({'A': [], 'U': [], 'D': steps, 'F': []},
                   folder / f'{part}_mesh_transforms.pt')


def write_body(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a body model as Python 2 did: chumpy arrays, a sparse matrix, protocol 2."""
    with foreign_classes() as find:
        chumpy, select = find('chumpy.ch.Ch'), find('chumpy.reordering.Select')
        sparse = find('scipy.sparse.csc.csc_matrix')
        flat = arrays['shapedirs'].reshape(-1)
        content = {
            'v_template': _with(chumpy, x=arrays['v_template'], _dirty_vars=set()),
            'shapedirs': _with(select, a=_with(chumpy, x=flat[::-1].copy()),
                               idxs=np.arange(flat.size)[::-1].copy(),
                               preferred_shape=arrays['shapedirs'].shape),
            'posedirs': np.asfortranarray(arrays['posedirs']),
            'J_regressor': _with(sparse, **_columns(arrays['J_regressor'])),
            'weights': arrays['weights'], 'f': arrays['faces'].astype(np.uint32),
            'kintree_table': np.stack((arrays['parents'], np.arange(len(arrays['parents'])))
                                      ).astype(np.uint32),
            'hands_mean': arrays.get('hands_mean', np.zeros(0)), 'bs_style': 'lbs',
            'bs_type': 'lrotmin'}
        with path.open('wb') as out:
            _Python2Pickler(out, 2).dump(content)


@contextlib.contextmanager
def foreign_classes() -> Iterator[Any]:
    """Give a function from a dotted name to a class that pickles under it."""
    before: dict[str, types.ModuleType | None] = {}
    made: dict[str, Any] = {}

    def find(path: str) -> Any:
        module, _, name = path.rpartition('.')
        if module.startswith('torch.'):
            return getattr(sys.modules[module], name)
        if path not in made:
            parts = module.split('.')
            for count in range(1, len(parts) + 1):
                place = '.'.join(parts[:count])
                if place not in before and (count == len(parts) or place not in sys.modules):
                    before[place] = sys.modules.get(place)
                    sys.modules[place] = types.ModuleType(place)
            made[path] = (types.FunctionType((lambda x: x).__code__, {}, name)
                          if name == 'gelu' else type(name, (), {}))
            made[path].__module__, made[path].__qualname__ = module, name
            setattr(sys.modules[module], name, made[path])
        return made[path]

    try:
        yield find
    finally:
        for module, original in before.items():
            if original is None:
                del sys.modules[module]
            else:
                sys.modules[module] = original


def _save_text(pickler: Any, value: str | bytes) -> None:
    data = value.encode('latin1') if isinstance(value, str) else value
    pickler.write(b'U' + bytes([len(data)]) + data if len(data) < 256
                  else b'T' + len(data).to_bytes(4, 'little') + data)
    pickler.memoize(value)


_PLAIN: Any = getattr(pickle, '_Pickler')  # noqa: B009  (the one in Python, which can be bent)


class _Python2Pickler(_PLAIN):
    """Writes text and bytes as Python 2 did, which had one type for both."""

    dispatch = {**_PLAIN.dispatch, str: _save_text, bytes: _save_text}


def _module(path: tuple[str, ...], tensors: dict[str, Tensor], find: Any,
            changes: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return a module object and, in it, those below it."""
    own: dict[str, Tensor] = {}
    below: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        first, _, rest = name.partition('.')
        if rest:
            below.setdefault(first, {})[rest] = value
        else:
            own[first] = value
    buffers = {name for name in own if name.startswith(('running_', 'num_batches'))}
    path_class = _class(path, own, below)
    name = path_class.rpartition('.')[2]
    attributes = {**_attributes(name, own, below, find), **changes.get(name, {})}
    tables: dict[str, Any] = {
        '_parameters': OrderedDict((key, torch.nn.Parameter(value)) for key, value in own.items()
                                   if key not in buffers),
        '_buffers': OrderedDict((key, own[key]) for key in own if key in buffers),
        '_modules': OrderedDict((key, _module((*path, key), part, find, changes))
                                for key, part in below.items())}
    if name.startswith('Conv') and 'bias' not in own:
        tables['_parameters']['bias'] = None
    return _with(find(path_class), **{
        'training': False, **tables, **{hook: OrderedDict() for hook in _HOOKS},
        '_non_persistent_buffers_set': set(), **attributes})


def _class(path: tuple[str, ...], own: Mapping[str, Tensor], below: Mapping[str, Any]) -> str:
    if not path:
        return f'{_METRO}.METRO_Decaf_Network_DeformBranch_Presence'
    if 'running_var' in own:
        return f'torch.nn.modules.batchnorm.BatchNorm{1 if "fc_block" in path else 2}d'
    for end in ('.'.join(path[-2:]), path[-1]):
        if end in _BY_PATH:
            return _BY_PATH[end]
    if 'weight' in own:
        axes = own['weight'].ndim
        embedding = 'embeddings' in path[-1]
        return {4: 'torch.nn.modules.conv.Conv2d', 3: 'torch.nn.modules.conv.Conv1d'}.get(
            axes, 'torch.nn.modules.sparse.Embedding' if embedding
            else 'torch.nn.modules.linear.Linear')
    if 'attention' in below:
        return f'{_BERT}.BertLayer'
    if 'bert' in below:
        return f'{_METRO}.METRO'
    if 'branches' in below:
        return f'{_HRNET}.HighResolutionModule'
    if 'conv1' in below:
        return f'{_HRNET}.{"Bottleneck" if "conv3" in below else "BasicBlock"}'
    return _SEQUENTIAL


def _attributes(name: str, own: Mapping[str, Tensor], below: Mapping[str, Any],
                find: Any) -> dict[str, Any]:
    """Return what the original keeps on such a module beside tensors, as far as it matters."""
    if name == 'BertSelfAttention':
        width = len(below['query']['weight'])
        return {'num_attention_heads': HEADS, 'attention_head_size': width // HEADS,
                'all_head_size': width, 'output_attentions': False}
    if name.startswith('BatchNorm'):
        return {'eps': BATCH_NORM_EPS, 'momentum': 0.1, 'affine': True,
                'track_running_stats': True, 'num_features': len(own['weight'])}
    return {
        'FusedLayerNorm': {'eps': LAYER_NORM_EPS, 'elementwise_affine': True},
        'BertIntermediate': {'intermediate_act_fn': find(f'{_BERT}.gelu')},
        'HighResolutionModule': {'fuse_method': 'SUM', 'multi_scale_output': True},
        'METRO_Encoder': {'use_img_layernorm': None},
        'Conv1d': {'groups': 1, 'padding_mode': 'zeros'},
        'Conv2d': {'groups': 1, 'padding_mode': 'zeros'},
    }.get(name, {})


def _columns(matrix: np.ndarray) -> dict[str, Any]:
    """Return a matrix as scipy keeps one by columns."""
    column, row = np.nonzero(matrix.T)
    starts = np.searchsorted(column, np.arange(matrix.shape[1] + 1))
    return {'_shape': matrix.shape, 'maxprint': 50, 'data': matrix[row, column],
            'indices': row.astype(np.int32), 'indptr': starts.astype(np.int32), 'format': 'csc'}


def _with(kind: Any, **state: Any) -> Any:
    """Return an object of a class with a state, without a call of its constructor."""
    made = kind.__new__(kind)
    made.__dict__.update(state)
    return made


if __name__ == '__main__':
    raise SystemExit(main())
