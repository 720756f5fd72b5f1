# SPDX-License-Identifier: Apache-2.0
"""
DICE: hand and head meshes, contact and deformation from one picture (arXiv 2406.17988).

The backbone's features become 843 tokens. MeshNet turns them into points of the hand and the head,
InteractionNet into contact and deformation; two regressors turn the points into parameters of the
bodies, and a gate says whether the hand touches the face at all. Written from sections 2 to 5 of
the specification; parameters have the names of the published checkpoint.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ros2_dice.dice import tokens
from ros2_dice.dice.heads import (
    FACE_PARAMETERS,
    HAND_PARAMETERS,
    IKNet,
    Upsampling,
    cell_scorer,
    gate_deformation,
)
from ros2_dice.dice.hrnet import HRNet
from ros2_dice.dice.transformer import Stage, StageShape

PIXELS = 224
HEADS = 4
MESH_STAGES = (StageShape(2051, 1024, 512), StageShape(512, 256, 128), StageShape(128, 128, 3))
INTERACTION_STAGES = (StageShape(512, 256, 128), StageShape(128, 128, 4))


class DiceOutput(NamedTuple):
    """
    All results, in the order and with the names of the original.

    Lengths are metres in the network's own frame, not centred; probabilities are from 0 to 1;
    `sub` is a thinned mesh, for the head `sub1` (1675) and `sub2` (559 vertices).
    """

    cam_param: Tensor
    """(N, 3): scale and shift of the weak-perspective camera, see section 6."""
    hand_joints: Tensor
    """(N, 21, 3), thumb first."""
    head_joints: Tensor
    """(N, 68, 3) landmarks."""
    hand_vs_sub: Tensor
    hand_vs: Tensor
    """(N, 778, 3)."""
    head_vs_sub2: Tensor
    head_vs_sub1: Tensor
    head_vs: Tensor
    """(N, 5023, 3)."""
    hand_contact_sub: Tensor
    hand_contact: Tensor
    """(N, 778, 1) probabilities."""
    head_contact_sub2: Tensor
    head_contact_sub1: Tensor
    head_contact: Tensor
    """(N, 5023, 1) probabilities."""
    rh_betas: Tensor
    rh_transl: Tensor
    rh_rot: Tensor
    rh_pose: Tensor
    face_shape: Tensor
    face_exp: Tensor
    face_pose: Tensor
    face_rot: Tensor
    face_transl: Tensor
    deform_sub2: Tensor
    deform_sub1: Tensor
    deform: Tensor
    """(N, 5023, 3), to be subtracted from the head; zeros where presence is 0.5 or less."""
    presence: Tensor
    """(N, 1) probability that the hand touches the face."""
    deform_ungated: Tensor
    """(N, 5023, 3), whatever presence says: the gate flips between precisions."""


class DiceNetwork(nn.Module):
    """
    The network as published, for inference.

    Args:
        places_m: (843, 3) [m], centred; see `tokens.centred_references`.
        mesh_stages: sizes of MeshNet.
        interaction_stages: sizes of InteractionNet.
        heads: of every attention.
    """

    places_m: Tensor

    def __init__(self, places_m: Tensor, mesh_stages: Sequence[StageShape] = MESH_STAGES,
                 interaction_stages: Sequence[StageShape] = INTERACTION_STAGES,
                 heads: int = HEADS) -> None:
        super().__init__()
        self.backbone = HRNet()
        self.register_buffer('places_m', places_m, persistent=False)
        self.conv_learn_tokens = tokens.make_mixer()

        self.trans_encoder = nn.Sequential(*(Stage(shape, heads) for shape in mesh_stages))
        self.cam_param_fc = nn.Linear(3, 1)
        self.cam_param_fc2 = nn.Linear(tokens.TOKENS, 250)
        self.cam_param_fc3 = nn.Linear(250, 3)
        self.hand_upsampling = Upsampling(195, 778)
        self.head_upsampling1 = Upsampling(559, 1675)
        self.head_upsampling2 = Upsampling(1675, 5023)
        self.hand_param_regressor = IKNet(778, sum(HAND_PARAMETERS.values()))
        self.face_param_regressor = IKNet(1675, sum(FACE_PARAMETERS.values()))

        self.feat_downsampler = nn.Linear(tokens.TOKEN_WIDTH, interaction_stages[0].inputs)
        self.deform_encoder = nn.Sequential(*(Stage(shape, heads) for shape in interaction_stages))
        self.hand_contact_upsampling = Upsampling(195, 778)
        self.head_contact_upsampling1 = Upsampling(559, 1675)
        self.head_contact_upsampling2 = Upsampling(1675, 5023)
        self.head_deform_upsampling1 = Upsampling(559, 1675)
        self.head_deform_upsampling2 = Upsampling(1675, 5023)

        self.contact_feat_extractor = cell_scorer()
        self.contact_classifier = nn.Sequential(nn.Linear(tokens.CELLS, 1), nn.Sigmoid())

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], references: Mapping[str, np.ndarray],
                     heads: int = HEADS, dtype: torch.dtype = torch.float32) -> DiceNetwork:
        """
        Return the network over given tensors, not copied where they have the dtype.

        Args:
            tensors: the published state_dict; dead tensors may be left out.
            references: the four arrays of reference.npz, not centred [m].
            heads: of the attention; no shape tells it.
            dtype: arithmetic. Choose it here: a later `.double()` can't bring back what the
                template points lost in float32.

        Raises:
            AssetError: a tensor is missing, unknown or of an unexpected shape.
        """
        from ros2_dice.dice.loading import load_network

        return load_network(tensors, references, heads, dtype)

    def forward(self, image: Tensor) -> DiceOutput:
        """
        Return all results for pictures.

        Args:
            image: (N, 3, 224, 224) blue, green, red, normalised as in section 1.
        """
        cells = tokens.grid_cells(self.backbone(image))
        x = tokens.join_tokens(self.places_m, self.conv_learn_tokens(cells))

        points = self.trans_encoder(x)
        per_token = self.cam_param_fc(points).transpose(1, 2)
        camera = self.cam_param_fc3(self.cam_param_fc2(per_token)).flatten(1)
        hand_vs_sub = points[:, tokens.HAND_VERTICES]
        hand_vs = self.hand_upsampling(hand_vs_sub)
        head_vs_sub2 = points[:, tokens.HEAD_VERTICES]
        head_vs_sub1 = self.head_upsampling1(head_vs_sub2)
        hand = self.hand_param_regressor(hand_vs).split(list(HAND_PARAMETERS.values()), 1)
        face = self.face_param_regressor(head_vs_sub1).split(list(FACE_PARAMETERS.values()), 1)

        touch = self.deform_encoder(self.feat_downsampler(x))
        hand_logits = touch[:, tokens.HAND_VERTICES, 3:]
        head_logits2 = touch[:, tokens.HEAD_VERTICES, 3:]
        # Upsample logits; the sigmoid comes last, at every resolution.
        head_logits1 = self.head_contact_upsampling1(head_logits2)
        head_logits = self.head_contact_upsampling2(head_logits1)
        deform_sub2 = touch[:, tokens.HEAD_VERTICES, :3]
        deform_sub1 = self.head_deform_upsampling1(deform_sub2)
        deform = self.head_deform_upsampling2(deform_sub1)

        presence = self.contact_classifier(self.contact_feat_extractor(cells).flatten(1))
        return DiceOutput(
            cam_param=camera,
            hand_joints=points[:, tokens.HAND_JOINTS], head_joints=points[:, tokens.HEAD_JOINTS],
            hand_vs_sub=hand_vs_sub, hand_vs=hand_vs,
            head_vs_sub2=head_vs_sub2, head_vs_sub1=head_vs_sub1,
            head_vs=self.head_upsampling2(head_vs_sub1),
            hand_contact_sub=torch.sigmoid(hand_logits),
            hand_contact=torch.sigmoid(self.hand_contact_upsampling(hand_logits)),
            head_contact_sub2=torch.sigmoid(head_logits2),
            head_contact_sub1=torch.sigmoid(head_logits1),
            head_contact=torch.sigmoid(head_logits),
            **dict(zip(HAND_PARAMETERS, hand)), **dict(zip(FACE_PARAMETERS, face)),
            deform_sub2=deform_sub2, deform_sub1=deform_sub1,
            deform=gate_deformation(presence, deform), presence=presence, deform_ungated=deform)
