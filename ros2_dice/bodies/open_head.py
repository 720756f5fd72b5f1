# SPDX-License-Identifier: Apache-2.0
"""
The open head: 24 identity axes, 52 expressions, a size, and a rigid pose.

Head frame: +x to the subject's left, +y up, +z out of the face; the origin lies 57 mm behind the
point midway between the eyes.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ros2_dice.bodies.rotation import matrix_to_quaternion
from ros2_dice.bodies.topology import Part, Side, make_topology
from ros2_dice.types import FloatArray, Pose

SELLION = 168
"""Landmark between the eyes, the root of the nose (origin of REP-155's face frame)."""
_LEFT_EYE, _RIGHT_EYE = 4, 5


@dataclass(frozen=True)
class HeadState:
    """All unknowns of one head; camera point = exp(log_scale) rotation x + translation."""

    rotation: FloatArray
    """(3, 3) head frame to camera frame."""
    translation_m: FloatArray
    """(3,) [m], optical frame."""
    log_scale: float
    identity: FloatArray
    """(24,) standard deviations."""
    expression: FloatArray
    """(52,) 0 to 1, names in `OpenHead.expression_names`."""

    def moved(self, offset_m: FloatArray) -> HeadState:
        """Return the state shifted in the camera frame."""
        return replace(self, translation_m=self.translation_m + offset_m)


class OpenHead:
    """The head made from the arrays of open_bodies.npz."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        def load(name: str) -> np.ndarray:
            return np.asarray(arrays['head_' + name])

        self.rest_vertices_m = load('vertices').astype(float)
        self.faces = load('faces').astype(np.int32)
        self.cap_faces = load('cap_faces').astype(np.int32)
        self.topology = make_topology(
            'open', Part.FACE, Side.NONE, np.concatenate((self.faces, self.cap_faces)),
            self.rest_vertices_m, load('regions'), tuple(map(str, load('region_names'))),
            'CC0-1.0', coarser_faces=(load('medium_faces'), load('lowpoly_faces')))
        self.regions = self.topology.regions
        self.region_names = self.topology.region_names
        self.is_skin = ~load('is_eyeball')
        """(V,) False on the eyeballs."""
        self.rim = np.zeros(len(self.rest_vertices_m), bool)
        """(V,) True on the open edge of the neck."""
        self.rim[np.unique(self.cap_faces)] = True
        self.colours = load('colour')
        """(V, 3) uint8 RGB, plain skin, lips, brows and eyes."""
        self.expression_names = tuple(map(str, load('expr_names')))
        identity, expression = load('shape_pca'), load('expr_dirs')
        self.identity_count, self.expression_count = identity.shape[-1], expression.shape[-1]

        self._vertices = np.ascontiguousarray(self.rest_vertices_m.ravel(), np.float32)
        self._identity = np.ascontiguousarray(
            identity.reshape(-1, self.identity_count), np.float32)
        self._expression = np.ascontiguousarray(
            expression.reshape(-1, self.expression_count), np.float32)
        self._shaped_for: FloatArray | None = None
        self._shaped = self._vertices
        corners = self.faces[load('mp468_face').astype(int)]
        bary = load('mp468_bary').astype(float)

        def at_landmarks(values: np.ndarray) -> FloatArray:
            return np.einsum('nk,nk...->n...', bary, values[corners].astype(float))

        self.skin_landmarks_m = at_landmarks(self.rest_vertices_m)
        """(468, 3) the skin of the rest shape at the points of the face network [m]."""
        self.landmark_rest_m = self.skin_landmarks_m + load('mp468_offset').astype(float)
        """(468, 3) those points [m]: millimetres off the skin, at jaw and temples more."""
        self.landmark_dirs = np.concatenate(
            (at_landmarks(identity), at_landmarks(expression)), axis=-1)
        """(468, 3, 76) their derivatives by identity and expression."""
        self.landmarks_68 = load('ibug68_in_mp468').astype(int)
        """(68,) the landmarks that other face models know, among the 468."""
        self.landmark_weight = load('mp468_weight').astype(float)
        """(468,) 0 to 1; lower where the network's point wanders on the skin."""
        self._eyes = load('joints').astype(float)[[_LEFT_EYE, _RIGHT_EYE]]
        self._eye_dirs = load('shape_pca_joint').astype(float)[[_LEFT_EYE, _RIGHT_EYE]]

    def vertices(self, state: HeadState) -> FloatArray:
        """Return the skin and eyeballs (V, 3) float32 [m], optical frame."""
        if self._shaped_for is None or not np.array_equal(self._shaped_for, state.identity):
            # A settled track keeps its identity: two thirds of the work is done once.
            self._shaped = self._vertices + self._identity @ state.identity.astype(np.float32)
            self._shaped_for = state.identity.copy()
        flat = self._shaped + self._expression @ state.expression.astype(np.float32)
        to_camera = (np.exp(state.log_scale) * state.rotation.T).astype(np.float32)
        posed = flat.reshape(-1, 3) @ to_camera
        posed += state.translation_m.astype(np.float32)
        return posed

    def landmarks(self, state: HeadState) -> FloatArray:
        """Return the 468 points of the face network (468, 3) [m], optical frame."""
        points = self.landmark_rest_m + self.landmark_dirs @ np.concatenate(
            (state.identity, state.expression))
        return np.exp(state.log_scale) * points @ state.rotation.T + state.translation_m

    def face_pose(self, state: HeadState) -> Pose:
        """Return REP-155's face frame: origin sellion, x out of the face, z to the scalp."""
        sellion = self.skin_landmarks_m[SELLION] + self.landmark_dirs[SELLION] @ np.concatenate(
            (state.identity, state.expression))
        axes = state.rotation[:, [2, 0, 1]]  # head frame's z, x, y
        return Pose(np.exp(state.log_scale) * state.rotation @ sellion + state.translation_m,
                    matrix_to_quaternion(axes))

    def interpupillary_distance_m(self, identity: FloatArray) -> float:
        """Return the distance between the eyes' centres at scale 1 [m]."""
        left, right = self._eyes + self._eye_dirs @ identity
        return float(np.linalg.norm(left - right))
