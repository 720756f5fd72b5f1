# SPDX-License-Identifier: Apache-2.0
"""The node as a process of its own, over DDS."""
import itertools
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from ros2_dice.assets import data_folder, missing_assets
from ros2_dice.msg import Contact, ContactArray, HandFaceMeshArray, MeshTopologyArray
from ros2_dice.ros import qos
from ros2_dice.ros.processes import REFUSED, Process, executable, stop

pytestmark = pytest.mark.timeout(300)

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / 'examples'
PIPES = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'text': True}


def fake(*words, autostart=True):
    """Command line of the node with the fake estimator; no image is too old for it."""
    return [sys.executable, str(HERE / 'fake_dice_node.py'), '--ros-args', '-p',
            f'autostart:={str(autostart).lower()}', '-p', 'input.max_age:=0.0', *words]


def picture(stamp_ns, shade=100, size=(64, 48)):
    message = Image(width=size[0], height=size[1], encoding='bgr8', step=3 * size[0])
    message.header.frame_id = 'camera'
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.data = np.full(3 * size[0] * size[1], shade, np.uint8).tobytes()
    return message


@pytest.fixture
def stream(node, wait_until):
    """
    `stream(condition, namespace='')`: publish images until the condition holds.

    By their stamps they are 20 ms apart, however slow the machine is.
    """
    def stream(condition, namespace='', timeout_s=60.0):
        publisher = node.create_publisher(Image, f'{namespace}/image', 5)
        stamps_ns = itertools.count(node.get_clock().now().nanoseconds, 20_000_000)

        def step():
            publisher.publish(picture(next(stamps_ns)))
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
    process.send_signal(number)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
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


def test_two_nodes_of_one_name_both_warn(start, node, wait_until):
    told, logged = [], []
    node.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda array: told.extend(s.message for s in array.status if s.name == '/dice: output'),
        20)
    node.create_subscription(Log, '/rosout', lambda log: logged.append(log.msg), qos.latched(100))
    for _ in range(2):
        start(fake())
    # Nodes of earlier tests in this process may count, too, until they are collected.
    assert wait_until(lambda: any('named /dice, too' in message for message in told))
    assert wait_until(lambda: sum('named /dice, too' in line for line in logged) == 2)


def test_a_late_joiner_gets_the_topologies(start, stream, meshes, node, wait_until):
    start(fake())
    stream(lambda: meshes)
    heard = []
    node.create_subscription(MeshTopologyArray, '/dice/topologies', heard.append, qos.latched())
    assert wait_until(lambda: heard)
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
    text, _ = process.communicate(timeout=90)
    assert process.returncode == 2
    for word in words:
        assert word in text
    assert 'Traceback' not in text


@pytest.mark.parametrize(('words', 'said'), [
    (['-r', '__node:=a b'], "remap rule: '-r __node:=a b'"),
    (['--params-file', '/nonexistent.yaml'], "params file: '--params-file /nonexistent.yaml'"),
])
def test_words_that_ros_can_not_read_are_refused_in_one_line(start, words, said):
    """Status 2 keeps the launch file from starting it again and again."""
    process = start(fake(*words), **PIPES)
    text, _ = process.communicate(timeout=90)
    assert process.returncode == REFUSED, text
    assert f"ROS arguments refused: can't parse {said}" in text
    assert 'Traceback' not in text


def test_a_parameter_of_the_recorder_of_another_type_is_named(start, tmp_path):
    words = ['-p', 'jpeg_quality:=high', '-p', f'path:={tmp_path / "a.mcap"}']
    process = start([sys.executable, '-m', 'ros2_dice.ros.recorder', '--ros-args', *words],
                    **PIPES)
    text, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "recorder: Trying to set parameter 'jpeg_quality' to 'high'" in text
    assert 'Traceback' not in text
    assert not list(tmp_path.iterdir())


@pytest.fixture
def example(start, node, wait_until):
    """The example as a process that hears this node's contacts, and the lines that it logs."""
    process = start([sys.executable, str(EXAMPLES / 'react_to_touch.py')], **PIPES)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    publisher = node.create_publisher(ContactArray, '/dice/contacts', 5)
    assert wait_until(publisher.get_subscription_count)

    def send(seconds, *pairs, state=Contact.STATE_ONGOING, status=ContactArray.STATUS_OK):
        message = ContactArray(status=status)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(
            round(seconds * 1e9), 10**9)
        message.contacts = [Contact(
            state=state, person_id='p', hand_id=hand, hand_region=region, face_region=face,
            probability=0.8) for hand, region, face in pairs]
        publisher.publish(message)

    yield send, lines
    stop([process])
    reader.join(10)
    assert 'Traceback' not in ''.join(lines)


def test_the_example_reacts_to_the_nodes_touch(start, stream, node, example, wait_until):
    _, lines = example
    start(fake())
    stream(lambda: any('of person aaaaa' in line for line in lines))
    assert any('touch: index_tip on left_cheek of person aaaaa (90% sure)' in line
               for line in lines)


def test_the_example_takes_many_regions_for_one_touch(example, wait_until):
    send, lines = example
    tip, thumb = ('h', 'index_tip', 'left_cheek'), ('h', 'thumb_tip', 'chin')
    other = ('i', 'index_tip', 'right_cheek')
    # As many as its queue holds.
    send(10.0, tip, thumb)                                     # two pairs of one hand
    send(10.1, thumb, other)                                   # one goes, another hand comes
    send(10.15, tip, thumb, state=Contact.STATE_ENDED)
    send(10.3, tip, other)                                     # soon enough for a slide
    send(10.9)                                                 # both have left
    assert wait_until(lambda: sum('left: ' in line for line in lines) == 2)
    said = [line.split(']: ')[-1].strip() for line in lines]
    assert said == [
        'touch: index_tip on left_cheek of person p (80% sure)',
        'touch: index_tip on right_cheek of person p (80% sure)',
        'left: person p after 0.3 s',
        'left: person p after 0.2 s']


def test_the_example_sees_the_end_of_a_touch_when_the_camera_stops(example, wait_until):
    send, lines = example
    touch = 'h', 'index_tip', 'left_cheek'
    send(10.0, touch)
    send(10.2, touch)
    # As the node does after input.timeout: the stamp is that of the last image.
    send(10.2, touch, state=Contact.STATE_ENDED, status=ContactArray.STATUS_UNKNOWN)
    assert wait_until(lambda: any('left: person p after 0.2 s' in line for line in lines))


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


@pytest.fixture
def ask(node, wait_until):
    """
    `ask(type, name, request)`: the answer of a service of another process.

    A server that has not found the client yet drops its answer; then the question is repeated.
    """
    def ask(kind, name, request):
        client = node.create_client(kind, name)
        assert client.wait_for_service(60)
        for _ in range(6):
            future = client.call_async(request)
            if wait_until(future.done, 15):
                return future.result()
        raise AssertionError(f'no answer from {name}')

    return ask


def test_a_failed_autostart_lives_says_why_and_can_be_mended(
        start, node, real_node, meshes, stream, wait_until, tmp_path, ask):
    told, logged = [], []
    node.create_subscription(Log, '/rosout', lambda log: logged.append(log.msg), qos.latched(100))
    node.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda array: told.extend(s.message for s in array.status
                                  if s.level == DiagnosticStatus.ERROR), 20)
    process = start(real_node(autostart=True, model__directory=str(tmp_path)))
    assert wait_until(lambda: told)
    assert '.tflite' in told[0]
    assert 'ros2-dice assets pull' in told[0]
    assert wait_until(lambda: any('mend that, then: ros2 lifecycle set /dice configure' in line
                                  for line in logged))
    # It waits instead of trying again and again.
    stat = Path('/proc', str(process.pid), 'stat')
    before = stat.read_text().split()[13:15]
    time.sleep(1.0)
    after = stat.read_text().split()[13:15]
    assert sum(map(int, after)) - sum(map(int, before)) < 30  # of 100 ticks
    result, = ask(SetParameters, '/dice/set_parameters', SetParameters.Request(parameters=[
        Parameter('model.directory', value=str(data_folder())).to_parameter_msg()])).results
    assert result.successful
    for transition, state in ((Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
                              (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)):
        request = ChangeState.Request()
        request.transition.id = transition
        ask(ChangeState, '/dice/change_state', request)  # asked twice, it refuses the second
        assert ask(GetState, '/dice/get_state', GetState.Request()).current_state.id == state
    stream(lambda: meshes)
    assert meshes[0].status == HandFaceMeshArray.STATUS_EMPTY  # a grey picture


def test_without_autostart_it_says_what_it_waits_for(start, node, wait_until):
    logged = []
    node.create_subscription(Log, '/rosout', lambda log: logged.append(log.msg), qos.latched(100))
    start(fake(autostart=False))
    assert wait_until(lambda: any('ros2 lifecycle set /dice configure' in line
                                  and 'autostart:=true' in line for line in logged))


def test_the_same_pictures_give_the_same_bytes(start, node, real_node, wait_until, material):
    from ros2_dice.pictures import read_picture

    frame = read_picture(material / 's' / 'man_chin_grip.jpg').pixels
    runs = []
    for _ in range(2):
        heard, topologies = [], []
        subscriptions = [
            node.create_subscription(
                HandFaceMeshArray, '/dice/hand_face_meshes', heard.append, 50, raw=True),
            node.create_subscription(
                MeshTopologyArray, '/dice/topologies', topologies.append, qos.latched())]
        process = start(real_node(
            autostart=True, input__reliable=True, input__queue_depth=50, input__max_age=0.0,
            tracking__deterministic_ids=True))
        publisher = node.create_publisher(Image, '/image', 50)
        assert wait_until(lambda p=publisher: p.get_subscription_count() == 1, 60)
        # The node heard of the subscriptions in this order.
        assert wait_until(lambda t=topologies: t, 60)
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
        for subscription in subscriptions:
            node.destroy_subscription(subscription)
    assert runs[0] == runs[1]
    assert len(runs[0][-1]) > 50_000  # a hand and a face are in it
