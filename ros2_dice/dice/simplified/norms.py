# SPDX-License-Identifier: Apache-2.0
"""Batch norms folded into the convolutions and linear layers before them (section 10, item 1)."""
from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

AnyModule = TypeVar('AnyModule', bound=nn.Module)
_LINEAR = (nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norms(module: AnyModule) -> AnyModule:
    """
    Return a module without batch norms that gives the same numbers as in eval mode.

    Every batch norm must directly follow its convolution or linear layer among the children of a
    module. Tensors that do not change are shared with the given module.
    """
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    folded = copy.deepcopy(module, shared)
    for parent in folded.modules():
        children = list(parent.named_children())
        for (name, layer), (norm_name, norm) in zip(children, children[1:]):
            if isinstance(layer, _LINEAR) and isinstance(norm, _NORMS):
                setattr(parent, name, _fold(layer, norm))
                setattr(parent, norm_name, nn.Identity())
    return folded


def _fold(layer: nn.Conv2d | nn.Linear,
          norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Conv2d | nn.Linear:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() - norm.running_mean.double() * scale
    if layer.bias is not None:
        bias = bias + layer.bias.double() * scale
    dtype = layer.weight.dtype
    weight = layer.weight * scale.to(dtype).view(-1, *(1,) * (layer.weight.ndim - 1))
    result = copy.copy(layer)
    result._parameters = {'weight': frozen(weight), 'bias': frozen(bias.to(dtype))}
    return result


def frozen(values: Tensor) -> nn.Parameter:
    """Return a parameter that is not trained."""
    return nn.Parameter(values.contiguous(), requires_grad=False)
