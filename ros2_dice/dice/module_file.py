# SPDX-License-Identifier: Apache-2.0
"""
The released checkpoint: a whole pickled module, read as a tree of names and numbers.

The closed list holds every class that the released module is made of; none of them is needed, and
none is imported. What can't be read from shapes (attention heads, epsilons, activation) is read
from the stored attributes and compared with what the network of this package computes.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ros2_dice.assets.closed_list import ClosedList, Inert, Items, Name, Rule
from ros2_dice.assets.torch_file import TORCH, TensorRecord
from ros2_dice.errors import AssetError

LAYER_NORM_EPS, BATCH_NORM_EPS = 1e-12, 1e-5
"""What the network computes with (spec.md sections 2 and 4)."""
_MAX_DEPTH, _MAX_MODULES = 24, 20_000

_CLASSES = {
    'torch.nn.modules.activation': 'ReLU Sigmoid Tanh GELU',
    'torch.nn.modules.batchnorm': 'BatchNorm1d BatchNorm2d',
    'torch.nn.modules.container': 'ModuleList Sequential',
    'torch.nn.modules.conv': 'Conv1d Conv2d',
    'torch.nn.modules.dropout': 'Dropout',
    'torch.nn.modules.linear': 'Linear NonDynamicallyQuantizableLinear',
    'torch.nn.modules.normalization': 'LayerNorm',
    'torch.nn.modules.sparse': 'Embedding',
    'torch.nn.modules.upsampling': 'Upsample',
    'apex.normalization.fused_layer_norm': 'FusedLayerNorm MixedFusedLayerNorm',
    'metro.modeling.bert.modeling_metro':
        'METRO_Decaf_Network_DeformBranch_Presence METRO METRO_Encoder',
    'metro.modeling.bert.modeling_bert':
        'BertConfig BertEmbeddings BertEncoder BertLayer BertAttention BertSelfAttention '
        'BertSelfOutput BertIntermediate BertOutput BertPooler BertLayerNorm',
    'metro.modeling.bert.param_regressor':
        'Hand_Parameter_Regressor Face_Parameter_Regressor FCBlock FCResBlock',
    'metro.modeling.hrnet.hrnet_cls_net_featmaps':
        'HighResolutionNet HighResolutionModule BasicBlock Bottleneck',
}
_FUNCTIONS = (('metro.modeling.bert.modeling_bert', 'gelu'),
              ('metro.modeling.bert.modeling_bert', 'swish'),
              ('torch.nn.functional', 'relu'))
_OBJECT = Rule(make=Inert)

MODULE: ClosedList = {
    **TORCH,
    **{(module, name): _OBJECT for module, names in _CLASSES.items() for name in names.split()},
    **{function: Rule() for function in _FUNCTIONS},
    ('yacs.config', 'CfgNode'): Rule(make=Items),
    ('torch.serialization', '_get_layout'): Rule(),
}
"""The names of the released file and of its likely variants; functions are never called."""

_EXPECTED: Mapping[str, Mapping[str, Any]] = {
    # class: attributes whose values the network relies on; those that a file lacks are defaults
    'BatchNorm1d': {'eps': BATCH_NORM_EPS, 'affine': True, 'track_running_stats': True},
    'BatchNorm2d': {'eps': BATCH_NORM_EPS, 'affine': True, 'track_running_stats': True},
    'FusedLayerNorm': {'eps': LAYER_NORM_EPS, 'elementwise_affine': True},
    'MixedFusedLayerNorm': {'eps': LAYER_NORM_EPS, 'elementwise_affine': True},
    'LayerNorm': {'eps': LAYER_NORM_EPS, 'elementwise_affine': True},
    'BertLayerNorm': {'variance_epsilon': LAYER_NORM_EPS},
    'Conv1d': {'groups': 1, 'padding_mode': 'zeros'},
    'Conv2d': {'groups': 1, 'padding_mode': 'zeros'},
    'Upsample': {'mode': 'nearest'},
    'HighResolutionModule': {'fuse_method': 'SUM', 'multi_scale_output': True},
    'GELU': {'approximate': 'none'},
}
_MUST_STATE = frozenset(('eps', 'variance_epsilon'))


@dataclass(frozen=True)
class ModuleContent:
    """What a whole-module file holds."""

    tensors: Mapping[str, TensorRecord]
    """By the names of its state dict, in that order."""
    heads: Mapping[str, int]
    """Attention heads of each stage, by its name, e.g. `trans_encoder.0`."""


def module_content(root: Any, label: str) -> ModuleContent:
    """
    Return the tensors of a pickled module and the facts that its shapes do not tell.

    Args:
        root: from `TorchFile.load(MODULE)`.
        label: name of the file, for errors.

    Raises:
        AssetError: it is not the module of DICE, or computes something else than the network here.
    """
    if not isinstance(root, Inert) or not root.name.name.startswith('METRO_'):
        got = str(root.name) if isinstance(root, Inert) else type(root).__name__
        raise AssetError(f'{label} holds {got}', expected='the module of DICE, or a state dict')
    tensors: dict[str, TensorRecord] = {}
    heads: dict[str, set[int]] = {}
    for count, (path, module) in enumerate(_walk(root, label)):
        if count > _MAX_MODULES:
            raise AssetError(f'{label} is refused: more than {_MAX_MODULES} modules')
        where = f'{label}: {".".join(path) or "its root"}'
        _check_attributes(module, where)
        for kind in ('_parameters', '_buffers'):
            transient = module.state.get('_non_persistent_buffers_set', ())
            for name, value in _table(module, kind, where).items():
                if value is None or (kind == '_buffers' and name in transient):
                    continue
                if not isinstance(value, TensorRecord):
                    raise AssetError(f'{where}.{name} is {type(value).__name__}',
                                     expected='a tensor')
                tensors['.'.join((*path, name))] = value
        if module.name.name == 'BertSelfAttention':
            heads.setdefault('.'.join(path[:2]), set()).add(_heads(module, where))
    for stage, found in heads.items():
        if len(found) != 1:
            raise AssetError(f'{label}: attention heads in the layers of {stage}',
                             got=sorted(found), expected='one number')
    return ModuleContent(tensors, {stage: found.pop() for stage, found in heads.items()})


def _walk(root: Inert, label: str) -> Iterator[tuple[tuple[str, ...], Inert]]:
    """Give every module with its path, parents first; the file may share modules, or circle."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while waiting:
        path, module = waiting.pop()
        where = f'{label}: {".".join(path) or "its root"}'
        if not isinstance(module, Inert) or type(module.state) is not dict:
            raise AssetError(f'{where} is {type(module).__name__}', expected='a module')
        if len(path) > _MAX_DEPTH:
            raise AssetError(f'{where} is nested too deep', expected=f'at most {_MAX_DEPTH}')
        yield path, module
        children = [((*path, name), child)
                    for name, child in _table(module, '_modules', where).items()
                    if child is not None]
        waiting.extend(reversed(children))
        if len(waiting) > _MAX_MODULES:
            raise AssetError(f'{label} is refused: more than {_MAX_MODULES} modules')


def _table(module: Inert, kind: str, where: str) -> dict[str, Any]:
    """Return the parameters, buffers or children of a module by name."""
    table = module.state.get(kind)
    if not isinstance(table, dict) or any(
            type(name) is not str or not name.isprintable() or '.' in name or not name
            for name in table):
        raise AssetError(f'{where} has no readable {kind}', expected='a table of names')
    return table


def _check_attributes(module: Inert, where: str) -> None:
    state = module.state
    for name, wanted in _EXPECTED.get(module.name.name, {}).items():
        if name not in state and name not in _MUST_STATE:
            continue
        got = state.get(name)
        if type(got) is not type(wanted) or got != wanted:
            raise AssetError(f'{where}: {name}', got=_plain(got),
                             expected=f'{wanted}, with which this network computes')
    if module.name.name == 'METRO_Encoder' and state.get('use_img_layernorm'):
        raise AssetError(f'{where} has a layer norm after its embedding',
                         expected='none, as published')
    if module.name.name == 'BertIntermediate':
        act = state.get('intermediate_act_fn') or state['_modules'].get('intermediate_act_fn')
        kind = act.name.name if isinstance(act, Inert) else getattr(act, 'name', None)
        if not isinstance(act, (Name, Inert)) or kind not in ('gelu', 'GELU'):
            raise AssetError(f'{where}: activation', got=_plain(act), expected='gelu (erf)')


def _heads(module: Inert, where: str) -> int:
    state = module.state
    heads, size, width = (state.get(name) for name in (
        'num_attention_heads', 'attention_head_size', 'all_head_size'))
    query = _table(module, '_modules', where).get('query')
    weight = query.state['_parameters'].get('weight') if isinstance(query, Inert) else None
    rows = weight.shape[0] if isinstance(weight, TensorRecord) and weight.shape else None
    if type(heads) is not int or type(size) is not int or heads < 1 or not (
            heads * size == width == rows):
        raise AssetError(f'{where}: attention of {_plain(heads)} heads of {_plain(size)} channels '
                         f'in a layer of {_plain(rows)}', expected='heads x channels = layer')
    return heads


def _plain(value: Any) -> str:
    """Show a value of the file without walking into it."""
    if isinstance(value, (int, float, bool, type(None))):
        return repr(value)
    if isinstance(value, str):
        return ascii(value[:60])
    return str(value) if isinstance(value, Name) else type(value).__name__
