# SPDX-License-Identifier: Apache-2.0
"""Lifecycle: cycles, failures that can be mended, missing and broken assets."""
import threading

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fakes import Factory
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter import Parameter

from ros2_dice.errors import AssetError
from ros2_dice.msg import HandFaceMeshArray, Statistics

UP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)


@pytest.fixture
def change(call):
    """`change(transition)` by service: nothing goes while the executor waits for it."""
    def change(transition):
        request = ChangeState.Request()
        request.transition.id = transition
        return call(ChangeState, '/dice/change_state', request).success

    return change


@pytest.fixture
def state(call):
    return lambda: call(GetState, '/dice/get_state', GetState.Request()).current_state.id


def test_transitions_by_service(make_dice, camera, factory, change, state):
    dice = make_dice(active=False)
    assert state() == State.PRIMARY_STATE_UNCONFIGURED
    assert change(Transition.TRANSITION_CONFIGURE)
    assert state() == State.PRIMARY_STATE_INACTIVE
    assert camera.node.count_subscribers('/image') == 0
    assert change(Transition.TRANSITION_ACTIVATE)
    camera.connect(dice)
    camera.look(1)
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert not factory.newest.closed  # stays warm
    assert change(Transition.TRANSITION_ACTIVATE)
    camera.connect(dice)
    camera.look(2)
    assert len(factory.made) == 1
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_CLEANUP)
    assert factory.made[0].closed
    assert state() == State.PRIMARY_STATE_UNCONFIGURED
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    camera.connect(dice)
    assert camera.look(3).status == HandFaceMeshArray.STATUS_OK
    assert len(factory.made) == 2


def test_statistics_begin_anew_after_cleanup(make_dice, node, camera, change, wait_until):
    """The counters are gone with the worker: what is left of the window has no past."""
    dice = make_dice()
    heard: list[Statistics] = []
    node.create_subscription(Statistics, '/dice/statistics', heard.append, 50)
    camera.connect(dice)
    for number in range(5):
        camera.look(number)
    assert wait_until(lambda: heard and heard[-1].received == 5)
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_CLEANUP)
    assert wait_until(lambda: heard[-1].received == 0)
    before = len(heard)
    assert wait_until(lambda: len(heard) > before)
    for message in heard:
        assert message.input_rate >= 0.0
        if not message.received:
            assert message.published == 0


def test_a_transition_that_the_state_lacks_is_refused(make_dice, camera, change, state):
    """rclpy raises out of the executor (ros2/rclpy#1209), which would end the process."""
    dice = make_dice()
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE,
                       Transition.TRANSITION_CLEANUP, 200):
        assert not change(transition)
    assert state() == State.PRIMARY_STATE_ACTIVE
    camera.connect(dice)
    assert camera.look(1).status == HandFaceMeshArray.STATUS_OK


def test_many_cycles(make_dice, factory, change):
    make_dice(active=False)
    for _ in range(30):
        for step in (*UP, Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            assert change(step)
    assert len(factory.made) == 30
    assert all(made.closed for made in factory.made)


@pytest.mark.parametrize(('steps', 'transition'), [
    ((), Transition.TRANSITION_UNCONFIGURED_SHUTDOWN),
    (UP[:1], Transition.TRANSITION_INACTIVE_SHUTDOWN),
    (UP, Transition.TRANSITION_ACTIVE_SHUTDOWN),
    ((*UP, Transition.TRANSITION_DEACTIVATE), Transition.TRANSITION_INACTIVE_SHUTDOWN),
    ((UP[0], Transition.TRANSITION_CLEANUP), Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)])
def test_shutdown_from_every_state(make_dice, factory, change, state, steps, transition):
    make_dice(active=False)
    for step in steps:
        assert change(step)
    assert change(transition)
    assert state() == State.PRIMARY_STATE_FINALIZED
    assert all(made.closed for made in factory.made)
    assert not change(Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize('steps', [
    (Transition.TRANSITION_CLEANUP, Transition.TRANSITION_CONFIGURE),
    (Transition.TRANSITION_INACTIVE_SHUTDOWN,)])
def test_a_model_that_can_t_be_closed_is_gone_all_the_same(make_dice, factory, change, steps):
    """Nothing is left to go back to: the node says so, and can be configured anew."""
    dice = make_dice(active=False)
    assert change(Transition.TRANSITION_CONFIGURE)

    def close():
        raise RuntimeError('the engine is gone')

    factory.newest.close = close
    first, *others = steps
    assert change(first)
    assert 'the engine is gone' in dice._problem
    assert dice.model_id == ''
    assert dice.resolve_topic_name('~/topologies') not in {p.topic_name for p in dice.publishers}
    for step in others:
        assert change(step)
        assert dice._problem == ''


def test_deactivate_lets_the_frame_in_work_end(make_dice, camera, factory, change, wait_until):
    dice = make_dice()
    camera.connect(dice)
    factory.newest.gate.clear()
    camera.send(1)
    assert wait_until(lambda: dice._counters().pending)
    opener = threading.Timer(0.2, factory.newest.gate.set)
    opener.start()
    assert change(Transition.TRANSITION_DEACTIVATE)
    opener.join()
    assert dice._counters().processed == 1
    assert wait_until(lambda: camera.meshes), 'its result is published'
    result, = dice.set_parameters([Parameter('contact.threshold', value=0.7)])
    assert result.successful
    assert factory.newest.settings.number('contact.threshold') == 0.7
    assert change(Transition.TRANSITION_ACTIVATE)
    camera.connect(dice)
    assert camera.look(2).status == HandFaceMeshArray.STATUS_OK


def test_a_missing_asset_fails_configure_and_can_be_mended(make_dice, node, camera, factory,
                                                           change, state, wait_until):
    heard = []
    node.create_subscription(DiagnosticArray, '/diagnostics', heard.append, 50)
    factory.asset_error = AssetError(
        'face_landmark.tflite (face_landmark) is missing', expected='it in the data folder',
        next_step='ros2-dice assets pull face_landmark')
    dice = make_dice(active=False)
    assert not change(Transition.TRANSITION_CONFIGURE)
    assert state() == State.PRIMARY_STATE_UNCONFIGURED

    def told():
        for array in heard:
            for status in array.status:
                if status.name == '/dice: model' and status.level == DiagnosticStatus.ERROR:
                    return status.message
        return ''

    assert wait_until(told)
    assert 'face_landmark.tflite' in told()
    assert 'ros2-dice assets pull face_landmark' in told()
    factory.asset_error = None
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    camera.connect(dice)
    assert camera.look(1).status == HandFaceMeshArray.STATUS_OK


def test_autostart_tries_once(make_dice, factory):
    factory.asset_error = AssetError('a.tflite is missing')
    dice = make_dice(active=False, autostart=True)
    assert not dice.autostart()
    assert not factory.made
    factory.asset_error = None
    assert dice.autostart()
    assert len(factory.made) == 1


@pytest.mark.parametrize('name', ['depth.enabled', 'hri.enabled'])
def test_features_that_are_missing_are_refused(make_dice, factory, name):
    dice = make_dice(active=False, **{name.replace('.', '__'): True})
    assert dice.trigger_configure().to_label() == 'transition_failure'
    assert name in dice._problem
    # Start-only parameters can be mended before the next try.
    result, = dice.set_parameters([Parameter(name, value=False)])
    assert result.successful
    assert dice.trigger_configure().to_label() == 'transition_success'


def test_tf_without_its_package_is_refused_or_sent(make_dice, factory):
    try:
        import tf2_msgs.msg  # noqa: F401
    except ImportError:
        dice = make_dice(active=False, tf__enabled=True)
        assert dice.trigger_configure().to_label() == 'transition_failure'
        assert 'tf2_msgs' in dice._problem
        assert factory.newest.closed


@pytest.mark.parametrize('fault', ['missing', 'empty', 'corrupted'])
def test_faulty_files_of_the_open_estimator(make_dice, tmp_path, monkeypatch, fault):
    """The real estimator's own files, in a data folder that has none, an empty or a wrong one."""
    from ros2_dice.assets import asset_path, find_asset
    from ros2_dice.assets.manifest import load_manifest
    from ros2_dice.estimator import create_estimator

    monkeypatch.setenv('ROS2_DICE_DATA', str(tmp_path))
    manifest = load_manifest()
    asset = manifest['face_landmark']
    path = asset_path(asset)
    if fault != 'missing':
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'' if fault == 'empty' else bytes(asset.size_bytes))
    with pytest.raises(AssetError):
        find_asset('face_landmark')
    monkeypatch.setattr(Factory, '__call__', lambda self, settings: create_estimator(settings))
    dice = make_dice(active=False)
    assert dice.trigger_configure().to_label() == 'transition_failure'
    assert 'ros2-dice assets' in dice._problem
    assert dice.trigger_configure().to_label() == 'transition_failure'  # still alive
