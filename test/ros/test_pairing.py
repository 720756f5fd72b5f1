# SPDX-License-Identifier: Apache-2.0
"""CameraInfo to Camera."""
import math

import pytest
from sensor_msgs.msg import CameraInfo

from ros2_dice.errors import ConfigError
from ros2_dice.ros.pairing import CameraBook, camera_from_info, is_rectified


def info(fx=800.0, width=1280, height=720):
    message = CameraInfo(width=width, height=height)
    message.k = [fx, 0.0, 639.5, 0.0, 810.0, 359.5, 0.0, 0.0, 1.0]
    message.p = [700.0, 0.0, 600.0, 0.0, 0.0, 710.0, 350.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def numbers(camera):
    return (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px)


def test_raw_pictures_take_k_with_pixel_centres_at_one_half():
    camera = camera_from_info(info(), 1280, 720)
    assert numbers(camera) == (800.0, 810.0, 640.0, 360.0)
    assert camera.calibrated


def test_rectified_pictures_take_p():
    assert numbers(camera_from_info(info(), 1280, 720, rectified=True)) == (
        700.0, 710.0, 600.5, 350.5)


@pytest.mark.parametrize(('topic', 'rectified'), [
    ('/image_rect', True), ('/left/image_rect_color', True), ('/left/rect/image', True),
    ('/camera/image_rectified/compressed', True), ('/image_raw', False),
    ('/direct/image_raw', False), ('/director/camera/image', False), ('/correction/image', False),
    ('/rectangle/image_raw', False)])
def test_the_word_rect_in_a_topic_says_that_pictures_are_rectified(topic, rectified):
    assert is_rectified(topic) == rectified


def test_resized_pictures_scale_the_camera():
    assert numbers(camera_from_info(info(), 640, 360)) == (400.0, 405.0, 320.0, 180.0)


def test_binning_and_region_of_interest():
    message = info()
    message.binning_x = message.binning_y = 2
    message.roi.x_offset, message.roi.y_offset = 40, 20
    message.roi.width, message.roi.height = 800, 600
    camera = camera_from_info(message, 400, 300)
    assert numbers(camera) == (400.0, 405.0, 300.0, 170.0)


def test_a_camera_info_of_another_picture_is_refused():
    with pytest.raises(ConfigError, match='1280 x 720.*640 x 480'):
        camera_from_info(info(), 640, 480)


@pytest.mark.parametrize('value', [math.nan, math.inf, 0.0, -800.0])
def test_broken_matrices_are_refused(value):
    with pytest.raises(ConfigError, match='matrix K'):
        camera_from_info(info(fx=value), 1280, 720)


def test_zeros_mean_not_calibrated():
    with pytest.raises(ConfigError, match='not calibrated'):
        camera_from_info(CameraInfo(width=1280, height=720), 1280, 720)


def test_the_book_takes_the_newest_and_falls_back():
    book = CameraBook()
    nominal = book.camera(1280, 720, 1.05)
    assert not nominal.calibrated
    assert book.problem == ''
    book.put(info())
    first = book.camera(1280, 720, 1.05)
    assert first.calibrated
    book.put(info())  # equal content: the same object
    assert book.camera(1280, 720, 1.05) is first
    book.put(info(fx=math.nan))
    assert not book.camera(1280, 720, 1.05).calibrated
    assert 'nan' in book.problem
    book.put(info(fx=900.0))
    assert book.camera(1280, 720, 1.05).fx_px == 900.0
    assert book.problem == ''


def test_the_book_can_ignore_camera_infos():
    book = CameraBook(use_info=False)
    book.put(info(fx=math.nan))
    assert not book.camera(1280, 720, 1.05).calibrated
    assert book.problem == ''
