# SPDX-License-Identifier: Apache-2.0
"""
Render the sample clip from the open bodies, with its truth.

    python tools/make_sample.py [--out FOLDER] [--frames 40,75]

A hand comes to the cheek, touches with its fingertips, slides, leaves. Writes sample.mp4 and
sample_truth.npz; with --frames only pictures of these frames.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from sample_scene import Mesh, arm, background, render, torso, vertex_normals

from ros2_dice.bodies import HandState, HeadState, OpenBodies, load_open_bodies
from ros2_dice.bodies.rotation import rotation_matrix
from ros2_dice.render.video import ClipWriter
from ros2_dice.types import Camera

FloatArray = npt.NDArray[np.floating]

RATE_HZ, FRAMES = 30.0, 150
ARRIVE_S, SLIDE_S, SLID_S, LEAVE_S = 1.75, 2.25, 3.25, 3.6
PRESS_M = 0.0025
"""How deep the fingertips press."""
_DENT_SPREAD_M = 0.012
_CHEEK_FROM = np.array([-0.047, -0.035, 0.065])
_CHEEK_TO = np.array([-0.042, -0.062, 0.066])
"""Where the index finger lies first and last, head frame [m]."""
_OUTWARD = np.array([-0.5, 0.0, 0.85])
"""Way off the cheek, head frame."""
_FINGERS = np.array([0.45, -0.85, 0.15])
_BACK = np.array([-0.2, -0.1, -1.0])
"""Where the fingers and the back of the touching hand point, optical frame."""
_FLEX = {'index': (0.25, 0.20, 0.10), 'middle': (0.35, 0.30, 0.15), 'ring': (0.50, 0.40, 0.20),
         'little': (0.60, 0.45, 0.20), 'thumb': (0.10, 0.15, 0.20)}
"""Bends of base, middle and end joint of the touching hand [rad]."""
_SPREAD = {'index': -0.10, 'middle': -0.02, 'ring': 0.05, 'little': 0.12}


@dataclass(frozen=True)
class Moment:
    """One frame of the story."""

    head: HeadState
    head_vertices_m: FloatArray
    dent_m: FloatArray
    """(V, 3) displacement of the head's skin by the hand."""
    hand: HandState
    hand_vertices_m: FloatArray
    distance_m: FloatArray
    """(V,) signed distance of the hand's vertices to the undented head."""
    elbow_m: FloatArray


def ease(time_s: float, start_s: float, end_s: float) -> float:
    """Return 0 before, 1 after, and a minimum-jerk rise between."""
    u = float(np.clip((time_s - start_s) / (end_s - start_s), 0, 1))
    return u ** 3 * (10 - 15 * u + 6 * u * u)


def signed_distance(points_m: FloatArray, vertices_m: FloatArray,
                    faces: npt.NDArray[np.integer]) -> FloatArray:
    """
    Return (N,) distance of points to a surface, negative behind it [m].

    Exact over the triangles around the 12 nearest centres; written apart from
    ros2_dice.contact, which this clip is to test.
    """
    from scipy.spatial import KDTree

    corners = vertices_m[faces]
    normals = vertex_normals(vertices_m, faces)
    _, near = KDTree(corners.mean(1)).query(points_m, k=12)
    best = np.full(len(points_m), np.inf)
    sign = np.ones(len(points_m))
    for column in near.T:
        weights = _closest_weights(points_m, corners[column])
        offset = points_m - (weights[..., None] * corners[column]).sum(1)
        length = np.linalg.norm(offset, axis=1)
        outward = (weights[..., None] * normals[faces[column]]).sum(1)
        closer = length < best
        best = np.where(closer, length, best)
        sign = np.where(closer, np.where((offset * outward).sum(1) < 0, -1, 1), sign)
    return sign * best


def _closest_weights(points: FloatArray, corners: FloatArray) -> FloatArray:
    """Return barycentric weights (N, 3) of the points of triangles nearest to points."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    scale = np.maximum(uu * vv - uv * uv, 1e-18)
    s, t = (vv * wu - uv * wv) / scale, (uu * wv - uv * wu) / scale
    inside = (s >= 0) & (t >= 0) & (s + t <= 1)
    best = np.stack([1 - s - t, s, t], 1)
    least = np.full(len(points), np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        edge = corners[:, j] - corners[:, i]
        along = ((points - corners[:, i]) * edge).sum(1) / np.maximum((edge ** 2).sum(1), 1e-18)
        along = np.clip(along, 0, 1)
        gap = np.linalg.norm(corners[:, i] + along[:, None] * edge - points, axis=1)
        weights = np.zeros((len(points), 3))
        weights[:, i], weights[:, j] = 1 - along, along
        use = ~inside & (gap < least)
        best[use], least[use] = weights[use], gap[use]
    return best


def dent(head_m: FloatArray, normals: FloatArray, skin: npt.NDArray[np.bool_],
         hand_m: FloatArray, distance_m: FloatArray) -> FloatArray:
    """Return (V, 3) how the skin gives way: deepest hand vertex nearby, fading over 12 mm."""
    pressed = np.flatnonzero(distance_m < 0)
    depth = np.zeros(len(head_m))
    for index in pressed:
        square = ((head_m - hand_m[index]) ** 2).sum(1)
        depth = np.maximum(depth, -distance_m[index]
                           * np.exp(-0.5 * square / _DENT_SPREAD_M ** 2))
    return -(depth * skin)[:, None] * normals


def head_state(bodies: OpenBodies, time_s: float) -> HeadState:
    """Return a head that breathes, blinks, and turns a little towards the hand."""
    lean = ease(time_s, 0.9, 2.0) - ease(time_s, LEAVE_S, 4.7)
    yaw = np.deg2rad(-3 + 2.0 * np.sin(1.1 * time_s) + 5 * lean)
    pitch = np.deg2rad(1.5 * np.sin(0.8 * time_s + 1))
    roll = np.deg2rad(1.5 * np.sin(0.6 * time_s) - 3.0 * lean)
    facing = np.diag([1.0, -1.0, -1.0])
    turn = rotation_matrix(np.array([0, 0, roll])) @ rotation_matrix(np.array([pitch, 0, 0])) \
        @ rotation_matrix(np.array([0, yaw, 0]))
    place = np.array([0.025 + 0.004 * np.sin(0.9 * time_s), -0.030 + 0.0015 * np.sin(2 * time_s),
                      0.69 + 0.004 * np.sin(0.7 * time_s)])
    names = bodies.head.expression_names
    expression = np.zeros(len(names))
    blink = max(np.exp(-((time_s - at) / 0.07) ** 2) for at in (0.75, 2.9, 4.45))
    smile = 0.15 + 0.25 * ease(time_s, 3.3, 4.2)
    for name, value in (('eyeBlinkLeft', 0.95 * blink), ('eyeBlinkRight', 0.95 * blink),
                        ('mouthSmileLeft', smile), ('mouthSmileRight', smile)):
        expression[names.index(name)] = value
    return HeadState(turn @ facing, place, 0.0, np.zeros(bodies.head.identity_count), expression)


def hand_pose(bodies: OpenBodies, away: float, time_s: float) -> HandState:
    """Return the right hand's attitude and fingers; `away` is 0 at the cheek, 1 out of sight."""
    fingers = _FINGERS + away * np.array([-0.15, 0.05, -0.10])
    back = _BACK + away * np.array([0.05, 0.05, 0.0])
    z = -fingers / np.linalg.norm(fingers)
    y = back - z * (back @ z)
    y /= np.linalg.norm(y)
    rotation = np.stack([np.cross(y, z), y, z], 1)
    hand = bodies.hand_right
    angles = hand.angle_mean.copy()
    for finger, flex in _FLEX.items():
        joint = hand.joint_names.index(f'{finger}1')
        for k, opening in enumerate((-0.22, -0.12, -0.06)):
            row = (hand.dof_joint == joint + k) & (hand.dof_axis == 0)
            angles[row] = flex[k] + (away * opening + 0.03 * np.sin(3.1 * time_s)
                                     if finger != 'thumb' else 0.0)
        if finger in _SPREAD:
            angles[(hand.dof_joint == joint) & (hand.dof_axis == 1)] = _SPREAD[finger]
    return HandState(rotation, np.zeros(3), 0.0, angles, np.zeros(10))


def moment(bodies: OpenBodies, time_s: float) -> Moment:
    """Return everything that happens at one time."""
    head, hand = bodies.head, bodies.hand_right
    head_now = head_state(bodies, time_s)
    skin_m = head.vertices(head_now).astype(float)
    normals = vertex_normals(skin_m, head.faces)
    skin_faces = head.faces[head.is_skin[head.faces].all(1)]
    away = 1 - ease(time_s, 0.25, ARRIVE_S) + ease(time_s, LEAVE_S, 4.85)
    slid = ease(time_s, SLIDE_S, SLID_S)
    goal = _CHEEK_FROM + slid * (_CHEEK_TO - _CHEEK_FROM)
    goal = head_now.rotation @ goal + head_now.translation_m
    near = int(np.argmin(np.linalg.norm(np.where(head.is_skin[:, None], skin_m, 9) - goal,
                                        axis=1)))
    outward = head_now.rotation @ _OUTWARD / np.linalg.norm(_OUTWARD)
    goal = goal - outward * ((goal - skin_m[near]) @ outward)

    pose = hand_pose(bodies, away, time_s)
    pad = np.array(hand.region_names)[hand.regions] == 'index_pad'
    shape_m = hand.vertices(pose).astype(float)
    start = goal - shape_m[pad].mean(0)
    close = np.linalg.norm(shape_m - shape_m[pad].mean(0), axis=1) < 0.12

    low, high = -0.02, 0.06
    for _ in range(22):  # how far out along `outward` the hand presses as deep as it shall
        middle = 0.5 * (low + high)
        reached = signed_distance(shape_m[close] + start + middle * outward, skin_m, skin_faces)
        low, high = (middle, high) if reached.min() < -PRESS_M else (low, middle)
    touching = start + high * outward
    offset = away * np.array([-0.12, 0.36, -0.03]) + outward * 0.10 * np.sqrt(away) * (
        1 - 0.6 * away) * min(1.0, away / 0.02)
    pose = replace(pose, translation_m=touching + offset)
    hand_m = hand.vertices(pose).astype(float)
    distance = signed_distance(hand_m, skin_m, skin_faces)
    elbow = np.array([-0.24, 0.42, 0.56]) + 0.75 * away * np.array([-0.14, 0.36, 0.0])
    return Moment(head_now, skin_m, dent(skin_m, normals, head.is_skin, hand_m, distance), pose,
                  hand_m, distance, elbow)


def picture(bodies: OpenBodies, now: Moment, camera: Camera,
            backdrop: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the rendered BGR picture of a moment."""
    head = bodies.head
    colours = head.colours / 255.0
    names = np.array(head.region_names)[head.regions]
    dark = (colours.max(1) < 0.5) & head.is_skin & ~np.char.startswith(names, 'eye')
    colours[dark] = np.median(colours[names == 'cheek_left'], axis=0)
    lips = names == 'lips'
    colours[lips] = 0.5 * colours[lips] + 0.5 * np.array([0.78, 0.55, 0.49])
    body = np.eye(3)
    place = now.head.translation_m * [1, 1, 1] + [0, 0.002, 0.006]
    return render(
        [Mesh(now.head_vertices_m + now.dent_m, head.faces.astype(np.int64), colours, 0.14,
              head.rest_vertices_m),
         torso(place, body), arm(bodies.hand_right, now.hand_vertices_m, now.elbow_m)],
        camera, backdrop)


def main() -> None:
    """Render the clip, or single frames of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip().splitlines()[0])
    model = Path(__file__).parents[1] / 'model'
    parser.add_argument('--out', type=Path, default=model, help='folder to write to')
    parser.add_argument('--frames', default='', help='only PNG pictures of these, 40,75')
    options = parser.parse_args()
    bodies = load_open_bodies(model / 'open_bodies.npz')
    camera = Camera.from_fov(1280, 720, 1.05)
    backdrop = background(camera.width_px, camera.height_px)
    if options.frames:
        for index in map(int, options.frames.split(',')):
            now = moment(bodies, index / RATE_HZ)
            print(f'frame {index}: distance {1e3 * now.distance_m.min():.1f} mm')
            cv2.imwrite(str(options.out / f'sample_{index:03}.png'),
                        picture(bodies, now, camera, backdrop))
        return
    moments = []
    with ClipWriter(options.out / 'sample.mp4', camera.width_px, camera.height_px, RATE_HZ,
                    quality=15, preset='veryslow') as clip:
        for index in range(FRAMES):
            now = moment(bodies, index / RATE_HZ)
            clip.write(picture(bodies, now, camera, backdrop))
            moments.append(now)
            print(f'\rframe {index + 1} of {FRAMES}', end='', flush=True)
    print()
    write_truth(options.out / 'sample_truth.npz', bodies, moments, camera)


def write_truth(path: Path, bodies: OpenBodies, moments: list[Moment], camera: Camera) -> None:
    """Write what the clip shows: poses, angles, expression, distances, dents, camera."""
    nearest = [int(np.argmin(now.distance_m)) for now in moments]
    hand = bodies.hand_right
    tables = {
        'rate_hz': np.array(RATE_HZ),
        'camera': np.array([camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px]),
        'size_px': np.array([camera.width_px, camera.height_px]),
        'touch': np.array([now.distance_m.min() <= 0 for now in moments]),
        'min_distance_m': np.array([now.distance_m.min() for now in moments], np.float32),
        'max_dent_m': np.array([np.linalg.norm(now.dent_m, axis=1).max() for now in moments],
                               np.float32),
        'nearest_region': np.array([hand.region_names[hand.regions[index]] for index in nearest]),
        'hand_side': np.array('right')}
    for part, names in (('hand', ('rotation', 'translation_m', 'angles_rad')),
                        ('head', ('rotation', 'translation_m', 'expression'))):
        for name in names:
            tables[f'{part}_{name}'] = np.array(
                [getattr(getattr(now, part), name) for now in moments], np.float64)
    np.savez_compressed(path, allow_pickle=False, **tables)


if __name__ == '__main__':
    main()
