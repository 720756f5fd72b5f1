# SPDX-License-Identifier: Apache-2.0
"""
The parametric bodies as torch modules: batched, differentiable, exportable.

The same formulas as in numpy, for batches and for training; a test compares the two. Needs the
extra `dice` (torch).
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ros2_dice.bodies.parametric import ParametricBody
from ros2_dice.bodies.parametric_hand import JOINTS as HAND_JOINTS
from ros2_dice.bodies.parametric_hand import ParametricHand
from ros2_dice.bodies.parametric_head import ParametricHead


class TorchPosed(NamedTuple):
    """Bodies of a batch in their poses."""

    vertices_m: Tensor
    """(N, V, 3) [m]."""
    joints_m: Tensor
    """(N, J, 3) [m]."""
    rotations: Tensor
    """(N, J, 3, 3) of each joint against the rest pose."""


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Return rotations (..., 3, 3) about vectors (..., 3) by their lengths [rad] (Rodrigues)."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    squared = (vectors * vectors).sum(-1)[..., None, None]
    # Sine and cosine over the angle; series where the angle vanishes, so that gradients exist.
    small = squared < 1e-8
    angle = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    sine = torch.where(small, 1.0 - squared / 6.0, torch.sin(angle) / angle)
    versed = torch.where(small, 0.5 - squared / 24.0, (1.0 - torch.cos(angle)) / angle ** 2)
    same = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return same + sine * cross + versed * (cross @ cross)


class TorchBody(nn.Module):
    """
    Linear blend skinning of a batch.

    Args:
        body: a hand or head; its arrays are copied.
        dtype: of buffers, inputs and outputs.
    """

    template: Tensor
    directions: Tensor
    weights: Tensor
    rest_joints: Tensor
    joint_dirs: Tensor

    def __init__(self, body: ParametricBody, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        directions = np.concatenate((body.shape_dirs, body.pose_dirs), 2)
        for name, values in (
                ('template', body.rest_vertices_m), ('weights', body.weights),
                ('directions', directions.transpose(2, 0, 1).reshape(directions.shape[2], -1)),
                ('rest_joints', body.rest_joints_m),
                ('joint_dirs', body.joint_dirs.transpose(2, 0, 1).reshape(
                    body.shape_dirs.shape[2], -1))):
            self.register_buffer(name, torch.tensor(values, dtype=dtype))
        self.parents = body.parents

    def pose(self, shape: Tensor, vectors_rad: Tensor) -> TorchPosed:
        """
        Return posed bodies.

        Args:
            shape: (N, S) coefficients.
            vectors_rad: (N, J, 3) rotation vector of each joint against its parent.
        """
        local = rotation_matrices(vectors_rad)
        same = torch.eye(3, dtype=local.dtype, device=local.device)
        features = (local[:, 1:] - same).flatten(1)
        rest = self.template + (torch.cat((shape, features), 1) @ self.directions).unflatten(
            1, (-1, 3))
        joints = self.rest_joints + (shape @ self.joint_dirs).unflatten(1, (-1, 3))
        rotations, positions = [local[:, 0]], [joints[:, 0]]
        for joint, parent in enumerate(self.parents[1:], start=1):
            bone = (joints[:, joint] - joints[:, parent])[..., None]
            positions.append(positions[parent] + (rotations[parent] @ bone)[..., 0])
            rotations.append(rotations[parent] @ local[:, joint])
        turns, places = torch.stack(rotations, 1), torch.stack(positions, 1)
        shifts = places - (turns @ joints[..., None])[..., 0]
        blended = self.weights @ torch.cat((turns.flatten(2), shifts), 2)  # (N, V, 12)
        matrices = blended[..., :9].unflatten(-1, (3, 3))
        vertices = (matrices @ rest[..., None])[..., 0] + blended[..., 9:]
        return TorchPosed(vertices, places, turns)


class TorchHand(TorchBody):
    """The parametric hand; forward takes the network's four outputs for it."""

    def __init__(self, hand: ParametricHand, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(hand, dtype)

    def forward(self, shape: Tensor, rotation_rad: Tensor, angles_rad: Tensor,
                translation_m: Tensor) -> TorchPosed:
        """
        Return hands in their poses.

        Args:
            shape: (N, 10).
            rotation_rad: (N, 3) rotation vector of the wrist.
            angles_rad: (N, 45) rotation vectors of the other joints.
            translation_m: (N, 3) added last [m].
        """
        vectors = torch.cat((rotation_rad, angles_rad), 1).unflatten(1, (HAND_JOINTS, 3))
        posed = self.pose(shape, vectors)
        shift = translation_m[:, None]
        return TorchPosed(posed.vertices_m + shift, posed.joints_m + shift, posed.rotations)


class TorchHead(TorchBody):
    """The parametric head; forward takes the network's five outputs for it."""

    def __init__(self, head: ParametricHead, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(head, dtype)

    def forward(self, shape: Tensor, expression: Tensor, pose_rad: Tensor, rotation_rad: Tensor,
                translation_m: Tensor) -> TorchPosed:
        """
        Return heads in their poses.

        Args:
            shape: (N, 100).
            expression: (N, 50).
            pose_rad: (N, 6) rotation vectors of the root and of the jaw.
            rotation_rad: (N, 3) rotation vector about the centroid, applied last.
            translation_m: (N, 3) [m].
        """
        zero = torch.zeros_like(rotation_rad)
        vectors = torch.stack((pose_rad[:, :3], zero, pose_rad[:, 3:], zero, zero), 1)
        posed = self.pose(torch.cat((shape, expression), 1), vectors)
        turn = rotation_matrices(rotation_rad)
        centre = posed.vertices_m.mean(1, keepdim=True)
        shift = centre + translation_m[:, None]
        back = turn.transpose(1, 2)
        return TorchPosed((posed.vertices_m - centre) @ back + shift,
                          (posed.joints_m - centre) @ back + shift,
                          turn[:, None] @ posed.rotations)
