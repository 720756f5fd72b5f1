# SPDX-License-Identifier: Apache-2.0
"""Services and the action of the running node."""
import math
import threading

import pytest
from fakes import FACE
from rclpy.action.client import ActionClient
from std_srvs.srv import Trigger

from ros2_dice.action import BuildEngine
from ros2_dice.errors import AssetError, EngineError, EstimatorError
from ros2_dice.msg import MeshTopologyArray
from ros2_dice.ros import qos
from ros2_dice.ros.models import ErrorCode, error_code
from ros2_dice.srv import GetMeshTopology, SetModel


def test_topologies_by_service(make_dice, call):
    make_dice()
    every = call(GetMeshTopology, '/dice/get_mesh_topology', GetMeshTopology.Request())
    assert every.success
    assert len(every.topologies) == 6
    one = call(GetMeshTopology, '/dice/get_mesh_topology',
               GetMeshTopology.Request(topology_id=FACE.topology_id))
    assert one.topologies[0].vertex_count == FACE.vertex_count
    none = call(GetMeshTopology, '/dice/get_mesh_topology',
                GetMeshTopology.Request(topology_id='tail'))
    assert not none.success
    assert 'tail' in none.message
    assert FACE.topology_id in none.message


def test_without_a_model_services_say_so(make_dice, call):
    make_dice(active=False)
    assert 'configure' in call(GetMeshTopology, '/dice/get_mesh_topology',
                               GetMeshTopology.Request()).message
    assert not call(Trigger, '/dice/reset_tracking', Trigger.Request()).success
    response = call(SetModel, '/dice/set_model', SetModel.Request(model_id='other'))
    assert not response.success
    assert 'configure' in response.message


def test_reset_tracking(make_dice, call, camera, factory, wait_until):
    dice = make_dice()
    camera.connect(dice)
    camera.look(1)
    assert call(Trigger, '/dice/reset_tracking', Trigger.Request()).success
    assert wait_until(lambda: factory.newest.resets == 1)


def test_set_model_swaps_while_frames_go_on(make_dice, node, call, camera, factory, wait_until):
    dice = make_dice()
    sets = []
    node.create_subscription(MeshTopologyArray, '/dice/topologies', sets.append, qos.latched())
    camera.connect(dice)
    camera.look(1)
    factory.gate.clear()  # loading takes its time
    client = node.create_client(SetModel, '/dice/set_model')
    assert client.wait_for_service(60)
    future = client.call_async(SetModel.Request(model_id='other'))
    assert wait_until(lambda: not dice._host._loading.acquire(blocking=False)
                      or dice._host._loading.release())
    assert camera.look(2).model_id == 'open/fake-fp32'  # the old one works on
    busy = call(SetModel, '/dice/set_model', SetModel.Request(model_id='open'))
    assert busy.error_code == ErrorCode.BUSY
    factory.gate.set()
    assert wait_until(future.done)
    assert future.result().success
    assert future.result().active_model_id == 'other/fake-fp32'
    assert camera.look(3).model_id == 'other/fake-fp32'
    assert factory.made[0].closed
    assert dice.get_parameter('model.id').value == 'other'
    assert wait_until(lambda: sets[-1].model_id == 'other/fake-fp32')


@pytest.mark.parametrize(('request_', 'code'), [
    (SetModel.Request(model_id='nothing'), ErrorCode.MODEL_NOT_FOUND),
    (SetModel.Request(backend='abacus'), ErrorCode.BACKEND_UNAVAILABLE),
    (SetModel.Request(precision='fp8'), ErrorCode.PRECISION_UNSUPPORTED),
])
def test_set_model_keeps_the_old_one_on_failure(make_dice, call, camera, factory, request_, code):
    dice = make_dice()
    camera.connect(dice)
    response = call(SetModel, '/dice/set_model', request_)
    assert not response.success
    assert response.error_code == code
    assert response.active_model_id == 'open/fake-fp32'
    assert response.message
    assert not factory.made[0].closed
    assert camera.look(1).model_id == 'open/fake-fp32'
    assert dice.get_parameter('model.id').value == 'open'


def test_cleanup_while_a_model_loads(make_dice, node, factory, wait_until):
    dice = make_dice(active=False)
    dice.trigger_configure()
    factory.gate.clear()
    change = dice.change_model({'model.id': 'other'})
    assert change is not None
    dice.trigger_cleanup()
    factory.gate.set()
    assert change.done.wait(60)
    assert isinstance(change.error, EstimatorError)
    assert all(made.closed for made in factory.made)


def test_a_model_that_loads_too_slowly_does_not_take_over_a_node_configured_anew(
        make_dice, factory, monkeypatch):
    """It would close the estimator in use, and name topologies that the node has not sent."""
    dice = make_dice(active=False)
    dice.trigger_configure()
    slow = threading.Event()

    def made(settings):
        if settings.text('model.id') == 'other':
            slow.wait(60)
        return factory(settings)

    monkeypatch.setattr(dice._host, '_factory', made)
    change = dice.change_model({'model.id': 'other'})
    assert change is not None
    dice.trigger_cleanup()
    dice.trigger_configure()
    in_use = dice._host.current
    slow.set()
    assert change.done.wait(60)
    assert isinstance(change.error, EstimatorError)
    assert factory.newest.closed
    assert dice._host.current is in_use
    assert not in_use.closed


@pytest.mark.parametrize(('goal', 'code'), [
    (BuildEngine.Goal(), ErrorCode.NONE),
    (BuildEngine.Goal(model_id='open', backend='openvino', precision='fp32'), ErrorCode.NONE),
    (BuildEngine.Goal(model_id='dice'), ErrorCode.MODEL_NOT_FOUND),
    (BuildEngine.Goal(backend='tensorrt'), ErrorCode.BACKEND_UNAVAILABLE),
    (BuildEngine.Goal(precision='int8'), ErrorCode.PRECISION_UNSUPPORTED),
])
def test_build_engine(make_dice, node, wait_until, goal, code):
    make_dice(active=False)
    client = ActionClient(node, BuildEngine, '/dice/build_engine')
    assert client.wait_for_server(60)
    feedback = []

    async def run():
        handle = await client.send_goal_async(goal, feedback_callback=feedback.append)
        assert handle is not None
        return (await handle.get_result_async()).result

    # On the executor's thread: from another one, an answer can come before the client has noted
    # the question.
    task = node.executor.create_task(run)
    assert wait_until(task.done)
    result = task.result()
    assert result.error_code == code
    assert bool(result.error_msg) == (code != ErrorCode.NONE)
    assert math.isnan(result.max_vertex_error)
    client.destroy()


def test_error_codes_are_those_of_the_interfaces():
    for code in ErrorCode:
        assert getattr(SetModel.Response, code.name) == code
        assert getattr(BuildEngine.Result, code.name) == code


@pytest.mark.parametrize(('error', 'code'), [
    (AssetError('x.tflite (x) is missing'), ErrorCode.MODEL_NOT_FOUND),
    (AssetError('sha256 of x.tflite (x)', got='1'), ErrorCode.HASH_MISMATCH),
    (EngineError('engine'), ErrorCode.BACKEND_UNAVAILABLE),
    (MemoryError(), ErrorCode.OUT_OF_MEMORY),
    (ValueError('odd'), ErrorCode.UNKNOWN),
])
def test_error_codes(error, code):
    assert error_code(error) == code
