# SPDX-License-Identifier: Apache-2.0
"""Parameter regressors (IKNet), presence gate and upsampling (specification, section 5)."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ros2_dice.dice.hrnet import FEATURES

HAND_PARAMETERS = {'rh_betas': 10, 'rh_transl': 3, 'rh_rot': 3, 'rh_pose': 45}
"""What the hand's regressor returns, in this order; translation [m], rotations [rad]."""
FACE_PARAMETERS = {'face_shape': 100, 'face_exp': 50, 'face_pose': 6, 'face_rot': 3,
                   'face_transl': 3}
"""What the face's regressor returns, in this order; translation [m], rotations [rad]."""
_WIDTH = 1024


class FirstBlock(nn.Module):
    """Linear layer, batch norm, ReLU: (N, given) to (N, 1024)."""

    def __init__(self, given: int) -> None:
        super().__init__()
        self.fc_block = nn.Sequential(nn.Linear(given, _WIDTH), nn.BatchNorm1d(_WIDTH), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1024)."""
        return self.fc_block(x)


class ResidualBlock(nn.Module):
    """Two linear layers with batch norms and a shortcut: (N, 1024) to (N, 1024)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc_block = nn.Sequential(
            nn.Linear(_WIDTH, _WIDTH), nn.BatchNorm1d(_WIDTH), nn.ReLU(),
            nn.Linear(_WIDTH, _WIDTH), nn.BatchNorm1d(_WIDTH))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1024)."""
        return self.relu(x + self.fc_block(x))


class IKNet(nn.Module):
    """Body parameters from the network's own vertices, not centred, x y z of each in turn."""

    def __init__(self, vertices: int, parameters: int) -> None:
        super().__init__()
        self.regressor = nn.Sequential(FirstBlock(3 * vertices), ResidualBlock(), ResidualBlock(),
                                       nn.Linear(_WIDTH, parameters))

    def forward(self, vertices_m: Tensor) -> Tensor:
        """Return (N, parameters) of (N, V, 3) [m]."""
        return self.regressor(vertices_m.flatten(1))


def cell_scorer() -> nn.Sequential:
    """Return what gives each cell of the feature map one number: (N, 49, 2048) to (N, 49, 1)."""
    return nn.Sequential(nn.Linear(FEATURES, 512), nn.ReLU(), nn.Linear(512, 64), nn.ReLU(),
                         nn.Linear(64, 1))


class Upsampling(nn.Linear):
    """A linear layer over vertices instead of channels, the same for each channel."""

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, V', C) of (N, V, C)."""
        return torch.matmul(self.weight, input) + self.bias[:, None]


def gate_deformation(presence: Tensor, deformation_m: Tensor) -> Tensor:
    """
    Return the deformation where the hand is held to touch the face, else zeros.

    Args:
        presence: (N, 1) probability.
        deformation_m: (N, V, 3) [m].
    """
    return torch.where(presence[:, :, None] > 0.5, deformation_m, 0.0)
