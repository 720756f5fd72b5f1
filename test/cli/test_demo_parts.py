# SPDX-License-Identifier: Apache-2.0
"""Parts of the demo that need no processes: sources, the summary's arithmetic, sizes."""
from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import pytest

from ros2_dice.cli.demo import complaint, hint
from ros2_dice.cli.demo_results import fitted
from ros2_dice.cli.demo_view import viewer_url
from ros2_dice.errors import ConfigError, ImageError

pytest.importorskip('rosbags')

RIGHT = {'received': 9, 'processed': 9, 'published': 9, 'dropped': 0, 'sent': 9, 'realtime': False,
         'images_recorded': 9, 'results_without_image': 0}


def test_right_numbers_are_not_complained_about():
    assert complaint(RIGHT) == ''
    assert complaint({**RIGHT, 'realtime': True, 'sent': 20, 'received': 15, 'dropped': 6}) == ''


@pytest.mark.parametrize(('changes', 'said'), [
    ({'received': 10}, 'received 10'),
    ({'published': 8}, '8 results'),
    ({'sent': 10}, 'of 10 images'),
    ({'images_recorded': 8}, '8 were recorded'),
    ({'results_without_image': 1}, 'stamp'),
])
def test_wrong_numbers_are_named(changes, said):
    assert said in complaint({**RIGHT, **changes})


def test_the_address_of_the_view_survives_the_browser():
    address = 'rerun+http://127.0.0.1:9876/proxy'
    assert parse_qs(urlsplit(viewer_url(address)).query) == {'url': [address]}


def test_a_machine_that_is_too_slow_is_told_what_helps():
    slow = {'realtime': True, 'sent': 100, 'processed': 49}
    assert '49 of 100 images' in hint(slow, live=False)
    assert 'without --realtime' in hint(slow, live=False)
    assert '--realtime' not in hint(slow, live=True), 'a camera can not wait'
    assert hint({**slow, 'processed': 50}, live=False) == ''
    assert hint({**slow, 'realtime': False}, live=False) == ''


def test_pictures_of_other_shapes_keep_theirs():
    wide = fitted(np.full((50, 200, 3), 255, np.uint8), 100, 100)
    assert wide.shape == (100, 100, 3)
    assert (wide[50] == 255).all()
    assert (wide[10] == 0).all()


def test_a_folder_gives_its_pictures_and_names_the_bad_ones(tmp_path):
    from ros2_dice.ros.inputs import PICTURE_STEP_NS, open_source

    for index in (0, 2):
        cv2.imwrite(str(tmp_path / f'{index}.png'), np.full((8, 6, 3), index, np.uint8))
    (tmp_path / '1.jpg').write_bytes(b'\xff\xd8\xff broken')
    (tmp_path / 'notes.txt').write_text('not a picture')
    said: list[str] = []
    source = open_source(str(tmp_path), said.append)
    shots = list(source)
    assert [shot.time_ns for shot in shots] == [0, 2 * PICTURE_STEP_NS]
    assert [int(shot.bgr[0, 0, 0]) for shot in shots if shot.bgr is not None] == [0, 2]
    assert len(said) == 1
    assert '1.jpg' in said[0]


def test_an_empty_folder_and_nonsense_are_refused(tmp_path):
    from ros2_dice.ros.inputs import open_source

    with pytest.raises(ImageError, match='without pictures'):
        open_source(str(tmp_path))
    with pytest.raises(ConfigError, match='no such file'):
        open_source('no_such_thing.mp4')


@pytest.mark.skipif(sys.platform != 'linux', reason='names devices as Linux does')
def test_a_missing_camera_is_named_without_noise_from_opencv(capfd):
    from ros2_dice.ros.inputs import open_source

    with pytest.raises(ImageError, match='camera 97 .*expected a device /dev/video97'):
        open_source('camera:97')
    assert capfd.readouterr().err == ''


def test_a_camera_that_can_not_be_opened_does_not_silence_opencv_for_good(monkeypatch, capfd):
    from ros2_dice.ros.inputs import open_source

    monkeypatch.setattr(Path, 'exists', lambda path: str(path) == '/dev/video97')
    with pytest.raises(ImageError, match='group video'):
        open_source('camera:97')
    assert capfd.readouterr().err == ''
    cv2.VideoCapture(97)
    assert 'video97' in capfd.readouterr().err


def test_a_bag_without_images_says_what_it_holds(tmp_path):
    from ros2_dice.ros.bag import BagWriter, typestore
    from ros2_dice.ros.inputs import open_source

    text = typestore().types['std_msgs/msg/String'](data='hello')
    bag = BagWriter(tmp_path / 'words.mcap')
    bag.write('/words', 'std_msgs/msg/String',
              typestore().serialize_cdr(text, 'std_msgs/msg/String'), 5)
    bag.close()
    with pytest.raises(ImageError, match='/words'):
        open_source(str(tmp_path / 'words.mcap'))


def test_a_cut_clip_gives_what_is_there(tmp_path):
    from ros2_dice.ros.inputs import open_source
    from ros2_dice.share import share_folder

    data = (share_folder() / 'model' / 'sample.mp4').read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(data[:len(data) // 2])
    said: list[str] = []
    count = sum(1 for _ in open_source(str(tmp_path / 'cut.mp4'), said.append))
    assert 20 < count < 150


def test_a_damaged_part_of_a_clip_is_named_by_its_time(tmp_path):
    from ros2_dice.render.video import ClipReader
    from ros2_dice.share import share_folder

    data = bytearray((share_folder() / 'model' / 'sample.mp4').read_bytes())
    middle = slice(len(data) // 2, len(data) // 2 + 20_000)
    data[middle] = np.random.default_rng(0).bytes(20_000)
    (tmp_path / 'damaged.mp4').write_bytes(data)
    said: list[str] = []
    with ClipReader(tmp_path / 'damaged.mp4', said.append) as clip:
        assert 100 < sum(1 for _ in clip) <= 150
    assert said
    for line in said:
        assert re.match(r'clip damaged\.mp4: skipped a part at \d+\.\d\d s \(', line) or (
            'marks as corrupt' in line)


def test_half_an_overlay_does_not_stay(tmp_path, monkeypatch):
    pytest.importorskip('rclpy')
    pytest.importorskip('ros2_dice.msg')
    from ros2_dice.cli import demo, demo_results, demo_session
    from ros2_dice.ros.inputs import open_source

    class Through:
        domain_id, recorded = 1, {}

        def __init__(self, *_):
            pass

        def run(self):
            return None

    def full(recording, path, *_):
        path.write_bytes(b'half a clip')
        raise OSError(28, 'No space left on device', str(path))

    monkeypatch.setattr(demo_session, 'Session', Through)
    monkeypatch.setattr(demo_results, 'write_overlay', full)
    with pytest.raises(OSError, match='No space left'):
        demo._run(demo_session.Plan('sample', tmp_path), open_source('sample'), quiet=True)
    assert not list(tmp_path.iterdir())
