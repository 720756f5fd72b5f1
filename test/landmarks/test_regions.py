# SPDX-License-Identifier: Apache-2.0
"""Squares from detections and landmarks."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ros2_dice.landmarks.crop import Region
from ros2_dice.landmarks.regions import (
    STEP,
    distance_over_size,
    face_from_detection,
    face_from_landmarks,
    follow,
    hand_from_detection,
    hand_from_landmarks,
    rotated_box,
    step_size,
)
from ros2_dice.landmarks.ssd import Detection


def turned(points: np.ndarray, angle_rad: float) -> np.ndarray:
    """Return points turned about the origin, x axis towards y axis."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return points @ np.array([[c, s], [-s, c]])


def hand_points() -> np.ndarray:
    """Return 21 points of an upright hand, wrist below, fingers up."""
    rng = np.random.default_rng(0)
    points = rng.uniform((-40, -100), (40, 0), (21, 2))
    points[0] = (0, 60)
    points[[6, 10, 14]] = [(-20, -60), (0, -60), (20, -60)]
    return points


def face_points() -> np.ndarray:
    """Return 468 points of an upright face."""
    points = np.random.default_rng(0).uniform(-50, 50, (468, 2))
    points[33], points[263] = (-30, -10), (30, -10)
    return points


def test_face_from_detection() -> None:
    """Half as large again as the box, turned by the eyes."""
    points = np.array([[40, 50], [60, 60], [50, 70], [50, 80], [30, 50], [70, 60.]])
    region = face_from_detection(Detection(0.9, np.array([20, 30, 80, 90.]), points))
    assert region[:3] == pytest.approx((50, 60, 90))
    assert region.angle_rad == pytest.approx(math.atan2(10, 20))


@pytest.mark.parametrize('angle_rad', [0.0, 0.7, -2.0, 3.0])
def test_face_from_landmarks_turns_with_the_face(angle_rad: float) -> None:
    """The square has 1.5 times the extent along the face's own axes."""
    upright = face_from_landmarks(face_points())
    assert upright.size_px == pytest.approx(1.5 * np.ptp(face_points(), axis=0).max())
    region = face_from_landmarks(turned(face_points(), angle_rad))
    assert region.size_px == pytest.approx(upright.size_px)
    assert math.remainder(region.angle_rad - angle_rad, 2 * math.pi) == pytest.approx(0, abs=1e-9)


def test_mirrored_face_stays_upright() -> None:
    """Landmarks of a mirrored look have their eyes swapped: the square is the same."""
    points = face_points()
    swapped = points.copy()
    swapped[[33, 263]] = points[[263, 33]]
    assert face_from_landmarks(swapped, mirrored=True) == face_from_landmarks(points)


def test_hand_from_detection() -> None:
    """2.6 times the palm, shifted towards the fingers, which point up in the crop."""
    points = np.array([[50, 90], [40, 50], [50, 50], [55, 50], [60, 50], [30, 80], [35, 70.]])
    region = hand_from_detection(Detection(0.9, np.array([30, 50, 70, 90.]), points))
    assert region[:4] == pytest.approx((50, 70 - 0.5 * 40, 2.6 * 40, 0.0))


@pytest.mark.parametrize('angle_rad', [0.0, 0.7, -2.0, 3.0])
def test_hand_from_landmarks_turns_with_the_hand(angle_rad: float) -> None:
    """The square turns and moves with the landmarks."""
    upright = hand_from_landmarks(hand_points())
    region = hand_from_landmarks(turned(hand_points(), angle_rad))
    assert region.size_px == pytest.approx(upright.size_px)
    assert math.remainder(region.angle_rad - upright.angle_rad - angle_rad,
                          2 * math.pi) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(region.center, turned(upright.center[None], angle_rad)[0])


def test_mirrored_hand_gives_the_mirrored_square() -> None:
    """A left hand's square is the mirror image of the right hand's."""
    right = hand_from_landmarks(hand_points())
    left = hand_from_landmarks(hand_points() * (-1, 1), True)
    assert left[:4] == pytest.approx((-right.cx_px, right.cy_px, right.size_px, -right.angle_rad))
    assert left.mirrored


def test_rotated_box() -> None:
    """The extent of a diagonal line along itself."""
    center, extent = rotated_box(np.array([[0, 0], [3, 4.]]), math.atan2(4, 3))
    np.testing.assert_allclose(center, [1.5, 2])
    np.testing.assert_allclose(extent, [5, 0], atol=1e-12)


squares = st.builds(Region, st.floats(0, 500), st.floats(0, 500), st.floats(10, 400),
                    st.floats(-3.1, 3.1))


@given(old=squares, new=squares)
def test_follow_stays_between(old: Region, new: Region) -> None:
    """A step is never overshot, and a large one is made in full."""
    region = follow(old, new)
    assert region.is_sane()
    assert distance_over_size(region, new) <= distance_over_size(old, new) * 41
    low, high = sorted((old.size_px, new.size_px))
    assert low * 0.999 <= region.size_px <= high * 1.001
    if distance_over_size(old, new) > STEP:
        assert region[:3] == pytest.approx(new[:3], rel=1e-6, abs=1e-6)


def test_follow_rests_where_landmarks_tremble_and_turns_the_short_way() -> None:
    """Small steps move nothing at all, larger ones a little; half turns do not spin."""
    old = Region(100, 100, 100, math.pi - 0.001)
    assert follow(old, old._replace(cx_px=104, size_px=97, angle_rad=old.angle_rad - 0.05)) == old
    assert 100 < follow(old, old._replace(cx_px=106)).cx_px < 103
    turned_a_little = follow(old, old._replace(angle_rad=-math.pi + 0.001))
    assert abs(turned_a_little.angle_rad - old.angle_rad) < 0.01


@pytest.mark.parametrize('step', [0.002, 0.01, 0.03])
def test_follow_is_drawn_along_by_slow_motion(step: float) -> None:
    """A slow thing drags its square behind it, evenly and never by more than a tenth."""
    region, places = Region(0, 0, 1, 0.0), []
    for number in range(200):
        region = follow(region, Region(step * number, 0, 1, 0.0))
        places.append(region.cx_px)
        assert step * number - region.cx_px < STEP
    np.testing.assert_allclose(np.diff(places[-20:]), step, rtol=0.05)


@given(old=squares, new=squares)
def test_step_size_knows_no_direction(old: Region, new: Region) -> None:
    """The way back is as long, and nothing lies nearer than the square itself."""
    assert step_size(old, new) == pytest.approx(step_size(new, old))
    assert step_size(old, old) == 0.0
