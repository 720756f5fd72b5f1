# SPDX-License-Identifier: Apache-2.0
"""The node as a process of its own, over DDS."""
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from ros2_dice.assets import data_folder, missing_assets
from ros2_dice.msg import HandFaceMeshArray, MeshTopologyArray
from ros2_dice.ros import qos
from ros2_dice.ros.processes import Process, executable, stop

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / 'examples'
PIPES = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'text': True}


def fake(*words, autostart=True):
    """Command line of the node with the fake estimator."""
    return [sys.executable, str(HERE / 'fake_dice_node.py'), '--ros-args', '-p',
            f'autostart:={str(autostart).lower()}', *words]


def picture(stamp_ns, shade=100, size=(64, 48)):
    message = Image(width=size[0], height=size[1], encoding='bgr8', step=3 * size[0])
    message.header.frame_id = 'camera'
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.data = np.full(3 * size[0] * size[1], shade, np.uint8).tobytes()
    return message


@pytest.fixture
def stream(node, wait_until):
    """`stream(condition, namespace='')`: publish images until the condition holds."""
    def stream(condition, namespace='', timeout_s=20.0):
        publisher = node.create_publisher(Image, f'{namespace}/image', 5)

        def step():
            publisher.publish(picture(node.get_clock().now().nanoseconds))
            time.sleep(0.02)
            return condition()

        assert wait_until(step, timeout_s)
        node.destroy_publisher(publisher)

    return stream


@pytest.fixture
def meshes(node):
    heard = []
    node.create_subscription(HandFaceMeshArray, '/dice/hand_face_meshes', heard.append, 50)
    return heard


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_works_and_ends_cleanly(start, stream, meshes, number):
    process = start(fake(), **PIPES)
    stream(lambda: len(meshes) >= 5)
    assert meshes[-1].status == HandFaceMeshArray.STATUS_OK
    assert meshes[-1].header.frame_id == 'camera'
    began = time.monotonic()
    process.send_signal(number)
    text, _ = process.communicate(timeout=20)
    assert process.returncode == 0, text
    assert time.monotonic() - began < 5
    assert 'Traceback' not in text


def test_a_camera_that_dies_and_comes_back(start, stream, meshes, node, wait_until):
    statuses = []
    node.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda array: statuses.extend(s for s in array.status if s.name == '/dice: input'), 20)
    start(fake('-p', 'input.timeout:=0.3', '-p', 'diagnostics.period:=0.2'))
    stream(lambda: len(meshes) >= 3)
    assert wait_until(lambda: statuses and statuses[-1].level == DiagnosticStatus.STALE)
    before = len(meshes)
    stream(lambda: len(meshes) >= before + 3)
    assert wait_until(lambda: any(s.level == DiagnosticStatus.OK for s in statuses))


def test_two_nodes_side_by_side(start, stream, node):
    heard = {'/left': [], '/right': []}
    for namespace, messages in heard.items():
        start(fake('-r', f'__ns:={namespace}'))
        node.create_subscription(HandFaceMeshArray, f'{namespace}/dice/hand_face_meshes',
                                 messages.append, 50)
    stream(lambda: heard['/left'], '/left')
    stream(lambda: heard['/right'], '/right')


def test_a_late_joiner_gets_the_topologies(start, stream, meshes, node, wait_until):
    start(fake())
    stream(lambda: meshes)
    heard = []
    node.create_subscription(MeshTopologyArray, '/dice/topologies', heard.append, qos.latched())
    assert wait_until(lambda: heard, 5)
    known = {t.topology_id for t in heard[0].topologies}
    assert {meshes[0].meshes[0].hand.topology_id, meshes[0].meshes[0].face.topology_id} <= known


@pytest.mark.parametrize(('line', 'words'), [
    ('detection.max_person: 2', ['detection.max_person']),
    ('contact.threshold: 3.0', ['contact.threshold', '3.0', '0.01 to 0.99']),
    ('detection.hands: third', ['detection.hands', 'third', 'both, left, right']),
])
def test_a_wrong_parameter_file_is_refused(start, tmp_path, line, words):
    file = tmp_path / 'wrong.yaml'
    file.write_text(f'dice:\n  ros__parameters:\n    {line}\n')
    process = start(fake('--params-file', str(file)), **PIPES)
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    for word in words:
        assert word in text
    assert 'Traceback' not in text


def test_the_example_reacts_to_a_touch(start, stream, meshes, node, wait_until):
    example = start([sys.executable, str(EXAMPLES / 'react_to_touch.py')], **PIPES)
    start(fake())
    assert wait_until(lambda: node.count_subscribers('/dice/contacts') == 1)
    stream(lambda: len(meshes) >= 10)
    time.sleep(0.5)
    stop([example])
    text = example.stdout.read()
    assert 'touch: index_tip on left_cheek of person aaaaa (90% sure)' in text
    assert text.count('touch: ') == 1, 'one line for a touch, however many images it lasts'
    assert 'Traceback' not in text


@pytest.fixture
def real_node():
    """The installed node with the open estimator; skipped without its files."""
    try:
        executable('dice_node')
    except Exception as error:
        pytest.skip(str(error))
    if missing_assets('open'):
        pytest.skip("files are missing; run 'ros2-dice assets pull'")
    return lambda **parameters: Process('dice_node', 'dice', parameters=(
        {name.replace('__', '.'): value for name, value in parameters.items()},))


def test_a_failed_autostart_lives_says_why_and_can_be_mended(
        start, node, real_node, meshes, stream, wait_until, tmp_path):
    told = []
    node.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda array: told.extend(s.message for s in array.status
                                  if s.level == DiagnosticStatus.ERROR), 20)
    process = start(real_node(autostart=True, model__directory=str(tmp_path)))
    assert wait_until(lambda: told)
    assert '.tflite' in told[0]
    assert 'ros2-dice assets pull' in told[0]
    # It waits instead of trying again and again.
    stat = Path('/proc', str(process.pid), 'stat')
    before = stat.read_text().split()[13:15]
    time.sleep(1.0)
    after = stat.read_text().split()[13:15]
    assert sum(map(int, after)) - sum(map(int, before)) < 30  # of 100 ticks
    client = node.create_client(SetParameters, '/dice/set_parameters')
    assert client.wait_for_service(20)
    time.sleep(0.3)
    future = client.call_async(SetParameters.Request(parameters=[
        Parameter('model.directory', value=str(data_folder())).to_parameter_msg()]))
    assert wait_until(future.done)
    assert future.result().results[0].successful
    change = node.create_client(ChangeState, '/dice/change_state')
    assert change.wait_for_service(20)
    time.sleep(0.3)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request()
        request.transition.id = transition
        future = change.call_async(request)
        assert wait_until(future.done, 60)
        assert future.result().success
    stream(lambda: meshes)
    assert meshes[0].status == HandFaceMeshArray.STATUS_EMPTY  # a grey picture


def test_the_same_pictures_give_the_same_bytes(start, node, real_node, wait_until, material):
    from ros2_dice.pictures import read_picture

    frame = read_picture(material / 's' / 'man_chin_grip.jpg').pixels
    runs = []
    for _ in range(2):
        heard = []
        subscription = node.create_subscription(
            HandFaceMeshArray, '/dice/hand_face_meshes', heard.append, 50, raw=True)
        process = start(real_node(
            autostart=True, input__reliable=True, input__queue_depth=50, input__max_age=0.0,
            tracking__deterministic_ids=True))
        publisher = node.create_publisher(Image, '/image', 50)
        assert wait_until(lambda p=publisher: p.get_subscription_count() == 1, 60)
        assert wait_until(lambda: node.count_publishers('/dice/hand_face_meshes') == 1)
        time.sleep(0.5)
        for number in range(5):
            message = picture(10**9 + number * 33_000_000)
            message.height, message.width = frame.shape[:2]
            message.step = 3 * message.width
            message.data = np.roll(frame, number, axis=1).tobytes()
            publisher.publish(message)
            assert wait_until(lambda n=number, h=heard: len(h) == n + 1, 60)
        runs.append(heard)
        stop([process])
        node.destroy_publisher(publisher)
        node.destroy_subscription(subscription)
    assert runs[0] == runs[1]
    assert len(runs[0][-1]) > 50_000  # a hand and a face are in it
