# SPDX-License-Identifier: Apache-2.0
"""True meshes of the Decaf data set, posed with the user's own MANO and FLAME files."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ros2_dice.assets.closed_arrays import CHUMPY, CONTAINERS, NUMPY, OLD_OBJECTS, SPARSE, dense
from ros2_dice.assets.closed_unpickler import read_pickle
from ros2_dice.assets.plain_file import read_bytes
from ros2_dice.bodies import OpenBodies, ParametricHand, ParametricHead
from ros2_dice.bodies.body_file import (
    read_hand_file,
    read_head_file,
    read_landmark_file,
    read_neck_file,
)
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.errors import AssetError
from ros2_dice.evaluation.decaf import DecafCamera, DecafFrame
from ros2_dice.evaluation.mesh_sums import FrameMeshes
from ros2_dice.types import FloatArray

FILES = {
    'generic_model.pkl': 'FLAME 2020, https://flame.is.tue.mpg.de',
    'landmark_embedding.npy': 'the DICE repository',
    'FLAME_neck_idx.npy': 'the Decaf data set',
    'MANO_RIGHT.pkl': 'MANO 1.2, https://mano.is.tue.mpg.de',
}
"""Files that have to lie in `assets`, or below, and where the user gets them."""


class DecafTruth:
    """
    Poses the data set's heads and right hands.

    Args:
        assets: the data set's folder of body models.
        guides: the open bodies; they lend regions and axes.

    Raises:
        AssetError: a file is missing, with where to get it, or is not what it should be.
    """

    def __init__(self, assets: Path, guides: OpenBodies) -> None:
        paths = {name: _found(assets, name) for name in FILES}
        head = read_head_file(paths['generic_model.pkl'])
        landmarks = read_landmark_file(paths['landmark_embedding.npy'], len(head['faces']))
        neck = read_neck_file(paths['FLAME_neck_idx.npy'])
        self._head = ParametricHead({**head, **landmarks, 'neck_idx': neck}, guides.head)
        self._hand = ParametricHand(read_hand_file(paths['MANO_RIGHT.pkl']), guides.hand_right)
        self._components = _components(paths['MANO_RIGHT.pkl'])

    def meshes(self, frame: DecafFrame, camera: DecafCamera) -> FrameMeshes:
        """
        Return the true meshes and the 21 joints in the camera's frame.

        The deformation is subtracted after it was turned with the head, not moved (decaf_spec.md,
        section 3); the neck has none. Joints are those of `ParametricHand.joints_21_m`.
        """
        p = frame.head
        head = self._head.posed(p['shape_params'], p['expression_params'], p['pose_params'],
                                p['global_orient'], p['transl'])
        deformation = frame.deformation_m.copy()
        deformation[self._head.neck] = 0.0
        deformed = head.vertices_m - deformation @ rotation_matrix(p['global_orient']).T
        q = frame.hand
        # The zero pose is the flat hand: the model's mean pose is not added.
        hand = self._hand.posed(q['betas'], q['global_orient'], q['hand_pose'] @ self._components,
                                q['transl'])
        return FrameMeshes(_seen(camera, deformed), _seen(camera, hand.vertices_m),
                           self._head.faces, _seen(camera, self._hand.joints_21_m(hand)))


def _seen(camera: DecafCamera, points_m: FloatArray) -> npt.NDArray[np.float64]:
    return points_m @ camera.rotation.T + camera.translation_m


def _found(assets: Path, name: str) -> Path:
    """Return where a file lies below the folder."""
    paths = sorted(assets.rglob(name)) if assets.is_dir() else []
    if not paths:
        raise AssetError(f"{name} is missing in the data set's folder assets",
                         next_step=f'get it from {FILES[name]}')
    return paths[0]


def _components(path: Path) -> npt.NDArray[np.float64]:
    """Return the hand's pose components (45, 45): a row for each coefficient."""
    allowed = {**NUMPY, **CONTAINERS, **SPARSE, **CHUMPY, **OLD_OBJECTS}
    content = read_pickle(read_bytes(path), allowed, path.name)
    values = dense(content['hands_components'], f'{path.name}: hands_components') \
        if isinstance(content, dict) and 'hands_components' in content else np.zeros(0)
    if values.shape != (45, 45) or not np.isfinite(values).all():
        raise AssetError(f'{path.name}: hands_components', got=values.shape,
                         expected='(45, 45) finite numbers')
    return values.astype(np.float64)
