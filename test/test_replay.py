# SPDX-License-Identifier: Apache-2.0
"""Replay: the list of processes, and one real run from pictures to a recording."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_dice.errors import ConfigError, DiceError
from ros2_dice.parameters import Settings

pytest.importorskip('rclpy')

from ros2_dice.ros.replay import replay_processes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def pictures(tmp_path):
    """Give a folder with two grey pictures."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for name in 'ab':
        cv2.imwrite(str(folder / f'{name}.png'), np.full((240, 320, 3), 127, np.uint8))
    return folder


def values(process):
    """Return the parameters of a process as it sees them; files are left out."""
    return {name: value for layer in process.parameters if not isinstance(layer, Path)
            for name, value in layer.items()}


def test_paced_replay_loses_nothing(pictures, tmp_path):
    source, node, recorder = replay_processes(
        {'images': str(pictures), 'output': str(tmp_path / 'out.mcap'), 'namespace': 'ns',
         'name': 'eyes', 'model': 'open'})
    assert [p.executable for p in (source, node, recorder)] == [
        'source_node', 'dice_node', 'recorder_node']
    assert {p.namespace for p in (source, node, recorder)} == {'ns'}
    assert values(source)['realtime'] is False
    assert values(source)['subscribers'] == 2
    assert dict(source.remappings) == {'results': 'eyes/hand_face_meshes'}
    seen = values(node)
    Settings(seen)
    assert seen['input.reliable'] is True
    assert seen['input.max_age'] == 0.0
    assert seen['model.id'] == 'open'
    assert not node.respawn
    assert values(recorder)['node'] == 'eyes'
    assert values(recorder)['reliable_images'] is True


def test_replay_at_a_rate_is_real_time(pictures):
    source, node = replay_processes({'images': str(pictures), 'rate': '2'})
    assert (values(source)['realtime'], values(source)['rate']) == (True, 2.0)
    assert values(source)['subscribers'] == 1
    assert 'input.reliable' not in values(node)


@pytest.mark.parametrize(('given', 'named'), [
    ({}, 'neither bag nor images'), ({'images': 'a', 'bag': 'b'}, 'both bag and images'),
    ({'images': 'none.mp4'}, 'none.mp4'), ({'image': 'x'}, 'image'),
    ({'images': '.', 'rate': 'fast'}, 'rate'), ({'images': '.', 'rate': '-1'}, 'rate'),
    ({'images': '.', 'rate': 'nan'}, 'rate')])
def test_wrong_arguments_are_refused(given, named):
    with pytest.raises(ConfigError, match=named):
        replay_processes(given)


def test_an_existing_recording_is_kept(pictures):
    with pytest.raises(ConfigError, match='output'):
        replay_processes({'images': str(pictures), 'output': str(pictures / 'a.png')})


@pytest.mark.timeout(240)
def test_pictures_become_a_recording(pictures, tmp_path):
    from ros2_dice.assets import find_asset

    try:
        find_asset('palm_detection_full')
    except DiceError as error:
        pytest.skip(str(error))
    output = tmp_path / 'out.mcap'
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_dice.ros.replay', f'images:={pictures}',
         f'output:={output}', 'name:=eyes'], cwd=ROOT, text=True, capture_output=True,
        timeout=200, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    from ros2_dice.ros.bag import BagReader

    bag = BagReader(output)
    counts = {topic: count for topic, (_, count) in bag.topics.items()}
    bag.close()
    assert counts['/eyes/hand_face_meshes'] == 2
    assert counts['/image/compressed'] == 2
    assert counts['/eyes/topologies'] == 1
