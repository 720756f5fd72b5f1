# SPDX-License-Identifier: Apache-2.0
"""Bad input: the node lives on and says what was wrong."""
import math
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fakes import estimate_of
from image_messages import image
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from ros2_dice.msg import HandFaceMeshArray, Statistics
from ros2_dice.ros.log import Throttle
from ros2_dice.ros.worker import Counters

FAILED, OK = HandFaceMeshArray.STATUS_FAILED, HandFaceMeshArray.STATUS_OK


@pytest.fixture
def diagnosis(node, wait_until):
    """`diagnosis(part, *words)`: wait for a status of this part that has all the words."""
    heard = []
    node.create_subscription(DiagnosticArray, '/diagnostics', heard.append, 50)

    def find(part, *words):
        def match():
            for array in heard:
                for status in array.status:
                    if status.name == f'/dice: {part}' and all(w in status.message
                                                               for w in words):
                        return status
            return None

        assert wait_until(match), [(s.name, s.message) for a in heard for s in a.status]
        return match()

    return find


@pytest.mark.parametrize(('fields', 'words'), [
    ({'width': 0}, ('image size', '0 x 48')),
    ({'height': 0, 'data': b''}, ('image size', '64 x 0')),
    ({'step': 100}, ('image step is 100', 'at least 192 bytes')),
    ({'encoding': 'cyan7'}, ('image encoding', 'cyan7', 'rgb8')),
    ({'data': b'12345'}, ('image data', '5 bytes', '9216 bytes')),
    ({'step': 500}, ('image data', '9216 bytes')),
])
def test_a_broken_image_is_named_and_the_next_one_works(make_dice, camera, diagnosis, fields,
                                                        words):
    dice = make_dice(diagnostics__period=0.2)
    camera.connect(dice)
    assert camera.look(1, **fields).status == FAILED
    assert diagnosis('input', *words).level == DiagnosticStatus.WARN
    assert camera.look(2).status == OK


def test_three_broken_images_in_a_row_are_an_error(make_dice, camera, diagnosis):
    dice = make_dice(diagnostics__period=0.2, input__timeout=30.0)
    camera.connect(dice)
    for _ in range(3):
        assert camera.look(1, encoding='cyan7').status == FAILED
    assert diagnosis('input', '3 images in a row').level == DiagnosticStatus.ERROR
    assert camera.look(2).status == OK
    assert diagnosis('input', 'images arrive').level == DiagnosticStatus.OK


def test_a_failing_estimator_is_an_error_after_three(make_dice, camera, factory, diagnosis):
    dice = make_dice(diagnostics__period=0.2)
    camera.connect(dice)
    factory.newest.error = RuntimeError('engine lost')
    for _ in range(3):
        assert camera.look(1).status == FAILED
    status = diagnosis('inference', '3 frames in a row failed', 'engine lost')
    assert status.level == DiagnosticStatus.ERROR
    factory.newest.error = None
    assert camera.look(2).status == OK


def test_results_that_fit_no_message_are_a_failed_frame(make_dice, camera, factory, diagnosis,
                                                        monkeypatch):
    """Each processed frame is published and counted, also where the estimator talks nonsense."""
    dice = make_dice(diagnostics__period=0.2)
    camera.connect(dice)
    good = estimate_of(0)
    assert good.hand is not None
    bad = replace(good, hand=replace(good.hand, topology_id='tail'))
    monkeypatch.setattr(factory.newest, 'look', lambda frame: (bad,))
    for _ in range(3):
        assert camera.look(1).status == FAILED
    assert diagnosis('inference', '3 frames in a row failed', 'tail').level \
        == DiagnosticStatus.ERROR
    monkeypatch.undo()
    assert camera.look(2).status == OK
    assert [array.status for array in camera.meshes] == [FAILED] * 3 + [OK]


@pytest.mark.parametrize('damage', ['cut', 'noise', 'empty', 'text'])
def test_a_broken_jpeg_is_named(make_dice, node, camera, wait_until, diagnosis, damage):
    dice = make_dice(image_transport='compressed', diagnostics__period=0.2)
    publisher = node.create_publisher(CompressedImage, '/image/compressed', 5)
    meshes = next(p for p in dice.publishers if p.topic_name == '/dice/hand_face_meshes')
    assert wait_until(lambda: publisher.get_subscription_count()
                      and meshes.get_subscription_count())
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    good = cv2.imencode('.jpg', picture)[1].tobytes()
    data = {'cut': good[:len(good) // 2], 'noise': b'\xff\xd8\xff' + bytes(500), 'empty': b'',
            'text': b'not a picture at all'}[damage]
    publisher.publish(CompressedImage(format='jpeg', data=data))
    assert wait_until(lambda: len(camera.meshes) == 1)
    assert camera.meshes[0].status == FAILED
    diagnosis('input', 'compressed image')
    publisher.publish(CompressedImage(format='jpeg', data=good))
    assert wait_until(lambda: len(camera.meshes) == 2)
    assert camera.meshes[1].status == OK


def test_nan_in_camera_info_means_the_nominal_lens(make_dice, node, camera, factory, wait_until,
                                                   diagnosis):
    dice = make_dice(diagnostics__period=0.2)
    publisher = node.create_publisher(CameraInfo, '/camera_info', 5)
    camera.connect(dice)
    assert wait_until(publisher.get_subscription_count)
    info = CameraInfo(width=64, height=48)
    info.k = [math.nan, 0.0, 31.5, 0.0, 81.0, 23.5, 0.0, 0.0, 1.0]
    publisher.publish(info)

    def noticed():
        assert camera.look(1).status == OK
        return 'nan' in dice._cameras.problem

    assert wait_until(noticed)
    diagnosis('input', 'nominal lens used', 'matrix K', 'nan')
    assert not factory.newest.frames[-1].camera.calibrated


@pytest.mark.parametrize(('width', 'height'), [(1, 1), (7680, 4320)])
def test_tiny_and_huge_images_work(make_dice, camera, factory, width, height):
    dice = make_dice()
    camera.connect(dice)
    large = image(3, 0, width, height)
    array = camera.look(1, width=width, height=height, step=large.step, data=large.data)
    assert array.status == OK
    assert (array.image_width, array.image_height) == (width, height)
    assert factory.newest.frames[0].pixels.shape == (height, width, 3)


def test_a_stamp_that_goes_back_starts_tracking_anew(make_dice, camera, factory):
    dice = make_dice()
    camera.connect(dice)
    later, earlier = image(1, 5_000_000_000).header, image(1, 2_000_000_000).header
    camera.look(1, header=later)
    assert factory.newest.resets == 0
    assert camera.look(2, header=earlier).status == OK
    assert factory.newest.resets == 1
    camera.look(3, header=earlier)
    assert factory.newest.resets == 1


def test_a_header_without_stamp_or_frame_is_named(make_dice, camera, monkeypatch):
    said = []
    monkeypatch.setattr(Throttle, 'warning', lambda throttle, key, line: said.append(line))
    dice = make_dice()
    camera.connect(dice)
    assert camera.look(1).status == OK
    assert said == []
    assert camera.look(2, header=Header()).status == OK
    no_stamp, no_frame = [line for line in said if 'images carry' in line]
    assert 'no stamp' in no_stamp
    assert 'no frame_id' in no_frame


def test_without_a_clock_nobody_knows_the_latency(make_dice, camera, node, wait_until):
    heard = []
    node.create_subscription(Statistics, '/dice/statistics', heard.append, 10)
    dice = make_dice(use_sim_time=True)
    camera.connect(dice)
    assert camera.look(1).status == OK
    assert wait_until(lambda: heard and heard[-1].published)
    assert math.isnan(heard[-1].latency_p50)


def test_old_images_are_dropped_and_counted(make_dice, camera, factory, wait_until, diagnosis):
    dice = make_dice(input__max_age=5.0, diagnostics__period=0.2)
    camera.connect(dice)
    camera.send(1, header=image(1, 5_000_000_000).header)
    assert wait_until(lambda: dice._counters().dropped_stale == 1)
    status = diagnosis('input', 'older than input.max_age')
    assert status.level == DiagnosticStatus.WARN
    assert camera.look(2).status == OK
    assert camera.look(3, header=image(1, 0).header).status == OK  # no stamp, no age


def test_silence_is_stale(make_dice, camera, diagnosis):
    dice = make_dice(input__timeout=0.3, diagnostics__period=0.2)
    camera.connect(dice)
    camera.look(1)
    assert diagnosis('input', 'no image on /image').level == DiagnosticStatus.STALE


def test_counters_add_up_under_load(make_dice, camera, factory, wait_until):
    dice = make_dice()
    camera.connect(dice)

    def send() -> Counters:
        camera.send()
        c = dice._counters()
        assert c.received == c.processed + c.dropped_overrun + c.dropped_stale + c.pending
        return c

    factory.newest.delay_s = 0.005
    assert wait_until(lambda: send().processed >= 5)
    factory.newest.gate.clear()  # slower than any camera
    assert wait_until(lambda: send().dropped_overrun >= 5)
    factory.newest.gate.set()
    assert wait_until(lambda: send().processed >= 10)
    newest = camera.send().header.stamp
    newest_ns = newest.sec * 10**9 + newest.nanosec
    # The newest image always wins in the end.
    assert wait_until(lambda: factory.newest.frames[-1].stamp_ns == newest_ns
                      and dice._counters().pending == 0)
    stamps = [frame.stamp_ns for frame in factory.newest.frames]
    assert stamps == sorted(set(stamps))
    c = dice._counters()
    assert c.received == c.processed + c.dropped_overrun + c.dropped_stale
    assert c.processed == len(stamps)
    assert wait_until(lambda: len(camera.meshes) == c.processed)


def test_a_queue_keeps_every_image_of_a_paced_source(make_dice, node, camera, factory,
                                                     wait_until):
    dice = make_dice(input__reliable=True, input__queue_depth=50)
    camera.connect(dice)
    factory.newest.delay_s = 0.01
    for number in range(10):
        camera.send(number)
    assert wait_until(lambda: len(camera.meshes) == 10)
    assert dice._counters().dropped_overrun == 0
    shades = [int(frame.pixels[0, 0, 0]) for frame in factory.newest.frames]
    assert shades == list(range(10))


def test_a_rate_cap_takes_the_newest(make_dice, camera, factory, wait_until):
    dice = make_dice(input__max_rate=10.0)
    camera.connect(dice)
    began = time.monotonic()
    for number in range(40):
        camera.send(number)
        time.sleep(0.02)
    spent = time.monotonic() - began
    assert wait_until(lambda: dice._counters().pending == 0)
    assert len(factory.newest.frames) <= 10 * spent + 2
    assert len(factory.newest.frames) >= 3
