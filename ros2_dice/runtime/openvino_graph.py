# SPDX-License-Identifier: Apache-2.0
"""
Mixed precision written into an OpenVINO graph: products in bf16 or int8, all else in fp32.

Only matrix products and convolutions are lowered, each with conversions of its own around it; what
lies between them (sums, layer norms, softmax) stays in fp32. So a graph is strongly typed: the
plugin has nothing to choose, and the same file computes the same everywhere.

Products are known by their place in the graph's order, so nothing here depends on names.
"""
from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ros2_dice.errors import EngineError
from ros2_dice.runtime.protocol import FloatTensor

_ATTENTION = 'ScaledDotProductAttention'
_PRODUCTS = ('MatMul', 'Convolution', 'GroupConvolution', _ATTENTION)
_ACTIVATION_LEVELS = 256
_WEIGHT_LEVELS = 255
"""Symmetric: -127 to 127."""


def products(model: Any) -> list[Any]:
    """Return the matrix products and convolutions of a model in the order of its graph."""
    return [node for node in model.get_ordered_ops() if node.get_type_name() in _PRODUCTS]


def attention_products(model: Any) -> set[int]:
    """Return the places of whole attentions, which have no weights."""
    return {place for place, node in enumerate(products(model))
            if node.get_type_name() == _ATTENTION}


def multiplications(node: Any) -> int:
    """Return how many multiplications a product with fixed shapes takes."""
    out = math.prod(node.get_output_shape(0))
    weights = list(node.get_input_shape(1))
    if node.get_type_name() == _ATTENTION:
        return 2 * out * weights[-2]
    if node.get_type_name() == 'MatMul':
        first = list(node.get_input_shape(0))
        inner = first[-2] if node.get_attributes().get('transpose_a') else first[-1]
        return out * inner
    return out * math.prod(weights[1:] if node.get_type_name() == 'Convolution' else weights[2:])


def last_products(model: Any, depth: int = 1) -> set[int]:
    """
    Return the places of the products that lie at most `depth` products before an output.

    Their rounding reaches the outputs undamped, and they are a small part of the work.
    """
    rank: dict[str, int] = {}
    places = {node.get_friendly_name(): place for place, node in enumerate(products(model))}
    for node in reversed(model.get_ordered_ops()):
        name = node.get_friendly_name()
        after = max((rank.get(target.get_node().get_friendly_name(), 0)
                     for port in node.outputs() for target in port.get_target_inputs()),
                    default=0)
        rank[name] = after + (name in places)
    return {place for name, place in places.items() if rank[name] <= depth}


def cut_in_two(model: Any, share: float) -> tuple[Any, Any]:
    """
    Return two models which do one after the other what a model does.

    Args:
        model: with fixed shapes and one input; it may be changed.
        share: of the multiplications that the first one shall do, about; the place is one where
            a single tensor goes on.

    Raises:
        EngineError: there is no such place.
    """
    import openvino
    from openvino import opset13 as ops

    node = _cut_point(model, share)
    make: Any = openvino.Model
    first = make([node.output(0)], model.get_parameters(), 'first part').clone()
    middle = ops.parameter(node.get_output_shape(0), node.get_output_element_type(0))
    for name, port in (('middle', first.output(0)), ('middle', middle.output(0))):
        port.get_tensor().set_names({name})
    for target in list(node.output(0).get_target_inputs()):
        target.replace_source_output(middle.output(0))
    return first, make(model.get_results(), [middle], 'second part')


def _cut_point(model: Any, share: float) -> Any:
    """Return the node after which only its output is alive, nearest to a share of the work."""
    nodes = model.get_ordered_ops()
    places = {node.get_friendly_name(): place for place, node in enumerate(nodes)}
    fixed: set[str] = set()
    last_use: dict[str, int] = {}
    for place, node in enumerate(nodes):
        sources = [port.get_source_output().get_node().get_friendly_name()
                   for port in node.inputs()]
        if node.get_type_name() == 'Constant' or (sources and fixed.issuperset(sources)):
            fixed.add(node.get_friendly_name())
        last_use.update(dict.fromkeys(sources, place))
    work = {node.get_friendly_name(): multiplications(node) for node in products(model)}
    total = sum(work.values())
    done, until, best = 0, 0, (math.inf, None)
    for node in nodes:
        name = node.get_friendly_name()
        if name in fixed:
            continue
        alone = until <= places[name]
        until = max(until, last_use.get(name, 0))
        done += work.get(name, 0)
        if alone and node.get_type_name() == 'Add' and 0 < done < total:
            best = min(best, (abs(done / total - share), node), key=lambda one: one[0])
    if best[1] is None:
        raise EngineError('network', state='without a place where it can be cut in two',
                          expected='one tensor that all else depends on')
    return best[1]


def cast_products(model: Any, places: Collection[int]) -> Any:
    """
    Return a copy whose products at some places multiply in bf16 and add in fp32.

    Args:
        model: with fp32 tensors only.
        places: as in `products`.
    """
    import openvino

    copy = model.clone()
    for place, node in enumerate(products(copy)):
        if place in places:
            for port in node.inputs():
                port.replace_source_output(_narrow(port.get_source_output(), openvino.Type.bf16))
            _widen(node, openvino.Type.f32)
    copy.validate_nodes_and_infer_types()
    return copy


def _narrow(source: Any, kind: Any) -> Any:
    """Return the value in another type; a constant is converted once and for all."""
    from openvino import opset13 as ops

    node = source.get_node()
    if node.get_type_name() == 'Constant':
        return ops.constant(node.data, dtype=kind).output(0)
    return ops.convert(source, kind).output(0)


def _widen(node: Any, kind: Any) -> None:
    """Convert what a node gives before anybody takes it."""
    from openvino import opset13 as ops

    targets = list(node.output(0).get_target_inputs())
    wide = ops.convert(node.output(0), kind).output(0)
    for target in targets:
        target.replace_source_output(wide)


def activation_ranges(model: Any, inputs: Mapping[str, FloatTensor], *, threads: int,
                      ) -> dict[str, tuple[float, float]]:
    """
    Return the smallest and largest value of each tensor that goes into a product.

    Args:
        model: with fp32 tensors and a fixed batch.
        inputs: arrays (K, ...), run one batch after another.
        threads: CPU threads.

    Returns:
        By the name of the tensor's node and the number of its output, see `_tensor_name`.
    """
    import openvino
    from openvino import opset13 as ops

    copy = model.clone()
    sources: dict[str, Any] = {}
    for node in products(copy):
        for port in node.inputs():
            source = port.get_source_output()
            if not _is_constant(source):
                sources.setdefault(_tensor_name(source), source)
    results = []
    for source in sources.values():
        axes = ops.constant(np.arange(len(source.get_partial_shape())))
        results += [ops.reduce_min(source, axes, False), ops.reduce_max(source, axes, False)]
    make: Any = openvino.Model
    probe = make(results, copy.get_parameters(), 'ranges')
    compiled = openvino.Core().compile_model(probe, 'CPU', {
        'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': threads})
    request = compiled.create_infer_request()
    batch = tuple(compiled.inputs[0].shape)[0]
    low = np.full(len(sources), np.inf)
    high = np.full(len(sources), -np.inf)
    for begin in range(0, min(len(v) for v in inputs.values()) - batch + 1, batch):
        request.infer({port: inputs[port.any_name][begin:begin + batch]
                       for port in compiled.inputs})
        values = np.array([float(request.get_output_tensor(number).data)
                           for number in range(2 * len(sources))])
        low, high = np.minimum(low, values[::2]), np.maximum(high, values[1::2])
    return {name: (float(a), float(b)) for name, a, b in zip(sources, low, high)}


def quantize_products(model: Any, places: Collection[int],
                      ranges: Mapping[str, tuple[float, float]]) -> Any:
    """
    Return a copy whose products at some places multiply in int8 and add in int32.

    Weights get a scale for each output channel, activations one for the tensor.

    Args:
        model: with fp32 tensors only.
        places: as in `products`.
        ranges: as from `activation_ranges`.
    """
    copy = model.clone()
    made: dict[str, Any] = {}
    for place, node in enumerate(products(copy)):
        if place not in places:
            continue
        for number, port in enumerate(node.inputs()):
            source = port.get_source_output()
            if _is_constant(source):
                port.replace_source_output(_quantized_weights(node, number, source))
                continue
            name = _tensor_name(source)
            if name not in made:
                made[name] = _quantized(source, *ranges[name])
            port.replace_source_output(made[name])
    copy.validate_nodes_and_infer_types()
    return copy


def _quantized(source: Any, low: float, high: float) -> Any:
    """Return an activation on 256 levels: from 0, or about 0 where it has both signs."""
    if low >= 0.0:
        low, high = 0.0, max(high, 1e-6)
    else:
        top = max(-low, high * 128.0 / 127.0, 1e-6)
        low, high = -top, top * 127.0 / 128.0
    return _fake_quantize(source, np.float32(low), np.float32(high), _ACTIVATION_LEVELS)


def _quantized_weights(node: Any, number: int, source: Any) -> Any:
    """Return constant weights on 255 levels, symmetric about 0 for each output channel."""
    weights = source.get_node().data
    if node.get_type_name() != 'MatMul':
        kept = 0
    else:
        flag = node.get_attributes().get('transpose_b' if number else 'transpose_a')
        kept = weights.ndim - (2 if flag else 1) if number else weights.ndim - (1 if flag else 2)
    axes = tuple(axis for axis in range(weights.ndim) if axis != kept)
    top = np.maximum(np.abs(weights).max(axes, keepdims=True), 1e-9).astype(np.float32)
    return _fake_quantize(source, -top, top, _WEIGHT_LEVELS)


def _fake_quantize(source: Any, low: Any, high: Any, levels: int) -> Any:
    from openvino import opset13 as ops

    bounds = [ops.constant(np.asarray(value, np.float32)) for value in (low, high, low, high)]
    return ops.fake_quantize(source, *bounds, levels).output(0)


def _is_constant(source: Any) -> bool:
    return source.get_node().get_type_name() == 'Constant'


def _tensor_name(source: Any) -> str:
    return f'{source.get_node().get_friendly_name()}:{source.get_index()}'


def groups(model: Any, places: Sequence[int], count: int) -> list[list[int]]:
    """Return neighbouring places in at most `count` groups of about the same work."""
    nodes = products(model)
    work = [multiplications(nodes[place]) for place in places]
    share = sum(work) / count
    parts: list[list[int]] = []
    filled = math.inf
    for place, amount in zip(places, work):
        if filled + amount / 2.0 > share and len(parts) < count:
            parts.append([])
            filled = 0.0
        parts[-1].append(place)
        filled += amount
    return parts
