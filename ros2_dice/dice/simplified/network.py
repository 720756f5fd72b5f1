# SPDX-License-Identifier: Apache-2.0
"""The simplified network with all outputs, and the one with only those that are used."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ros2_dice.dice import tokens
from ros2_dice.dice.heads import FACE_PARAMETERS, HAND_PARAMETERS, Upsampling, gate_deformation
from ros2_dice.dice.network import DiceNetwork, DiceOutput
from ros2_dice.dice.simplified.affine import (
    Affine,
    compose_camera,
    compose_into_regressor,
    compose_upsampling,
    upsampling_layer,
)
from ros2_dice.dice.simplified.chain import Chain, stages_of
from ros2_dice.dice.simplified.norms import fold_batch_norms

_FIRST = tokens.HAND_VERTICES.start
"""InteractionNet's results of the tokens before the vertices are read by nothing."""
_HAND, _HEAD = 195, 559


class ParametricOutput(NamedTuple):
    """The outputs that post-processing reads; see `DiceOutput`."""

    cam_param: Tensor
    hand_contact: Tensor
    head_contact: Tensor
    rh_betas: Tensor
    rh_transl: Tensor
    rh_rot: Tensor
    rh_pose: Tensor
    face_shape: Tensor
    face_exp: Tensor
    face_pose: Tensor
    face_rot: Tensor
    face_transl: Tensor
    presence: Tensor
    deform_ungated: Tensor


class _Lean(nn.Module):
    """What both networks share: all but the upsampling."""

    def __init__(self, network: DiceNetwork) -> None:
        super().__init__()
        mixer, places_m = network.conv_learn_tokens, network.places_m
        self.backbone = fold_batch_norms(network.backbone)
        self.mesh = Chain(stages_of(network.trans_encoder), mixer, places_m)
        self.interaction = Chain(stages_of(network.deform_encoder), mixer, places_m,
                                 Affine.of(network.feat_downsampler), _FIRST)
        self.camera = compose_camera(network.cam_param_fc, network.cam_param_fc2,
                                     network.cam_param_fc3)
        self.hand_regressor = simplify_regressor(
            network.hand_upsampling, network.hand_param_regressor.regressor)
        self.face_regressor = simplify_regressor(
            network.head_upsampling1, network.face_param_regressor.regressor)
        self.cell_scores = network.contact_feat_extractor
        self.presence = network.contact_classifier
        self.hand_contact = network.hand_contact_upsampling

    def run(self, image: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return points (N, 843, 3) [m], touch (N, 754, 4), and the outputs without meshes."""
        cells = tokens.grid_cells(self.backbone(image))
        points = self.mesh(cells)
        hand = self.hand_regressor(points[:, tokens.HAND_VERTICES].flatten(1))
        face = self.face_regressor(points[:, tokens.HEAD_VERTICES].flatten(1))
        return points, self.interaction(cells), {
            'cam_param': self.camera(points.flatten(1)),
            **dict(zip(HAND_PARAMETERS, hand.split(list(HAND_PARAMETERS.values()), 1))),
            **dict(zip(FACE_PARAMETERS, face.split(list(FACE_PARAMETERS.values()), 1))),
            'presence': self.presence(self.cell_scores(cells).flatten(1))}


class SimplifiedDice(_Lean):
    """
    The same numbers as `DiceNetwork`, for less work.

    Args:
        network: as published; tensors that do not change are shared with it.
    """

    def __init__(self, network: DiceNetwork) -> None:
        super().__init__(network)
        self.hand_mesh = network.hand_upsampling
        self.head_mesh = compose_upsampling(network.head_upsampling1, network.head_upsampling2)
        self.head_contact = compose_upsampling(network.head_contact_upsampling1,
                                               network.head_contact_upsampling2)
        self.head_deform = compose_upsampling(network.head_deform_upsampling1,
                                              network.head_deform_upsampling2)
        self.sizes = [network.head_upsampling1.out_features,
                      network.head_upsampling2.out_features]

    def forward(self, image: Tensor) -> DiceOutput:
        """Return all results for pictures (N, 3, 224, 224); as for `DiceNetwork`."""
        points, touch, others = self.run(image)
        hand, head = points[:, tokens.HAND_VERTICES], points[:, tokens.HEAD_VERTICES]
        head_sub1, head_vs = self.head_mesh(head).split(self.sizes, 1)
        deform2 = touch[:, _HAND:, :3]
        deform1, deform = self.head_deform(deform2).split(self.sizes, 1)
        hand_logits, logits2 = touch[:, :_HAND, 3:], touch[:, _HAND:, 3:]
        contact1, contact = torch.sigmoid(self.head_contact(logits2)).split(self.sizes, 1)
        return DiceOutput(
            hand_joints=points[:, tokens.HAND_JOINTS], head_joints=points[:, tokens.HEAD_JOINTS],
            hand_vs_sub=hand, hand_vs=self.hand_mesh(hand),
            head_vs_sub2=head, head_vs_sub1=head_sub1, head_vs=head_vs,
            hand_contact_sub=torch.sigmoid(hand_logits),
            hand_contact=torch.sigmoid(self.hand_contact(hand_logits)),
            head_contact_sub2=torch.sigmoid(logits2), head_contact_sub1=contact1,
            head_contact=contact, deform_sub2=deform2, deform_sub1=deform1,
            deform=gate_deformation(others['presence'], deform), deform_ungated=deform, **others)


class ParametricDice(_Lean):
    """
    The outputs that post-processing reads, and nothing that only others need.

    Args:
        network: as published; tensors that do not change are shared with it.
    """

    def __init__(self, network: DiceNetwork) -> None:
        super().__init__(network)
        self.head_contact = last_only(network.head_contact_upsampling1,
                                      network.head_contact_upsampling2)
        self.head_deform = last_only(network.head_deform_upsampling1,
                                     network.head_deform_upsampling2)

    def forward(self, image: Tensor) -> ParametricOutput:
        """Return the results for pictures (N, 3, 224, 224)."""
        _, touch, others = self.run(image)
        return ParametricOutput(
            hand_contact=torch.sigmoid(self.hand_contact(touch[:, :_HAND, 3:])),
            head_contact=torch.sigmoid(self.head_contact(touch[:, _HAND:, 3:])),
            deform_ungated=self.head_deform(touch[:, _HAND:, :3]), **others)


def simplify_regressor(upsampling: Upsampling, regressor: nn.Sequential) -> nn.Sequential:
    """Return a regressor on the vertices before their upsampling, without batch norms."""
    folded = fold_batch_norms(regressor)
    block = folded.get_submodule('0.fc_block')
    assert isinstance(block, nn.Sequential)
    first = block[0]
    assert isinstance(first, nn.Linear)
    block[0] = compose_into_regressor(upsampling, first)
    return folded


def last_only(first: Upsampling, second: Upsampling) -> Upsampling:
    """Return one layer for two, with the outputs of the second."""
    return upsampling_layer(Affine.of(first).then(Affine.of(second)), first.weight.dtype)
