# SPDX-License-Identifier: Apache-2.0
"""The hand's arrays: mesh, skinning, joint frames, limits, shape axes, named points, regions."""
from __future__ import annotations

import numpy as np

from ros2_dice.bodies.levels import decimate
from ros2_dice.bodies.openxr import JOINT_NAMES
from tools.bake.mesh import boundary_loops, compact, fans, similarity, triangulate, vertex_normals
from tools.bake.source import Source

FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')
JOINTS = ('wrist', *(f'{finger}{part}' for finger in FINGERS for part in (1, 2, 3)))
PARENTS = np.array([-1] + [0 if part == 0 else 3 * finger + part
                           for finger in range(5) for part in range(3)])
LANDMARK_NAMES = ('wrist', *(f'{finger}{part}' for finger in FINGERS for part in (1, 2, 3, 4)))
LANDMARK_JOINT = np.array([0] + [joint for finger in range(5) for joint in (
    1 + 3 * finger, 2 + 3 * finger, 3 + 3 * finger, 3 + 3 * finger)])
TO_MANO = np.array([0, 4, 5, 6, 7, 8, 9, 13, 14, 15, 10, 11, 12, 1, 2, 3])
"""Our joint for each joint of the common wrist, index, middle, little, ring, thumb order."""
MEDIUM_FACES, COARSE_FACES = 1540, 780
_KNUCKLES = [0, 4, 7, 10, 13]
_STUB_M = 0.010
_LIMITS_DEG = {  # flexion, abduction, twist of the joints from the palm outwards
    'thumb': [[(-25, 50), (-35, 35), (-30, 30)], [(-15, 65), (-12, 12), (-8, 8)],
              [(-15, 85), (-3, 3), (-3, 3)]],
    'finger': [[(-30, 95), (-25, 25), (-8, 8)], [(-8, 112), (-3, 3), (-3, 3)],
               [(-8, 85), (-3, 3), (-3, 3)]]}


class _Points:
    """Joints (16), finger tips (5) and metacarpal bases (4) of one body."""

    def __init__(self, source: Source, vertices: np.ndarray) -> None:
        fingers = [[source.joint(vertices, f'joint-r-finger-{finger}-{part}')
                    for part in (1, 2, 3, 4)] for finger in range(1, 6)]
        wrist = source.joint(vertices, 'joint-r-hand')
        self.joints = np.array([wrist] + [joint for row in fingers for joint in row[:3]])
        self.tips = np.array([row[3] for row in fingers])
        self.bases = np.array([source.bone_head(vertices, f'metacarpal{index}.R')
                               for index in (1, 2, 3, 4)])


def bake_hand(source: Source) -> dict[str, np.ndarray]:
    """Return the hand's arrays, all but the calibrated places of the network's points."""
    neutral = source.vertices_m + source.phenotype()
    used, faces, weights = _cut(source, neutral)
    points = _Points(source, neutral)
    nails = _nail_normals(source, neutral, points.tips)
    axes = _hand_axes(points, nails)
    wrist = points.joints[0]
    vertices = (neutral[used] - wrist) @ axes.T
    joints, tips, bases = (
        (p - wrist) @ axes.T for p in (points.joints, points.tips, points.bases))
    frames = _joint_frames(joints, tips, nails @ axes.T)

    names, changes = [], []
    for name, change in _shape_axes(source).items():
        changed = _Points(source, neutral + change)
        local = [(p - wrist) @ axes.T for p in (
            (neutral + change)[used], changed.joints, changed.tips, changed.bases)]
        scale, rotation, _ = similarity(local[1][_KNUCKLES], joints[_KNUCKLES])
        moved = [scale * (p - local[1][0]) @ rotation.T for p in local]
        fade = np.clip((0.020 - vertices[:, 2:]) / 0.040, 0.1, 1.0)  # the stub hardly changes
        names.append(name)
        changes.append(((moved[0] - vertices) * fade, moved[1] - joints, moved[2] - tips,
                        moved[3] - bases))
    vertex_dirs, joint_dirs, tip_dirs, base_dirs = (
        np.stack(parts, axis=-1) for parts in zip(*changes))

    loops = boundary_loops(faces)
    cap = fans(loops)
    closed = np.concatenate((faces, cap))
    labels, region_names = _regions(vertices, faces, weights, frames)
    out = {
        'vertices': vertices.astype('f4'), 'faces': faces.astype('u2'),
        'cap_faces': cap.astype('u2'),
        'medium_faces': decimate(vertices, closed, MEDIUM_FACES).astype('u2'),
        'lowpoly_faces': decimate(vertices, closed, COARSE_FACES).astype('u2'),
        'weights': weights.astype('f4'), 'joints': joints.astype('f4'),
        'parents': PARENTS.astype('i2'), 'joint_names': np.array(JOINTS),
        'joint_frames': frames.astype('f4'), 'pose_limits': _limits().astype('f4'),
        'shape_dirs': vertex_dirs.astype('f2'), 'joint_shape_dirs': joint_dirs.astype('f4'),
        'shape_names': np.array(names),
        'mp21_names': np.array(LANDMARK_NAMES), 'mp21_parent': LANDMARK_JOINT.astype('i2'),
        'mp21_rest': _landmarks(joints, tips).astype('f4'),
        'mp21_shape_dirs': _landmarks(joint_dirs, tip_dirs).astype('f4'),
        'to_mano16': TO_MANO.astype('i2'),
        'regions': labels.astype('u1'), 'region_names': np.array(region_names),
        'mirror': np.array((-1, 1, 1), 'f4'), 'source_vertex': used.astype('i4'),
        **_openxr(joints, tips, bases, joint_dirs, tip_dirs, base_dirs, frames)}
    return {f'hand_{name}': array for name, array in out.items()}


def _cut(source: Source, neutral: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the right hand's vertices, triangles and weights (V, 16), at most four each."""
    bones = [['wrist.R', *(f'metacarpal{index}.R' for index in (1, 2, 3, 4))]]
    bones += [[f'finger{finger}-{part}.R'] for finger in range(1, 6) for part in (1, 2, 3)]
    columns = [source.bone_weights(names) for names in bones]
    total = source.bone_weights(list(source.weights))
    share = np.sum(columns, axis=0) / np.maximum(total, 1e-9)
    wrist = source.joint(neutral, 'joint-r-hand')
    knuckle = source.joint(neutral, 'joint-r-finger-3-1')
    along = (neutral - wrist) @ (knuckle - wrist) / np.linalg.norm(knuckle - wrist)
    keep = ((source.quad_group == 'body') & (share[source.quads] > 0.05).all(axis=1)
            & (along[source.quads].mean(axis=1) > -_STUB_M))
    used, quads = compact(source.quads[keep])
    weights = np.stack(columns, axis=1)[used]
    weights[:, 0] += np.maximum(total[used] - weights.sum(axis=1), 0)  # the forearm's share
    weights /= weights.sum(axis=1, keepdims=True)
    weights[weights < np.sort(weights, axis=1)[:, -4:-3]] = 0
    return used, triangulate(quads), weights / weights.sum(axis=1, keepdims=True)


def _nail_normals(source: Source, neutral: np.ndarray, tips: np.ndarray) -> np.ndarray:
    """Return the unit normal (5, 3) of each nail: where dorsal is."""
    body = source.quad_group == 'body'
    nails = source.quads[source.mask('mpfb2/textures/mpfb_fingernails.jpg') & body]
    normals = vertex_normals(neutral, triangulate(source.quads[body]))
    centers = neutral[nails].mean(axis=1)
    out = np.array([normals[nails[np.linalg.norm(centers - tip, axis=1) < 0.016]].mean(axis=(0, 1))
                    for tip in tips])
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _hand_axes(points: _Points, nails: np.ndarray) -> np.ndarray:
    """Return the hand frame's axes as rows: -z to the middle knuckle, +y dorsal, x = y x z."""
    joints = points.joints
    z = joints[0] - joints[7]
    z /= np.linalg.norm(z)
    dorsal = np.cross(joints[4] - joints[0], joints[13] - joints[0])
    dorsal *= np.sign(dorsal @ nails[1:].mean(axis=0))
    y = dorsal - z * (dorsal @ z)
    y /= np.linalg.norm(y)
    return np.stack((np.cross(y, z), y, z))


def _frame(bone: np.ndarray, dorsal: np.ndarray) -> np.ndarray:
    """Return axes as columns: x flexion, y dorsal, z = -bone."""
    z = bone / np.linalg.norm(bone)
    y = dorsal - z * (dorsal @ z)
    y /= np.linalg.norm(y)
    return np.stack((np.cross(y, z), y, z), axis=1)


def _joint_frames(joints: np.ndarray, tips: np.ndarray, nails: np.ndarray) -> np.ndarray:
    frames = np.zeros((16, 3, 3))
    frames[0] = np.eye(3)
    for finger in range(5):
        chain = [*joints[1 + 3 * finger:4 + 3 * finger], tips[finger]]
        for part in range(3):
            dorsal = nails[finger]
            if finger > 0 and part == 0:  # knuckles lie between the palm's and the nail's plane
                dorsal = dorsal + np.array((0.0, 1.0, 0.0))
            frames[1 + 3 * finger + part] = _frame(chain[part] - chain[part + 1], dorsal)
    return frames


def _shape_axes(source: Source) -> dict[str, np.ndarray]:
    """Return named displacements; one unit is about one extreme."""
    def between(name: str) -> np.ndarray:
        target = f'mpfb2/targets/hands/r-hand-fingers-{name}'
        return 0.5 * (source.target(f'{target}-incr.target')
                      - source.target(f'{target}-decr.target'))

    mean = source.phenotype()
    return {
        'male_female': source.phenotype(gender=1.0) - source.phenotype(gender=0.0),
        'child': source.phenotype(age='child') - mean,
        'old': source.phenotype(age='old') - mean,
        'weight': 0.5 * (source.phenotype(weight=1.0) - source.phenotype(weight=0.0)),
        'muscle': 0.5 * (source.phenotype(muscle=1.0) - source.phenotype(muscle=0.0)),
        'finger_diameter': between('diameter'), 'finger_length': between('length'),
        'finger_distance': between('distance'),
        'african': source.phenotype(race=(1, 0, 0)) - mean,
        'asian': source.phenotype(race=(0, 1, 0)) - mean}


def _landmarks(joints: np.ndarray, tips: np.ndarray) -> np.ndarray:
    """Return the 21 points of the rig; tips lie a little inside the finger."""
    rows = [joints[:1]]
    for finger in range(5):
        rows.append(joints[1 + 3 * finger:4 + 3 * finger])
        rows.append(0.88 * tips[finger:finger + 1] + 0.12 * joints[3 + 3 * finger:4 + 3 * finger])
    return np.concatenate(rows)


def _openxr(joints: np.ndarray, tips: np.ndarray, bases: np.ndarray, joint_dirs: np.ndarray,
            tip_dirs: np.ndarray, base_dirs: np.ndarray,
            frames: np.ndarray) -> dict[str, np.ndarray]:
    """Return the 26 joints of XR_EXT_hand_tracking: owner, place, axes, shape directions."""
    rows = [(0, 0.5 * (bases[1] + joints[7]), np.eye(3), 0.5 * (base_dirs[1] + joint_dirs[7])),
            (0, joints[0], np.eye(3), joint_dirs[0])]
    for finger in range(5):
        first = 1 + 3 * finger
        if finger > 0:
            base = bases[finger - 1]
            frame = _frame(base - joints[first], np.array((0.0, 1.0, 0.0)))
            rows.append((0, base, frame, base_dirs[finger - 1]))
        rows += [(joint, joints[joint], frames[joint], joint_dirs[joint])
                 for joint in range(first, first + 3)]
        rows.append((first + 2, tips[finger], frames[first + 2], tip_dirs[finger]))
    owner, rest, axes, dirs = zip(*rows)
    return {'openxr_names': np.array(JOINT_NAMES), 'openxr_parent': np.array(owner, 'i2'),
            'openxr_rest': np.array(rest, 'f4'), 'openxr_rot': np.array(axes, 'f4'),
            'openxr_shape_dirs': np.array(dirs, 'f4')}


def _limits() -> np.ndarray:
    """Return (16, 3, 2) low and high of flexion, abduction and twist [rad]."""
    limits = np.zeros((16, 3, 2))
    limits[0] = (-500, 500)  # the wrist turns freely
    for finger, name in enumerate(FINGERS):
        limits[1 + 3 * finger:4 + 3 * finger] = _LIMITS_DEG[
            'thumb' if name == 'thumb' else 'finger']
    return np.deg2rad(limits)


def _regions(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray,
             frames: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return a label (V,) for each vertex, and the names."""
    names = ['palm', 'back'] + [f'{finger}_{part}' for finger in FINGERS
                                for part in ('base', 'middle', 'pad', 'nail_side')]
    normals, bone = vertex_normals(vertices, faces), weights.argmax(axis=1)
    labels = np.where(normals[:, 1] < 0, 0, 1)
    for joint in range(1, 16):
        finger, part = divmod(joint - 1, 3)
        own = bone == joint
        labels[own] = 2 + 4 * finger + part
        if part == 2:
            nail_side = normals[own] @ frames[joint][:, 1] >= 0.0
            labels[own] += nail_side
    return labels, names
