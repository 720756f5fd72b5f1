# SPDX-License-Identifier: Apache-2.0
import itertools
import json
import math
import sys
import textwrap
from collections.abc import Mapping

import numpy as np
import pytest

from ros2_dice.errors import EstimatorError, ImageError
from ros2_dice.evaluation.clips import Clip, fit_into, load_clip
from ros2_dice.evaluation.peer import Peer
from ros2_dice.evaluation.still import SHIFT_PX, Stroke, jitter, trembling
from ros2_dice.evaluation.timing import Spread, measure, node_report, there_and_back


class CountingEstimator:
    """Stands for an estimator: sees nobody, keeps the stamps it was given."""

    model_id, topologies = 'none', ()

    def __init__(self):
        self.stamps = []
        self.stage_times_s: Mapping[str, float] = {}

    def estimate(self, frame):
        self.stamps.append(frame.stamp_ns)
        self.stage_times_s = {'look': 0.001, 'total': 0.002}
        return ()

    def apply(self, settings): ...

    def reset(self): ...

    def close(self): ...


@pytest.fixture
def clip():
    return Clip(np.zeros((5, 4, 6, 3), np.uint8), 25.0)


def test_clip_is_played_there_and_back():
    assert list(itertools.islice(there_and_back(4), 9)) == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert list(itertools.islice(there_and_back(1), 3)) == [0, 0, 0]


def test_measure_counts_only_after_the_warm_up(clip):
    estimator = CountingEstimator()
    done = []
    timing = measure(estimator, clip, 70, warmup=10, progress=done.append)
    assert len(estimator.stamps) == 80
    assert len(timing.total_s) == len(timing.stages_s['look']) == 70
    assert np.all(np.diff(estimator.stamps) == 40_000_000)
    assert done == [30, 60, 70]
    assert timing.with_hand == timing.with_face == timing.with_contact == 0


def test_spread():
    spread = Spread.of([0.001, 0.002, 0.009])
    assert spread.as_json()['median_ms'] == 2.0
    assert spread.as_json()['max_ms'] == 9.0
    assert math.isnan(Spread.of([]).p95_ms)


def test_node_report_leaves_the_first_tenth_out():
    frames = [{'overhead': 1.0, 'total': 1.0}] + [{'overhead': 0.002, 'total': 0.1}] * 9
    report = node_report({'stages_s': frames, 'sizes_byte': [10, 20, 30], 'model': 'm'})
    assert report['frames'] == 9
    assert set(report['stages']) == {'overhead'}
    assert report['stages']['overhead']['max_ms'] == 2.0
    assert report['message_byte'] == {'median': 20, 'max': 30}
    assert node_report({'stages_s': [], 'sizes_byte': [], 'model': ''})['received'] == 0


def test_fit_into_keeps_proportions():
    white = np.full((270, 480, 3), 255, np.uint8)
    assert fit_into(white, (1280, 720)).min() == 255
    tall = fit_into(np.full((640, 320, 3), 255, np.uint8), (1280, 720))
    columns = np.flatnonzero(tall[360, :, 0] > 128)
    assert len(columns) == 360
    assert columns[0] == (1280 - 360) // 2


def test_unreadable_clip_is_named(tmp_path):
    path = tmp_path / 'none.mp4'
    path.write_bytes(b'not a clip')
    with pytest.raises(ImageError, match='none.mp4'):
        load_clip(path, tmp_path / 'frames.rgb')


def test_peer_answers_for_the_frames_it_is_given(tmp_path, monkeypatch, clip):
    # The protocol is tried with a stand-in for mediapipe, in a process as the real one.
    package = tmp_path / 'mediapipe'
    package.mkdir()
    (package / '__init__.py').write_text(textwrap.dedent("""
        from types import SimpleNamespace as N
        __version__ = '0'
        class Solution:
            def __init__(self, **settings): self.settings = settings
            def process(self, picture):
                found = [1] if picture.max() else None
                return N(multi_face_landmarks=found, multi_hand_landmarks=found)
        solutions = N(face_mesh=N(FaceMesh=Solution), hands=N(Hands=Solution))
        """))
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    frames = clip.pixels.copy()
    frames[3] = 1
    file = tmp_path / 'frames.rgb'
    frames.tofile(file)
    with Peer(python, file, frames.shape) as peer:
        assert peer.description['mediapipe'] == '0'
        block = peer.process([0, 3])
        timing = measure(CountingEstimator(), clip, 35, warmup=5, peer=peer)
    assert block.face == [False, True]
    assert block.hands == [0, 1]
    assert len(timing.peer_s) == 35
    assert timing.peer_with_hand == sum(
        n == 3 for n in itertools.islice(there_and_back(5), 5, 40))


def test_peer_that_does_not_start_says_how_to_get_it(tmp_path):
    broken = tmp_path / 'python'
    broken.write_text('#!/bin/sh\necho "no mediapipe here" >&2\nexit 1\n')
    broken.chmod(0o755)
    with pytest.raises(EstimatorError, match='no mediapipe here') as caught:
        Peer(broken, tmp_path / 'frames.rgb', (1, 1, 1, 3))
    assert 'mediapipe==0.10.21' in str(caught.value)
    with pytest.raises(EstimatorError, match='interpreter'):
        Peer(tmp_path / 'missing', tmp_path / 'frames.rgb', (1, 1, 1, 3))


def test_trembling_picture_keeps_its_mean():
    rng = np.random.default_rng(5)
    picture = np.asarray(rng.integers(60, 200, (32, 32, 3)), np.uint8)
    frames = list(trembling(picture, 40, rng))
    assert SHIFT_PX == 0.5
    assert np.abs(np.mean(frames) - picture.mean()) < 1.0
    assert not np.array_equal(frames[0], frames[1])


def test_jitter_splits_directions():
    track = np.zeros((2, 10, 3))
    track[0, :, 2], track[1, :, 2] = 0.002, -0.002
    found = jitter(track)
    assert (found.total_mm, found.lateral_mm) == (pytest.approx(2.0), 0.0)
    assert found.trembling_mm == pytest.approx(4.0 / 2 ** 0.5)


def test_stroke_goes_to_and_fro():
    stroke = Stroke(speed_px=10.0, reach_px=30.0, rest=2)
    assert [stroke.offset_px(n) for n in range(10)] == [0, 0, 0, 10, 20, 30, 20, 10, 0, 10]
    assert stroke.direction(2) == 0
    assert stroke.direction(4) == 1
    assert stroke.direction(7) == -1
    assert not stroke.steady(6, 2)
    picture = np.full((24, 10, 3), 200, np.uint8)  # OpenCV 4.6 does not draw the last row
    picture[:, 0] = 0
    frames = list(stroke.frames(picture, (60, 24), 6, np.random.default_rng(6)))
    dark = [int(np.argmin(frame.mean((0, 2)))) for frame in frames]
    assert dark[5] == 30


def test_benchmark_writes_figures(tmp_path, monkeypatch):
    import av
    from typer.testing import CliRunner

    from ros2_dice import estimator
    from ros2_dice.cli.benchmark import app

    path = tmp_path / 'clip.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=25)
        stream.width, stream.height = 64, 48
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), 'rgb24')
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    monkeypatch.setattr(estimator, 'create_estimator', lambda settings: CountingEstimator())
    result = CliRunner().invoke(app, ['open', '--source', str(path), '--frames', '4', '--warmup',
                                      '1', '--native-size', '--json', str(tmp_path / 'a.json')])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / 'a.json').read_text())
    assert report['frames'] == 4
    assert report['size_px'] == [64, 48]
    assert set(report['stages']) == {'look'}
    assert {'median_ms', 'p95_ms', 'max_ms', 'environment', 'frames_with_hand'} <= set(report)
