# SPDX-License-Identifier: Apache-2.0
"""What the node publishes, with which QoS, over DDS."""
import gc

import numpy as np
import pytest
from fakes import FACE, HAND
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from ros2_dice.msg import (
    ContactArray,
    HandFaceMesh,
    HandFaceMeshArray,
    HandJointsArray,
    Mesh,
    MeshTopologyArray,
    Statistics,
)
from ros2_dice.ros import qos


def test_an_image_becomes_meshes_under_its_own_header(make_dice, camera, factory):
    dice = make_dice()
    camera.connect(dice)
    array = camera.look(7)
    assert array.status == HandFaceMeshArray.STATUS_OK
    assert array.model_id == 'open/fake-fp32'
    assert (array.image_width, array.image_height) == (64, 48)
    mesh, = array.meshes
    assert (mesh.person_id, mesh.hand_id) == ('aaaaa', 'bbbbb')
    assert mesh.handedness == HandFaceMesh.HANDEDNESS_RIGHT
    assert mesh.scale_source == HandFaceMesh.SCALE_PRIOR
    assert (mesh.roi.x_offset, mesh.roi.width) == (10, 30)
    assert mesh.face_pose.position.z == pytest.approx(0.6)
    assert mesh.hand.topology_id == HAND.topology_id
    assert mesh.hand.fields == Mesh.HAS_VERTICES | Mesh.HAS_CONTACT
    assert len(mesh.hand.contact) == 0  # measured, and zero everywhere
    assert mesh.face.fields == Mesh.HAS_VERTICES | Mesh.HAS_CONTACT | Mesh.HAS_DEFORMATION
    vertices = np.frombuffer(mesh.face.vertices, np.float32).reshape(-1, 3)
    np.testing.assert_allclose(vertices[:, :2], FACE.rest_vertices_m[:, :2], atol=1e-7)
    contact = np.frombuffer(mesh.face.contact, np.uint8)
    assert contact[0] == round(255 * 0.9)
    assert contact[10] == 0
    assert len(mesh.face.deformation) == 3 * FACE.vertex_count
    # A nominal lens: half the width over the tangent of half the field of view.
    fx, fy, cx, cy = array.intrinsics
    assert fx == fy == pytest.approx(32 / np.tan(0.525))
    assert (cx, cy) == (32.0, 24.0)
    assert factory.newest.frames[0].frame_id == 'camera_optical_frame'


def test_nobody_and_failure_are_told_apart(make_dice, camera, factory):
    dice = make_dice()
    camera.connect(dice)
    factory.newest.nobody = True
    assert camera.look(1).status == HandFaceMeshArray.STATUS_EMPTY
    factory.newest.error = RuntimeError('engine lost')
    failed = camera.look(2)
    assert failed.status == HandFaceMeshArray.STATUS_FAILED
    assert not failed.meshes
    factory.newest.error, factory.newest.nobody = None, False
    assert camera.look(3).status == HandFaceMeshArray.STATUS_OK


def test_topics_have_the_promised_qos(make_dice, node, camera, only):
    dice = make_dice()
    camera.connect(dice)
    reliable, best_effort = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
    expected = {
        '/dice/hand_face_meshes': reliable, '/dice/topologies': reliable,
        '/dice/contacts': reliable, '/dice/hand_joints': reliable, '/dice/statistics': reliable,
        '/diagnostics': reliable, '/dice/markers': reliable, '/dice/overlay': best_effort,
        '/dice/overlay/compressed': best_effort}
    for topic, reliability in expected.items():
        info = only(lambda topic=topic: node.get_publishers_info_by_topic(topic))
        assert info.qos_profile.reliability == reliability, topic
        durable = DurabilityPolicy.TRANSIENT_LOCAL if topic == '/dice/topologies' \
            else DurabilityPolicy.VOLATILE
        assert info.qos_profile.durability == durable, topic
    for topic in ('/image', '/camera_info'):
        info = only(lambda topic=topic: node.get_subscriptions_info_by_topic(topic))
        assert info.qos_profile.reliability == best_effort


def test_paced_sources_get_reliable_delivery(make_dice, node, camera, only):
    dice = make_dice(input__reliable=True, input__queue_depth=20)
    camera.connect(dice)
    info = only(lambda: node.get_subscriptions_info_by_topic('/image'))
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_qos_can_be_overridden(make_dice, node, camera, only):
    dice = make_dice(**{'qos_overrides./image.subscription.reliability': 'reliable'})
    camera.connect(dice)
    info = only(lambda: node.get_subscriptions_info_by_topic('/image'))
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert dice.has_parameter('qos_overrides./dice/contacts.publisher.depth')


def test_late_joiner_gets_all_levels_at_once(make_dice, node, wait_until):
    make_dice()
    received = []
    node.create_subscription(MeshTopologyArray, '/dice/topologies', received.append,
                             qos.latched())
    assert wait_until(lambda: received)
    array = received[0]
    assert array.model_id == 'open/fake-fp32'
    by_id = {t.topology_id: t for t in array.topologies}
    assert len(by_id) == 6
    hand = by_id[HAND.topology_id]
    assert hand.vertex_count == HAND.vertex_count == len(hand.rest_vertices) // 3
    assert list(hand.triangles) == HAND.faces.ravel().tolist()
    assert list(hand.region_names) == list(HAND.region_names)
    medium = by_id[HAND.coarser[0].topology_id]
    assert medium.level_of_detail == 1
    assert len(medium.full_indices) == medium.vertex_count


def test_topologies_are_repeated(make_dice, node, wait_until):
    make_dice(topology__republish_period=0.3)
    received = []
    node.create_subscription(MeshTopologyArray, '/dice/topologies', received.append,
                             qos.latched())
    assert wait_until(lambda: len(received) >= 3)


def test_joints_markers_and_overlay_only_for_listeners(make_dice, node, camera, wait_until):
    dice = make_dice(overlay__scale=1.0, markers__rate=0.0, overlay__rate=0.0)
    heard = {kind: [] for kind in (HandJointsArray, MarkerArray, Image, CompressedImage)}
    for kind, topic in ((HandJointsArray, 'hand_joints'), (MarkerArray, 'markers')):
        node.create_subscription(kind, f'/dice/{topic}', heard[kind].append, qos.reliable(10))
    for kind, topic in ((Image, 'overlay'), (CompressedImage, 'overlay/compressed')):
        node.create_subscription(kind, f'/dice/{topic}', heard[kind].append, qos.best_effort(10))
    camera.connect(dice)

    def all_heard() -> bool:
        camera.look(1)
        return all(heard.values())

    assert wait_until(all_heard)
    hand, = heard[HandJointsArray][-1].hands
    assert len(hand.joints) == 26
    assert hand.joints[0].position.x == pytest.approx(0.1)
    assert hand.radii[0] == pytest.approx(0.01)
    markers = heard[MarkerArray][-1].markers
    surface = next(m for m in markers if m.ns == 'hand')
    assert surface.type == Marker.TRIANGLE_LIST
    assert len(surface.points) == len(surface.colors) == HAND.level(2).faces.size
    assert all(c.a == 1.0 for c in surface.colors)
    assert {m.ns for m in markers} == {'hand', 'face', 'label', 'contact'}
    picture = heard[Image][-1]
    assert (picture.width, picture.height, picture.encoding) == (64, 48, 'bgr8')
    assert heard[CompressedImage][-1].format == 'bgr8; jpeg compressed bgr8'


def test_contacts_come_with_every_frame(make_dice, node, camera, factory, wait_until):
    dice = make_dice()
    heard = []
    node.create_subscription(ContactArray, '/dice/contacts', heard.append, qos.reliable(50))
    camera.connect(dice)
    for number in range(3):
        camera.look(number)
    factory.newest.error = ValueError('broken')
    camera.look(4)
    assert wait_until(lambda: len(heard) >= 4)
    contact, = heard[0].contacts
    assert (contact.hand_region, contact.face_region) == ('index_tip', 'left_cheek')
    assert contact.state == 1
    assert heard[1].contacts[0].state == 2
    assert heard[-1].status == ContactArray.STATUS_FAILED


@pytest.mark.parametrize('end', ['silence', 'failures', 'deactivate'])
def test_touches_end_without_a_further_look(make_dice, node, camera, factory, wait_until, end):
    dice = make_dice(input__timeout=0.3)
    heard: list[ContactArray] = []
    node.create_subscription(ContactArray, '/dice/contacts', heard.append, qos.reliable(50))
    camera.connect(dice)
    first = camera.look(1).header

    def ended() -> list[ContactArray]:
        return [array for array in heard if any(c.state == 3 for c in array.contacts)]

    def fails_and_ends() -> bool:
        return bool(ended()) or not camera.look(2)

    if end == 'deactivate':
        dice.trigger_deactivate()
    if end == 'failures':
        factory.newest.error = RuntimeError('engine lost')
        assert wait_until(fails_and_ends)
    assert wait_until(ended)
    array, = ended()
    assert array.status == ContactArray.STATUS_UNKNOWN
    assert array.header.frame_id == first.frame_id
    assert len(array.contacts) == 1
    if end != 'failures':
        assert array.header == first
        return
    factory.newest.error = None
    again = camera.look(3).header
    assert wait_until(lambda: any(
        array.header == again and [c.state for c in array.contacts] == [1] for array in heard))


def test_a_repeatable_run_ends_no_touch_by_the_clock(make_dice, node, camera, wait_until):
    dice = make_dice(input__timeout=0.1, tracking__deterministic_ids=True)
    heard: list[ContactArray] = []
    statistics: list[Statistics] = []
    node.create_subscription(ContactArray, '/dice/contacts', heard.append, qos.reliable(50))
    node.create_subscription(Statistics, '/dice/statistics', statistics.append, 10)
    camera.connect(dice)
    camera.look(1)
    assert wait_until(lambda: statistics)
    before = len(statistics)
    assert wait_until(lambda: len(statistics) >= before + 2), 'a second, many timeouts'
    camera.look(2)
    assert wait_until(lambda: len(heard) == 2)
    assert [contact.state for contact in heard[1].contacts] == [2]


@pytest.mark.parametrize('repeatable', [False, True])
def test_a_touch_ends_although_images_carry_no_stamp(make_dice, node, camera, factory,
                                                     repeatable):
    dice = make_dice(tracking__deterministic_ids=repeatable)
    heard: list[ContactArray] = []
    node.create_subscription(ContactArray, '/dice/contacts', heard.append, qos.reliable(50))
    camera.connect(dice)
    camera.look(1, header=Header(frame_id='camera'))
    factory.newest.nobody = True

    def ended() -> bool:
        camera.look(2, header=Header(frame_id='camera'))
        return any(contact.state == 3 for array in heard for contact in array.contacts)

    assert any(ended() for _ in range(1000))


def test_camera_info_gives_the_camera(make_dice, node, camera, factory, wait_until):
    dice = make_dice()
    publisher = node.create_publisher(CameraInfo, '/camera_info', 5)
    camera.connect(dice)
    assert wait_until(publisher.get_subscription_count)
    info = CameraInfo(width=64, height=48)
    info.k = [80.0, 0.0, 31.5, 0.0, 81.0, 23.5, 0.0, 0.0, 1.0]
    publisher.publish(info)

    def calibrated() -> bool:
        return list(camera.look(1).intrinsics) == [80.0, 81.0, 32.0, 24.0]

    assert wait_until(calibrated)
    seen = factory.newest.frames[-1].camera
    assert seen is not None
    assert seen.calibrated


def test_compressed_images(make_dice, node, camera, factory, wait_until):
    import cv2

    dice = make_dice(image_transport='compressed')
    publisher = node.create_publisher(CompressedImage, '/image/compressed', 5)
    assert wait_until(publisher.get_subscription_count)
    meshes = next(p for p in dice.publishers if p.topic_name == '/dice/hand_face_meshes')
    assert wait_until(meshes.get_subscription_count)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :, 0] = 200  # blue
    data = cv2.imencode('.png', picture)[1].tobytes()
    publisher.publish(CompressedImage(format='png', data=data))
    assert wait_until(lambda: camera.meshes)
    frame = factory.newest.frames[0]
    assert frame.channel_order == 'bgr'
    assert tuple(frame.pixels[0, 0]) == (200, 0, 0)


def test_statistics_add_up(make_dice, node, camera, factory, wait_until):
    dice = make_dice()
    heard: list[Statistics] = []
    node.create_subscription(Statistics, '/dice/statistics', heard.append, 10)
    camera.connect(dice)
    for number in range(5):
        camera.look(number)
    assert wait_until(lambda: heard and heard[-1].published == 5)
    last = heard[-1]
    assert last.received == last.processed + last.dropped_overrun + last.dropped_stale \
        + last.pending
    assert last.backend == 'fake'
    assert last.precision == 'fp32'
    assert last.latency_p50 > 0.0
    assert 'fit' in last.stage_names
    assert 'overhead' in last.stage_names
    assert last.memory_rss > 1e6


def test_level_of_detail_and_fields_change_while_running(make_dice, camera, wait_until):
    from rclpy.parameter import Parameter

    dice = make_dice()
    camera.connect(dice)
    camera.look(1)
    results = dice.set_parameters([Parameter('output.level_of_detail', value=1),
                                   Parameter('output.deformation', value=False)])
    assert all(r.successful for r in results)

    def medium() -> bool:
        face = camera.look(2).meshes[0].face
        return face.topology_id == FACE.level(1).topology_id and not face.fields & 4

    assert wait_until(medium)
    face = camera.meshes[-1].meshes[0].face
    assert len(face.vertices) == 3 * FACE.level(1).vertex_count
    assert len(face.contact) == FACE.level(1).vertex_count


def test_a_publisher_that_offers_too_little_is_named(make_dice, node, wait_until):
    # Not from stderr: what is written while pytest's capture is being read gets lost.
    said: list[str] = []
    gc.collect()  # another test's node of this name, once it goes, would take /rosout with it
    node.create_subscription(Log, '/rosout', lambda log: said.append(log.msg), qos.latched(100))
    make_dice(input__reliable=True)
    node.create_publisher(Image, '/image', qos.best_effort(1))
    assert wait_until(lambda: any(
        'qos_overrides./image.subscription.reliability to best_effort' in line for line in said))


def test_compressed_follows_the_remapping_of_image(context, factory):
    from ros2_dice.ros.node import DiceNode

    for rules, topic in (
            ([], '/image/compressed'),
            (['-r', 'image:=/cam/raw'], '/cam/raw/compressed'),
            (['-r', 'image:=/cam/raw', '-r', 'image/compressed:=/other'], '/other')):
        dice = DiceNode(factory, context=context, cli_args=[
            '--ros-args', '-p', 'image_transport:=compressed', *rules])
        assert dice._image_topic() == topic
        dice.destroy_node()
