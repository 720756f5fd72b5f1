# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice demo` end to end: three processes over DDS, a few frames of the sample."""
from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ros2_dice.assets import missing_assets
from ros2_dice.render.video import ClipReader, ClipWriter
from ros2_dice.share import share_folder

pytest.importorskip('rclpy')
pytest.importorskip('rosbags')
if missing_assets('open'):
    pytest.skip('the networks are not here; ros2-dice assets pull', allow_module_level=True)

pytestmark = pytest.mark.timeout(240)

KEYS = {'received', 'processed', 'published', 'dropped', 'failed', 'with_face', 'with_hand',
        'with_contact', 'latency_ms', 'rate_hz', 'model'}
FIRST, COUNT, PICTURES = 60, 12, 90


def demo(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'ros2_dice.cli.main', 'demo', *map(str, words)],
        capture_output=True, text=True, timeout=200, check=False, **options)  # type: ignore


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of the sample in which the hand touches, at half its size."""
    path = tmp_path_factory.mktemp('clip') / 'touch.mp4'
    with ClipReader(share_folder() / 'model' / 'sample.mp4') as sample, \
            ClipWriter(path, 640, 360, 30.0, quality=14) as short:
        for frame in itertools.islice(sample, FIRST, FIRST + COUNT):
            short.write(np.ascontiguousarray(frame.bgr[::2, ::2]))
    return path


@pytest.fixture(scope='module')
def paced(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a paced run leaves."""
    out = tmp_path_factory.mktemp('paced')
    done = demo('--source', clip, '--out', out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith('Look at ')
    return out


def results(out: Path) -> list[bytes]:
    """The results' bytes; the gaps between fields, which CDR leaves unset, are made zero."""
    from ros2_dice.ros.bag import BagReader, typestore

    topics = ['/dice/hand_face_meshes', '/dice/contacts', '/dice/hand_joints']
    with BagReader(out / 'recording.mcap') as bag:
        return [bytes(typestore().serialize_cdr(record.message(), record.type_name))
                for topic in topics for record in bag.messages([topic])]


def test_paced_everything_sent_is_processed_and_published(paced: Path):
    summary = json.loads((paced / 'summary.json').read_text())
    assert summary.keys() >= KEYS
    assert summary['received'] == summary['processed'] == summary['published'] == COUNT
    assert summary['dropped'] == summary['failed'] == 0
    assert summary['with_face'] == COUNT
    assert summary['latency_ms']['p50'] > 0
    assert summary['model'].startswith('open/')


def test_stamps_equal_the_images(paced: Path):
    from ros2_dice.ros.bag import BagReader, header_stamp_ns
    from ros2_dice.ros.inputs import EPOCH_NS

    with BagReader(paced / 'recording.mcap') as bag:
        assert bag.topics['/image/compressed'] == ('sensor_msgs/msg/CompressedImage', COUNT)
        stamps: dict[str, list[int]] = {}
        for record in bag.messages():
            stamps.setdefault(record.topic, []).append(header_stamp_ns(record.cdr))
    images = stamps['/image/compressed']
    assert images[0] == EPOCH_NS
    assert np.allclose(np.diff(images), 1e9 / 30, atol=1e5)
    for topic in ('hand_face_meshes', 'contacts', 'hand_joints'):
        assert stamps[f'/dice/{topic}'] == images
    assert stamps['/dice/topologies']
    assert stamps['/dice/statistics']


def test_recording_is_a_plain_file_with_its_definitions(paced: Path):
    mcap_reader = pytest.importorskip('mcap.reader')
    with (paced / 'recording.mcap').open('rb') as file:
        summary = mcap_reader.make_reader(file).get_summary()
    names = {schema.name: schema.data.decode() for schema in summary.schemas.values()}
    offered = {channel.topic: channel.metadata['offered_qos_profiles']
               for channel in summary.channels.values()}
    assert offered['/dice/topologies'] != offered['/dice/hand_face_meshes'], 'latched'
    assert 'HandFaceMesh[] meshes' in names['ros2_dice/msg/HandFaceMeshArray']
    assert sorted(path.name for path in paced.iterdir()) == [
        'log', 'overlay.mp4', 'recording.mcap', 'summary.json']


def test_overlay_has_every_frame_with_something_drawn(clip: Path, paced: Path):
    with ClipReader(clip) as before, ClipReader(paced / 'overlay.mp4') as after:
        pairs = list(zip(before, after, strict=True))
    assert len(pairs) == COUNT
    for plain, drawn in pairs:
        assert np.abs(plain.bgr.astype(int) - drawn.bgr).mean() > 1


def test_messages_decode_to_what_was_published(paced: Path):
    from ros2_dice.ros.playback import Playback

    with Playback(paced / 'recording.mcap') as playback:
        sizes = {t.topology_id: t.vertex_count for t in playback.topologies()}
        frames = list(playback.frames())
    assert len(frames) == COUNT
    for frame in frames:
        assert frame.bgr() is not None
        for estimate in frame.estimates:
            for body in filter(None, (estimate.hand, estimate.face)):
                assert body.vertices_m.shape == (sizes[body.topology_id], 3)
                assert body.vertices_m[:, 2].min() > 0.1
                assert body.contact is None or body.contact.max() <= 1


def test_another_run_gives_the_same_bytes(clip: Path, paced: Path, tmp_path: Path):
    done = demo('--source', clip, '--out', tmp_path / 'again')
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / 'again') == results(paced)


def test_its_own_recording_is_a_source(paced: Path, tmp_path: Path):
    done = demo('--source', paced / 'recording.mcap', '--out', tmp_path / 'replay', '--json')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['processed'] == COUNT


@pytest.fixture(scope='module')
def pictures(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, which are a second apart when time is real: a slow camera."""
    folder = tmp_path_factory.mktemp('pictures')
    with ClipReader(clip) as frames:
        picture = next(iter(frames)).bgr
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f'{number:02d}.jpg'), picture)
    return folder


def test_realtime_counts_add_up(pictures: Path, tmp_path: Path):
    few = tmp_path / 'few'
    few.mkdir()
    for path in sorted(pictures.iterdir())[:4]:
        (few / path.name).symlink_to(path)
    done = demo('--source', few, '--out', tmp_path / 'live', '--realtime', '--json')
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary['received'] == summary['processed'] + summary['dropped']
    assert summary['published'] == summary['processed'] >= 1
    assert summary['received'] <= summary['sent'] == 4


def test_a_bag_plays_in_real_time_whatever_its_age(paced: Path, tmp_path: Path):
    done = demo('--source', paced / 'recording.mcap', '--out', tmp_path, '--realtime', '--json')
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary['received'] == summary['processed'] + summary['dropped']
    assert summary['published'] == summary['processed'] >= 1


@pytest.mark.parametrize(('name', 'content', 'said'), [
    ('missing.mp4', None, 'no such file'),
    ('text.mp4', b'not a clip', 'a video that FFmpeg can decode'),
    ('empty.jpg', b'', 'empty'),
    ('broken.mcap', b'\x89MCAP0\r\n', 'MCAP or db3'),
])
def test_a_bad_source_is_named_before_anything_starts(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = demo('--source', path, '--out', tmp_path / 'out')
    assert done.returncode == 1
    assert said in done.stderr
    assert name in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'out' / 'log').exists()


@pytest.mark.parametrize('words', [('--model', 'no_such_model'), ('--source', 'missing.mp4')])
def test_what_is_refused_leaves_the_last_results(clip: Path, tmp_path: Path, words):
    results = [tmp_path / name for name in ('overlay.mp4', 'recording.mcap', 'summary.json')]
    for path in results:
        path.write_text('of the last run')
    done = demo('--source', clip, '--out', tmp_path, *words)
    assert done.returncode == 1
    assert words[1] in done.stderr
    assert 'Traceback' not in done.stderr
    assert [path.read_text() for path in results] == ['of the last run'] * 3
    assert sorted(tmp_path.iterdir()) == results


def test_a_node_that_cannot_start_is_shown(clip: Path, tmp_path: Path):
    from ros2_dice.cli.demo_session import Plan, Session, SessionError

    plan = Plan(str(clip), tmp_path, parameters={'model.directory': str(tmp_path)})
    with pytest.raises(SessionError, match='configure failed: .* is missing'):
        Session(plan, lambda source, recorder: None).run()
    assert not children(tmp_path)


def test_a_frame_that_failed_does_not_end_the_demo(monkeypatch, tmp_path):
    """The node says `estimator failed: ...` in its log, and goes on."""
    from ros2_dice.cli import demo_session

    node = tmp_path / 'node'
    node.write_text('#!/bin/sh\necho "[WARN] [dice]: estimator failed: not finite" >&2\n'
                    'exec sleep 60\n')
    source = tmp_path / 'source'
    source.write_text('#!/bin/sh\nexec sleep 1\n')
    for path in (node, source):
        path.chmod(0o755)
    monkeypatch.setattr('ros2_dice.ros.processes.executable',
                        lambda name, package='': str(source if 'source' in name else node))
    session = demo_session.Session(demo_session.Plan('sample', tmp_path),
                                   lambda source, recorder: None)
    (tmp_path / 'log').mkdir()
    children = [session._begin(demo_session.Process(name, name))
                for name in ('dice_node', 'source_node')]
    try:
        session._wait(lambda: children[1].popen.poll() is not None, 60.0, '', ends=children[1])
        assert 'estimator failed' in children[0].tail()
    finally:
        demo_session.stop([child.popen for child in children])


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from ros2_dice.cli import demo_session

    monkeypatch.setattr(demo_session, '_FULL_BYTES', sys.maxsize)
    plan = demo_session.Plan(str(tmp_path / 'gone.mp4'), tmp_path)
    with pytest.raises(demo_session.SessionError, match='no room is left'):
        demo_session.Session(plan, lambda source, recorder: None).run()


def test_without_networks_and_without_a_network_it_says_so(clip: Path, tmp_path: Path):
    done = demo('--source', clip, '--out', tmp_path / 'out',
                env={**os.environ, 'ROS2_DICE_DATA': str(tmp_path), 'PIP_NO_INDEX': '1',
                     'PIP_FIND_LINKS': str(tmp_path)})
    assert done.returncode == 1
    assert 'mediapipe' in done.stderr
    assert 'assets pull --from' in done.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_an_interrupted_demo(clip: Path, tmp_path: Path, number):
    out = tmp_path / 'out'
    running = subprocess.Popen(
        [sys.executable, '-m', 'ros2_dice.cli.main', 'demo', '--source', str(clip), '--out',
         str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: (out / 'log' / 'recorder.log').exists())
        assert wait_for(lambda: children(out))
        running.send_signal(number)
        running.wait(90)
        assert running.returncode in (130, -number)
        assert wait_for(lambda: not children(out)), 'left behind'
    finally:
        running.kill()
        running.wait()


INTERRUPTED = """
import signal, sys
from ros2_dice.cli.main import main
from ros2_dice.cli.progress import Bar
def show(bar, text, done, total):
    if text == 'running' and done >= 2:
        signal.raise_signal(signal.SIGINT)
Bar.show = show
main(['demo', '--out', sys.argv[1]])
"""


def test_ctrl_c_says_what_it_leaves(tmp_path: Path):
    from ros2_dice.ros.playback import Playback

    done = subprocess.run([sys.executable, '-c', INTERRUPTED, str(tmp_path)],
                          capture_output=True, text=True, timeout=200)
    assert done.returncode == 130
    said = re.search(r'stopped; .*recording.mcap holds (\d+) images and (\d+) results',
                     done.stderr)
    assert said, done.stderr
    assert 'Traceback' not in done.stderr
    with Playback(tmp_path / 'recording.mcap') as playback:
        assert (playback.image_count, playback.count) == tuple(map(int, said.groups()))
        assert 2 <= playback.count < 150


LIVE = """
import json, signal, sys
from pathlib import Path
from ros2_dice.cli.demo_session import Plan, Session
plan = Plan(sys.argv[1], Path(sys.argv[2]), realtime=True, live=True)
asked = []
def progress(source, recorder):
    if source.get('results', 0) >= 2 and not asked:
        asked.append(True)
        signal.raise_signal(signal.SIGINT)
outcome = Session(plan, progress).run()
print(json.dumps([outcome.source, outcome.recorder]))
"""


def test_ctrl_c_ends_a_camera_and_keeps_what_came(pictures: Path, tmp_path: Path):
    from ros2_dice.ros.playback import Playback

    # The signal comes while the session reports its progress: between its look at the source
    # and its look at the signals, where it was once taken for a second Ctrl-C.
    running = subprocess.run([sys.executable, '-c', LIVE, str(pictures), str(tmp_path)],
                             stdout=subprocess.PIPE, text=True, timeout=200)
    assert running.returncode == 0
    source, recorder = json.loads(running.stdout)
    assert 0 < source['sent'] < PICTURES
    assert recorder['last']
    with Playback(tmp_path / 'recording.mcap') as playback:
        assert playback.count == recorder['recorded']['/dice/hand_face_meshes'] >= 2
    assert not children(tmp_path)


def test_a_recorder_that_is_held_up_misses_nothing(pictures: Path, tmp_path: Path):
    from ros2_dice.cli.demo_session import Plan, Session

    wakers: list[threading.Timer] = []

    def progress(source: dict[str, Any], recorder: dict[str, Any]) -> None:
        if source.get('results') and not wakers:
            pid, = (pid for pid in children(tmp_path)
                    if b'recorder_node' in Path(f'/proc/{pid}/cmdline').read_bytes())
            os.kill(pid, signal.SIGSTOP)
            # Soon enough that the others do not take it for dead.
            wakers.append(threading.Timer(2.0, os.kill, (pid, signal.SIGCONT)))
            wakers[0].start()

    try:
        outcome = Session(Plan(str(pictures), tmp_path), progress).run()
    finally:
        for waker in wakers:
            waker.join()
    recorded = outcome.recorder['recorded']
    assert wakers
    assert recorded['/image/compressed'] == recorded['/dice/hand_face_meshes'] == PICTURES


def test_view_takes_a_recording(paced: Path, tmp_path: Path):
    rerun = pytest.importorskip('rerun')
    from ros2_dice.cli import demo_view

    demo_view.start('test')
    rerun.save(tmp_path / 'view.rrd')
    assert demo_view.log_recording(paced / 'recording.mcap') == COUNT


def wait_for(condition, timeout_s: float = 90.0) -> bool:
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.05)
    return False


def children(out: Path) -> list[int]:
    """Processes whose environment names this run's log folder."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            environment = (entry / 'environ').read_bytes()
        except OSError:
            continue
        if f'ROS_LOG_DIR={out.resolve()}'.encode() in environment:
            found.append(int(entry.name))
    return found
