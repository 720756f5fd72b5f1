# SPDX-License-Identifier: Apache-2.0
"""The node with the dice estimator on stand-in weights and bodies, as a process, over DDS."""
from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')
pytest.importorskip('torch')
pytest.importorskip('safetensors')

from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from ros2_dice.assets import missing_assets
from ros2_dice.msg import HandFaceMesh, HandFaceMeshArray, HandJointsArray, MeshTopologyArray
from ros2_dice.ros import qos
from ros2_dice.ros.models import ErrorCode
from ros2_dice.ros.processes import Process, executable
from ros2_dice.srv import SetModel

PATIENCE_S = 240.0
"""The network takes a second or two on a machine with nothing else to do."""


@pytest.fixture
def data(standin_model, tmp_path):
    """A data folder with a stand-in model, and the landmark networks where there are any."""
    from ros2_dice.assets import asset_path, data_folder, load_manifest

    for asset in load_manifest().values():
        found = asset_path(asset)
        if found.is_file() and found.is_relative_to(data_folder()):
            (tmp_path / found.name).symlink_to(found)
    shutil.copytree(standin_model[0] / 'models', tmp_path / 'models', copy_function=os.link)
    return tmp_path


@pytest.fixture
def dice(start, data):
    """`dice(**parameters)`: the installed node."""
    try:
        executable('dice_node')
    except Exception as error:
        pytest.skip(str(error))

    def run(**parameters):
        named = {name.replace('__', '.'): value for name, value in parameters.items()}
        return start(Process('dice_node', 'dice', parameters=({
            'autostart': True, 'model.directory': str(data), 'model.id': 'dice_standin',
            'input.reliable': True, 'input.queue_depth': 10, 'input.max_age': 0.0,
            'backend.build_if_missing': False, 'backend.cache_directory': str(data / 'cache'),
            'tracking.deterministic_ids': True, **named},)))

    return run


@pytest.fixture
def heard(node, wait_until):
    """`heard(kind, name, profile)`: what comes on a topic, as a growing list."""
    def listen(kind, name, profile=20):
        messages = []
        node.create_subscription(kind, name, messages.append, profile)
        return messages

    return listen


def picture(node, pixels, number):
    message = Image(width=pixels.shape[1], height=pixels.shape[0], encoding='rgb8',
                    step=3 * pixels.shape[1], data=np.ascontiguousarray(pixels).tobytes())
    message.header.frame_id = 'camera'
    message.header.stamp.sec = 10 + number
    return message


def triples(values):
    return np.asarray(values).reshape(-1, 3)


@pytest.mark.timeout(900)
def test_meshes_topologies_markers_and_another_model(dice, heard, node, wait_until):
    """One long test: the model is loaded once."""
    meshes = heard(HandFaceMeshArray, '/dice/hand_face_meshes')
    topologies = heard(MeshTopologyArray, '/dice/topologies', qos.latched())
    joints = heard(HandJointsArray, '/dice/hand_joints')
    markers = heard(MarkerArray, '/dice/markers')
    overlays = heard(CompressedImage, '/dice/overlay/compressed', qos.best_effort(1))
    process = dice(dice__centre_crop=True, markers__rate=0.0, overlay__rate=0.0)
    publisher = node.create_publisher(Image, '/image', 10)
    assert wait_until(lambda: publisher.get_subscription_count() or process.poll() is not None,
                      PATIENCE_S)
    assert process.poll() is None
    names = ['/dice/hand_face_meshes', '/dice/hand_joints', '/dice/markers',
             '/dice/overlay/compressed']
    assert wait_until(lambda: all(node.count_publishers(name) for name in names))
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    for number in range(3):
        publisher.publish(picture(node, pixels, number))
        assert wait_until(lambda n=number: len(meshes) > n, PATIENCE_S)

    for message in meshes:
        assert message.status == HandFaceMeshArray.STATUS_OK
        assert message.model_id.startswith('dice_standin/')
        entry, = message.meshes
        assert entry.handedness == HandFaceMesh.HANDEDNESS_RIGHT
        for mesh, count in ((entry.hand, 778), (entry.face, 5023)):
            assert triples(mesh.vertices).shape == (count, 3)
            assert np.isfinite(mesh.vertices).all()
            assert (triples(mesh.vertices)[:, 2] > 0).all(), 'in front of the camera'
            assert len(mesh.contact) == count
        assert 0.0 <= entry.contact_probability <= 1.0
        assert np.isfinite(entry.min_distance)
        assert entry.person_id
        assert entry.hand_id
    assert wait_until(lambda: topologies)
    known = {topology.topology_id: topology for topology in topologies[-1].topologies}
    entry = meshes[-1].meshes[0]
    assert known[entry.hand.topology_id].family == 'mano'
    assert known[entry.face.topology_id].family == 'flame'
    for mesh in (entry.hand, entry.face):
        topology = known[mesh.topology_id]
        assert triples(topology.triangles).max() < topology.vertex_count
        assert len(topology.region) == topology.vertex_count
    assert wait_until(lambda: joints and joints[-1].hands and markers and overlays)
    assert np.isfinite([joint.position.x for joint in joints[-1].hands[0].joints]).all()
    assert {marker.ns for marker in markers[-1].markers} >= {'face', 'hand'}

    change = node.create_client(SetModel, '/dice/set_model')
    assert change.wait_for_service(20)
    answer = change.call_async(SetModel.Request(model_id='nonesuch'))
    assert wait_until(answer.done, PATIENCE_S)
    assert not answer.result().success
    assert answer.result().error_code == ErrorCode.MODEL_NOT_FOUND
    if missing_assets('open'):
        return
    answer = change.call_async(SetModel.Request(model_id='open'))
    assert wait_until(answer.done, PATIENCE_S)
    assert answer.result().success, answer.result().message
    publisher.publish(picture(node, pixels, 3))
    assert wait_until(lambda: len(meshes) == 4, PATIENCE_S)
    assert meshes[-1].model_id.startswith('open/')
    assert meshes[-1].status == HandFaceMeshArray.STATUS_EMPTY
