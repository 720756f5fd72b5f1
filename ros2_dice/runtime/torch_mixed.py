# SPDX-License-Identifier: Apache-2.0
"""
A torch module rewritten to mixed precision: products in fp16 or bf16, what is delicate in fp32.

Products (linear layers, convolutions, attention) multiply in the lower type, and what only passes
their results on (activations, sums of two such results) keeps it. All else, layer norms, softmax
and means above all, and the last product before each output compute in fp32. The types stand in
the graph, so an exporter has nothing to choose: the network is strongly typed.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import fx, nn

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_aten = torch.ops.aten
_ATTENTION = _aten.scaled_dot_product_attention.default
PRODUCTS = frozenset({
    _aten.linear.default, _aten.conv2d.default, _aten.convolution.default, _aten.matmul.default,
    _aten.bmm.default, _aten.mm.default, _aten.addmm.default, _aten.baddbmm.default,
    _ATTENTION, _aten.einsum.default})
PASSING = frozenset({
    _aten.relu.default, _aten.relu_.default, _aten.gelu.default, _aten.add.Tensor,
    _aten.add_.Tensor, _aten.upsample_nearest2d.vec, _aten.upsample_nearest2d.default,
    _aten.view.default, _aten.reshape.default, _aten.flatten.using_ints,
    _aten.transpose.int, _aten.permute.default, _aten.unflatten.int, _aten.split.Tensor,
    _aten.split_with_sizes.default, _aten.chunk.default, _aten.unbind.int, _aten.cat.default,
    _aten.contiguous.default, _aten.clone.default, _aten.slice.Tensor, _aten.select.int,
    _aten.unsqueeze.default, _aten.squeeze.dim, _aten.expand.default})
"""Keep the type of what they are given."""


def lowered(program: ExportedProgram, dtype: torch.dtype, *, depth: int = 1,
            open_attention: bool = False) -> fx.GraphModule:
    """
    Return a module in mixed precision; inputs and outputs stay float32.

    Args:
        program: of a float32 module, see `export.export_program`; its weights are not changed.
        dtype: float16 or bfloat16.
        depth: products that lie at most so many products before an output stay in fp32.
        open_attention: write attention out as products and a softmax in fp32, for formats that
            have no attention of their own; torch's kernels do the softmax in fp32 by themselves.
    """
    module = cast(fx.GraphModule, program.module())
    graph = module.graph
    if open_attention:
        for node in [node for node in graph.nodes if node.target is _ATTENTION]:
            _open(graph, node)
        # Its result lies otherwise in memory than attention's, which torch 2.4's views counted on.
        for node in graph.nodes:
            if node.target is _aten.view.default:
                node.target = _aten.reshape.default
    spared = last_products(graph, depth)
    low: set[fx.Node] = set()
    casts: dict[tuple[fx.Node, torch.dtype], fx.Node] = {}

    def converted(node: fx.Node, user: fx.Node, wanted: torch.dtype) -> fx.Node:
        if (node, wanted) not in casts:
            with graph.inserting_before(user):
                if node.op == 'get_attr' and wanted is dtype:
                    casts[node, wanted] = _constant(module, node, dtype)
                else:
                    casts[node, wanted] = graph.call_function(
                        torch.ops.aten.to.dtype, (node, wanted))
        return casts[node, wanted]

    for node in list(graph.nodes):
        given = [source for source in node.all_input_nodes if _floating(source)]
        if _is_getitem(node) and given and given[0] in low:
            low.add(node)
            continue
        keeps = node.target in PASSING and any(source in low for source in given) and all(
            source in low or source.op == 'get_attr' for source in given)
        multiplies = node.target in PRODUCTS and node not in spared
        wanted = dtype if keeps or multiplies else torch.float32
        for source in given:
            if (source in low) != (wanted is dtype):
                node.replace_input_with(source, converted(source, node, wanted))
        if wanted is dtype:
            low.add(node)
    graph.lint()
    module.recompile()
    module.delete_all_unused_submodules()
    _drop_unused(module)
    return module


def last_products(graph: fx.Graph, depth: int) -> set[fx.Node]:
    """Return the products that lie at most `depth` products before an output."""
    rank: dict[fx.Node, int] = {}
    for node in reversed(graph.nodes):
        rank[node] = max((rank[user] for user in node.users), default=0) + (
            node.target in PRODUCTS)
    return {node for node, value in rank.items() if node.target in PRODUCTS and value <= depth}


def _open(graph: fx.Graph, node: fx.Node) -> None:
    """Write an attention without mask and dropout as two products and a softmax."""
    query, key, value = (argument for argument in node.args[:3] if isinstance(argument, fx.Node))
    width = query.meta['val'].shape[-1]
    scale = node.kwargs.get('scale')
    with graph.inserting_before(node):
        turned = _call(graph, _aten.transpose.int, key, -2, -1)
        scores = _call(graph, _aten.matmul.default, query, turned)
        if scale != 1.0:
            scores = _call(graph, _aten.mul.Tensor, scores,
                           width ** -0.5 if scale is None else scale)
        weights = _call(graph, _aten.softmax.int, scores, -1)
        result = _call(graph, _aten.matmul.default, weights, value)
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def _call(graph: fx.Graph, target: Callable[..., Any], *arguments: Any) -> fx.Node:
    """Insert a call whose shape and type are known."""
    node = graph.call_function(target, arguments)
    node.meta['val'] = target(*(value.meta['val'] if isinstance(value, fx.Node) else value
                                for value in arguments))
    return node


def _floating(node: fx.Node) -> bool:
    value = node.meta.get('val')
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _is_getitem(node: fx.Node) -> bool:
    return getattr(node.target, '__name__', '') == 'getitem'


def _constant(module: nn.Module, node: fx.Node, dtype: torch.dtype) -> fx.Node:
    """Return a node for a weight in the lower type, converted once and for all."""
    owner: object = module
    *path, leaf = str(node.target).split('.')
    for part in path:
        owner = getattr(owner, part)
    name = 'lowered_' + str(node.target).replace('.', '_')
    module.register_buffer(name, getattr(owner, leaf).detach().to(dtype), persistent=False)
    result = node.graph.get_attr(name)
    result.meta['val'] = node.meta['val'].to(dtype)
    return result


def _drop_unused(module: fx.GraphModule) -> None:
    """Let go of the float32 weights that only lowered products used."""
    module.graph.eliminate_dead_code()
    used = {str(node.target) for node in module.graph.nodes if node.op == 'get_attr'}
    for prefix, part in list(module.named_modules()):
        for kind in (part._parameters, part._buffers):
            _remove(kind, prefix, used)
    module.recompile()


def _remove(kind: dict, prefix: str, used: Iterable[str]) -> None:
    for name in list(kind):
        if f'{prefix}.{name}'.lstrip('.') not in used:
            del kind[name]
