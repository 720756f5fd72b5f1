# SPDX-License-Identifier: Apache-2.0
"""Overlays: what is drawn where, and that broken estimates can't stop it."""
import dataclasses

import numpy as np
import pytest

from ros2_dice.bodies import Part, Side, make_topology
from ros2_dice.errors import DiceError
from ros2_dice.render import Overlay
from ros2_dice.types import BodyEstimate, Camera, Handedness, HandFaceEstimate, State

CAMERA = Camera.from_fov(320, 240, 1.0)
GREY = np.full((240, 320, 3), 100, np.uint8)


def sheet(part, side, columns=12):
    """A flat grid that faces the camera, 0.2 m wide."""
    x, y = np.meshgrid(np.linspace(-0.1, 0.1, columns), np.linspace(-0.1, 0.1, columns))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1)
    index = np.arange(x.size).reshape(x.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3),
                            np.stack([a, d, c], -1).reshape(-1, 3)])
    coarse = np.array([[index[0, 0], index[-1, -1], index[0, -1]],
                       [index[0, 0], index[-1, 0], index[-1, -1]]])
    return make_topology('test', part, side, faces, points, np.zeros(x.size, np.uint8), ('all',),
                         'Apache-2.0', coarser_faces=(coarse,))


FACE, HAND = sheet(Part.FACE, Side.NONE), sheet(Part.HAND, Side.RIGHT)


def body(topology, place, **more):
    return BodyEstimate(topology.topology_id,
                        (topology.rest_vertices_m + np.float32(place)).astype(np.float32), 0.9,
                        **more)


def estimate(**changes):
    one = HandFaceEstimate(
        'a0000', 'a0001', Handedness.RIGHT, 0.9, contact_probability=0.9, min_distance_m=-0.002,
        face=body(FACE, (0, 0, 1.0)), hand=body(HAND, (0.12, 0, 0.9)))
    return dataclasses.replace(one, **changes)


def test_hand_and_face_are_drawn_in_different_colours_and_the_input_is_kept():
    before = GREY.copy()
    drawn = Overlay([FACE, HAND]).draw(GREY, [estimate()], CAMERA, legend=False)
    assert np.array_equal(GREY, before)
    face, hand, outside = drawn[120, 150], drawn[120, 200], drawn[5, 5]
    assert (outside == 100).all()
    assert np.abs(face.astype(int) - hand).max() > 30
    assert np.abs(face.astype(int) - 100).max() > 5


def test_contact_is_warm_and_dents_show():
    contact = np.zeros(FACE.vertex_count, np.float32)
    contact[FACE.rest_vertices_m[:, 0] < -0.05] = 1
    dent = np.zeros((FACE.vertex_count, 3), np.float32)
    dent[FACE.rest_vertices_m[:, 1] > 0.05, 2] = 0.003
    plain = estimate(hand=None)
    marked = estimate(hand=None, face=body(FACE, (0, 0, 1.0), contact=contact,
                                           deformation_m=dent, has_deformation=True))
    draw = Overlay([FACE, HAND]).draw
    without = draw(GREY, [plain], CAMERA, legend=False).astype(int)
    with_marks = draw(GREY, [marked], CAMERA, legend=False).astype(int)
    touched = with_marks[105, 139]
    assert touched[2] > 200 > 60 > touched[0], 'red over blue where it touches'
    assert np.abs(with_marks[138, 170] - without[138, 170]).max() > 20, 'dent'
    assert (with_marks[105, 180] == without[105, 180]).all(), 'elsewhere nothing changes'


def test_two_hands_on_one_face_both_light_it_up():
    one, other = (np.zeros(FACE.vertex_count, np.float32) for _ in range(2))
    one[:60], other[-60:] = 1, 1
    pair = [estimate(hand=None, hand_id=name, face=body(FACE, (0, 0, 1.0), contact=mask))
            for name, mask in (('a0001', one), ('a0002', other))]
    drawn = Overlay([FACE, HAND]).draw(GREY, pair, CAMERA, legend=False)
    warm = (drawn[..., 2] > 180) & (drawn[..., 0] < 80)
    assert warm[:115].any()
    assert warm[125:].any()


def test_what_is_only_predicted_is_fainter():
    def strength(state):
        drawn = Overlay([FACE, HAND]).draw(GREY, [estimate(state=state)], CAMERA, legend=False)
        return np.abs(drawn.astype(int) - 100).sum()

    assert 0 < strength(State.PREDICTED) < 0.7 * strength(State.MEASURED)


def test_coarser_levels_and_scale():
    coarse = FACE.coarser[0]
    drawn = Overlay([FACE, HAND]).draw(
        GREY, [estimate(face=body(coarse, (0, 0, 1.0)), hand=None)], CAMERA, 0.5, legend=False)
    assert drawn.shape == (120, 160, 3)
    assert (drawn[60, 75] != 100).any()


@pytest.mark.parametrize('place', [(0, 0, -1), (0, 0, 0), (np.nan, 0, 1), (0, 0, np.inf),
                                   (1e30, 0, 1), (0, 0, 1e-5)])
def test_degenerate_vertices_are_survived(place):
    odd = estimate(face=body(FACE, place), hand=body(HAND, place))
    drawn = Overlay([FACE, HAND]).draw(GREY, [odd], CAMERA)
    assert drawn.shape == GREY.shape


def test_some_bad_vertices_leave_the_rest():
    vertices = (FACE.rest_vertices_m + np.array((0, 0, 1), np.float32)).astype(np.float32)
    vertices[::7] = np.nan
    one = estimate(hand=None, face=BodyEstimate(FACE.topology_id, vertices, 0.9))
    drawn = Overlay([FACE, HAND]).draw(GREY, [one], CAMERA, legend=False)
    assert (drawn != 100).any()


def test_no_people_and_no_vertices():
    empty = estimate(hand=None, face=BodyEstimate(FACE.topology_id, np.zeros((0, 3)), 0.5))
    overlay = Overlay([FACE, HAND])
    assert np.array_equal(overlay.draw(GREY, [], CAMERA), GREY)
    assert np.array_equal(overlay.draw(GREY, [empty], CAMERA), GREY)


def test_an_unknown_topology_is_named():
    with pytest.raises(DiceError, match='mystery'):
        Overlay([FACE]).draw(GREY, [estimate(hand=None, face=BodyEstimate(
            'mystery', np.ones((3, 3)), 0.5))], CAMERA)


def test_one_by_one_picture():
    drawn = Overlay([FACE, HAND]).draw(np.zeros((1, 1, 3), np.uint8), [estimate()],
                                       Camera.from_fov(1, 1, 1.0), 0.1)
    assert drawn.shape == (1, 1, 3)
