# SPDX-License-Identifier: Apache-2.0
"""The real networks on odd pictures, and on real ones where the material is present."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_dice.landmarks import PersonObservation, PersonTracker
from ros2_dice.landmarks.networks import Networks
from ros2_dice.parameters import Settings
from ros2_dice.pictures import read_picture
from ros2_dice.types import Frame, Handedness

NOISE = np.random.default_rng(0)


def look_once(networks: Networks, pixels: np.ndarray, **values: object,
              ) -> tuple[PersonObservation, ...]:
    """Return what a cold start sees in BGR pixels."""
    settings = Settings({'tracking.deterministic_ids': True,
                         **{name.replace('__', '.'): v for name, v in values.items()}})
    return PersonTracker(settings, networks=networks).observe(Frame(pixels, channel_order='bgr'))


@pytest.mark.parametrize('pixels', [
    np.zeros((1, 1, 3), np.uint8), np.zeros((2, 20000, 3), np.uint8),
    np.full((300, 2, 3), 255, np.uint8), np.zeros((480, 640, 3), np.uint8),
    NOISE.integers(0, 255, (480, 640, 3), dtype=np.uint8),
    NOISE.integers(0, 255, (100, 90, 3), dtype=np.uint8)[::-1, ::2],
], ids=['1x1', 'wide', 'thin', 'black', 'noise', 'strided'])
def test_odd_pictures_show_nobody(networks: Networks, pixels: np.ndarray) -> None:
    """No picture raises, and nobody is invented, in the second frame neither."""
    tracker = PersonTracker(Settings({'detection.max_persons': 8}), networks=networks)
    for stamp_ns in (0, 33_000_000):
        assert tracker.observe(Frame(pixels, stamp_ns=stamp_ns)) == ()


@pytest.mark.parametrize(('name', 'hands'), [
    ('s/man_chin_grip.jpg', [Handedness.LEFT]), ('s/man_fist_on_cheek.jpg', [Handedness.RIGHT]),
    ('s/writer_1895.jpg', [Handedness.LEFT]),
    ('s/man_finger_on_lips_low_res.jpg', [Handedness.LEFT]),
    ('s/woman_hands_on_straps.jpg', [Handedness.RIGHT, Handedness.LEFT]),
    ('s/palm.jpg', [Handedness.LEFT])])
def test_pictures(networks: Networks, material: Path, name: str,
                  hands: list[Handedness]) -> None:
    """The hands of these people are found, also those on faces, with their sides."""
    seen = look_once(networks, read_picture(material / name).pixels)
    found = [hand for person in seen for hand in person.hands]
    assert sorted(hand.handedness for hand in found) == sorted(hands)
    assert any(person.face is not None for person in seen) == (name != 's/palm.jpg')
    for hand in found:
        points = hand.observation.points_px
        assert points.shape == (21, 2)
        assert hand.observation.world_m.shape == (21, 3)
        # World points lie as the picture's do: a rotation left out would show here.
        world = hand.observation.world_m[:, :2]
        flat, world = points - points.mean(0), world - world.mean(0)
        cosine = (flat * world).sum() / (np.linalg.norm(flat) * np.linalg.norm(world))
        assert cosine > 0.9


@pytest.mark.parametrize('name', ['s/alley_night.jpg', 's/cat_mirror.jpg', 's/toy_figures.jpg',
                                  's/man_frontal.jpg'])
def test_no_hand_is_invented(networks: Networks, material: Path, name: str) -> None:
    """Pictures without a hand, three of them without a person."""
    seen = look_once(networks, read_picture(material / name).pixels, detection__max_persons=8)
    assert not any(person.hands for person in seen)
    assert bool(seen) == (name == 's/man_frontal.jpg')


def test_mirrored_picture_gives_the_mirrored_hand(networks: Networks, material: Path) -> None:
    """The other side, and the same points within 1 % of the hand's square."""
    pixels = read_picture(material / 's/palm.jpg').pixels
    plain = look_once(networks, pixels)[0].hands[0]
    mirror = look_once(networks, pixels[:, ::-1].copy())[0].hands[0]
    assert {plain.handedness, mirror.handedness} == {Handedness.LEFT, Handedness.RIGHT}
    flipped = mirror.observation.points_px * (-1, 1) + (pixels.shape[1], 0)
    apart = np.linalg.norm(flipped - plain.observation.points_px, axis=1)
    assert apart.max() < 0.01 * plain.observation.roi.size_px


def test_slow_motion_comes_through(networks: Networks, material: Path) -> None:
    """A picture that creeps by a fifth of a pixel a frame takes its landmarks with it."""
    pixels = read_picture(material / 's/palm.jpg').bgr()
    tracker = PersonTracker(Settings(), networks=networks)
    places, squares, step_px = [], set(), 0.2
    for number in range(60):
        matrix = np.array([[1.0, 0.0, step_px * number], [0.0, 1.0, 0.0]])
        moved = cv2.warpAffine(pixels, matrix, pixels.shape[1::-1],
                               borderMode=cv2.BORDER_REPLICATE)
        seen = tracker.observe(Frame(np.asarray(moved, np.uint8), stamp_ns=number * 33_333_333,
                                     channel_order='bgr'))
        places.append(seen[0].hands[0].observation.points_px[:, 0].mean())
        squares.add(seen[0].hands[0].observation.roi)
    assert len(squares) < 60, 'the square rests now and then'
    slope = np.polyfit(np.arange(50), places[10:], 1)[0]
    assert slope == pytest.approx(step_px, rel=0.15)


@pytest.mark.parametrize('code', [
    cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE])
def test_turned_picture(networks: Networks, material: Path, code: int) -> None:
    """A cold start finds people in turned pictures too."""
    pixels = np.asarray(cv2.rotate(read_picture(material / 's/man_chin_grip.jpg').pixels, code),
                        np.uint8)
    seen = look_once(networks, pixels)
    assert [person.face is not None for person in seen] == [True]
    assert [hand.handedness for hand in seen[0].hands] == [Handedness.LEFT]


@pytest.mark.parametrize('name', ['s/man_fist_on_cheek.jpg', 'l/man_finger_on_cheek.jpg',
                                  's/man_finger_on_lips_low_res.jpg'])
def test_hands_are_found_without_colours(networks: Networks, material: Path, name: str) -> None:
    """A mono camera sees these hands, which the palm detector knows by their colour."""
    grey = cv2.cvtColor(read_picture(material / name).bgr(), cv2.COLOR_BGR2GRAY)
    seen = look_once(networks, np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8))
    assert [len(person.hands) for person in seen] == [1]


def test_half_a_face_and_a_hand_are_no_second_face(networks: Networks, material: Path) -> None:
    """It passed for a face of 0.87, and the hand was said to touch it."""
    pixels = read_picture(material / 'l/woman_ok_sign.jpg').pixels[:, ::-1].copy()
    seen = look_once(networks, pixels, detection__max_persons=4)
    assert len([person for person in seen if person.face is not None]) == 1


@pytest.mark.parametrize('persons', [1, 4])
def test_a_profile_is_found_beside_a_small_face(networks: Networks, material: Path,
                                                persons: int) -> None:
    """It is what only the detectors see at first, and somebody else is there already."""
    pixels = read_picture(material / 'l/speaker_profile_hand_on_mouth.jpg').bgr()
    height_px, width_px = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((0.5 * width_px, 0.5 * height_px), 12.0, 1.0)
    larger = (np.abs(turn[:, :2]) @ (width_px, height_px)).astype(int)
    turn[:, 2] += 0.5 * (larger - (width_px, height_px))
    pixels = np.asarray(cv2.warpAffine(pixels, turn, tuple(larger.tolist()),
                                       borderMode=cv2.BORDER_REPLICATE), np.uint8)
    seen = look_once(networks, pixels, detection__max_persons=persons)
    sizes_px = sorted(person.face.roi.size_px for person in seen if person.face is not None)
    assert len(sizes_px) == min(persons, 2)
    assert sizes_px[-1] > 0.25 * height_px


@pytest.mark.parametrize('name', ['s/man_chin_grip.jpg', 's/woman_hands_on_straps.jpg'])
def test_face_cut_off_at_the_eyes_keeps_its_size(networks: Networks, material: Path,
                                                 name: str) -> None:
    """The edge of the picture does not squeeze a face; size decides its distance."""
    pixels = read_picture(material / name).bgr()
    whole = look_once(networks, pixels)[0].face
    assert whole is not None
    low, high = whole.points_px.min(0), whole.points_px.max(0)
    cut = int(low[1] + 0.5 * (high[1] - low[1]))
    half = look_once(networks, pixels[cut:].copy())[0].face
    assert half is not None
    assert half.roi.size_px == pytest.approx(whole.roi.size_px, rel=0.2)


def test_clip_is_followed_and_repeats(networks: Networks, material: Path) -> None:
    """A hand on the chin in each of the first frames, and the same bytes in a second run."""
    def run() -> list[tuple[PersonObservation, ...]]:
        capture = cv2.VideoCapture(str(material / 's/v_pan_touch_chin_a.mp4'))
        tracker = PersonTracker(Settings({'tracking.deterministic_ids': True}),
                                networks=networks)
        results = []
        for index in range(12):
            good, pixels = capture.read()
            assert good
            results.append(tracker.observe(Frame(
                pixels, stamp_ns=index * 41_666_667,  # type: ignore[arg-type]
                channel_order='bgr')))
        return results

    first, second = run(), run()
    for a, b in zip(first, second, strict=True):
        assert [person.person_id for person in a] == ['a0000']
        assert a[0].face is not None
        assert b[0].face is not None
        assert [hand.hand_id for hand in a[0].hands] == [hand.hand_id for hand in b[0].hands]
        assert a[0].hands[0].hand_id == 'a0001'
        assert a[0].hands[0].observation.points_px.tobytes() == \
            b[0].hands[0].observation.points_px.tobytes()
        assert a[0].face.points_px.tobytes() == b[0].face.points_px.tobytes()
