# SPDX-License-Identifier: Apache-2.0
"""
The lifecycle node: wiring only.

The executor's thread stores images and answers services; the worker's thread looks at the newest
image and publishes. configure loads the model, activate subscribes, deactivate stops but stays
warm, cleanup releases the model.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from rclpy import logging
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ros2_dice.errors import ConfigError
from ros2_dice.estimator import create_estimator
from ros2_dice.parameters import Settings, Value
from ros2_dice.ros import qos
from ros2_dice.ros.diagnostics import NodeState
from ros2_dice.ros.engine_action import EngineAction
from ros2_dice.ros.log import error_text
from ros2_dice.ros.messages import TopologyBook
from ros2_dice.ros.models import Change, EstimatorFactory, ModelHost
from ros2_dice.ros.monitor import Monitor
from ros2_dice.ros.outputs import Outputs
from ros2_dice.ros.pairing import CameraBook, is_rectified
from ros2_dice.ros.parameters import NodeParameters, refuse_missing_features
from ros2_dice.ros.pipeline import Arrival, Pipeline
from ros2_dice.ros.running import Running
from ros2_dice.ros.services import Services
from ros2_dice.ros.transitions import refuse_impossible_transitions
from ros2_dice.ros.worker import Counters, Worker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class DiceNode(LifecycleNode):
    """
    Meshes from camera images.

    Args:
        estimator_factory: makes the estimator; tests put their own here.
        options: for the node: context, namespace, parameter_overrides, ...

    Raises:
        ConfigError: a parameter given at the start is unknown or refused.
    """

    def __init__(self, estimator_factory: EstimatorFactory = create_estimator,
                 **options: Any) -> None:
        super().__init__('dice', **options)
        refuse_impossible_transitions(self)
        self._table = NodeParameters(self, self._apply)
        self._host = ModelHost(
            estimator_factory, lambda line: self.get_logger().info(f'engine: {line}'))
        self._outputs: Outputs | None = None
        self._pipeline: Pipeline | None = None
        self._worker: Worker[Arrival] | None = None
        self._cameras = CameraBook()
        self._inputs: list[Subscription] = []
        self._lifecycle = 'unconfigured'
        self._problem = ''
        self._active_since_s = self._last_image_s = time.monotonic()
        self._monitor = Monitor(self, self._state, self._counters, lambda: self.settings,
                                self._publish_topologies, self._end_touches)
        Services(self, self)
        self._engine_action = EngineAction(self, lambda: self.settings, self._host.take_built)

    @property
    def settings(self) -> Settings:
        """Return the parameters as of now."""
        return self._table.settings

    @property
    def model_id(self) -> str:
        """Return the name of the model in use, empty = none."""
        return self._host.model_id

    def autostart(self) -> bool:
        """
        Configure and activate once, if `autostart` says so; False if that failed.

        A failure is logged and stays in the diagnostics; configure can be tried again by the
        lifecycle services.
        """
        name = self.get_fully_qualified_name()
        if not self.settings.flag('autostart'):
            self.get_logger().info(f'unconfigured; ros2 lifecycle set {name} configure, and '
                                   'activate; or start it with autostart:=true')
            return True
        if self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS:
            return True
        self.get_logger().error(f'not started; mend that, then: ros2 lifecycle set {name} '
                                'configure, and activate; or start the node again')
        return False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, check and load the model, create the publishers."""
        return self._transition('configure', lambda: self._configure(self.settings), 'inactive',
                                self._release)

    def _configure(self, settings: Settings) -> None:
        refuse_missing_features(settings)
        estimator = self._host.load(settings)
        self._outputs = Outputs(self, settings)
        self._outputs.set_model(TopologyBook(estimator.topologies), lambda: estimator.model_id,
                                settings)
        self._monitor.topologies_sent()
        self._cameras = CameraBook(settings.flag('input.use_camera_info'),
                                   rectified=is_rectified(self._image_topic()))
        self._pipeline = Pipeline(self, self._host, self._outputs, self._cameras,
                                  self._monitor.statistics, settings)
        self._worker = Worker(
            self._pipeline.process, self._pipeline.is_stale,
            lambda error: self.get_logger().error(f'worker: {error_text(error)}'),
            settings.integer('input.queue_depth'))
        self._worker.set_max_rate(settings.number('input.max_rate'))
        self._table.lock(True)
        self.get_logger().info(f'configured with model {self.model_id}')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe."""
        return self._transition('activate', lambda: self._activate(self.settings), 'active',
                                self._stop)

    def _activate(self, settings: Settings) -> None:
        assert self._worker is not None
        assert self._outputs is not None
        self._monitor.statistics.reset()
        self._worker.start()
        self._outputs.clear_markers()
        depth = settings.integer('input.queue_depth')
        profile = qos.reliable(depth) if settings.flag('input.reliable') \
            else qos.best_effort(depth)
        if settings.flag('input.use_camera_info'):
            self._subscribe(CameraInfo, 'camera_info', self._cameras.put, qos.best_effort(1))
        kind = Image if settings.text('image_transport') == 'raw' else CompressedImage
        self._subscribe(kind, self._image_topic(), self._store, profile)
        self._active_since_s = self._last_image_s = time.monotonic()
        self.get_logger().info(f'waiting for images on {self._image_topic()}')

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, let the frame in work end; the model stays loaded."""
        return self._transition('deactivate', self._stop, 'inactive')

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model and take the publishers down."""
        return self._transition('cleanup', self._release, 'unconfigured')

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release everything, from any state."""
        return self._transition('shutdown', self._release, 'finalized')

    def _transition(self, name: str, action: Callable[[], None], target: str,
                    undo: Callable[[], None] | None = None) -> TransitionCallbackReturn:
        """Act; a failure is undone or, where nothing is left to go back to, only told of."""
        self._problem = ''
        if not self._attempt(name, action) and undo is not None:
            undo()
            self._monitor.report_now()
            return FAILURE
        self._lifecycle = target
        self._monitor.report_now()
        return SUCCESS

    def _attempt(self, name: str, action: Callable[[], None]) -> bool:
        """Act, and say what went wrong: rclpy would swallow an exception without a word."""
        try:
            action()
        except Exception as error:
            problem = f'{name} failed: {error_text(error)}'
            self._problem = self._problem or problem
            self.get_logger().error(problem)
            return False
        return True

    def destroy_node(self) -> None:
        """Stop the worker before what it publishes with goes."""
        self._release()
        self._engine_action.close()
        super().destroy_node()

    def topology_book(self) -> TopologyBook | None:
        """Return the topologies of the model in use, None without one."""
        return self._outputs.book if self._outputs is not None else None

    def reset_tracking(self) -> bool:
        """Begin anew with the next frame; False without a model."""
        if self._worker is None or self._pipeline is None:
            return False
        self._worker.between_items(self._pipeline.reset)
        return True

    def change_model(self, values: dict[str, Value]) -> Change | None:
        """Load another model beside this one, to be used from some frame on."""
        worker, pipeline = self._worker, self._pipeline
        assert worker is not None
        assert pipeline is not None
        return self._host.change(
            self.settings, values,
            lambda estimator: worker.run_between_items(lambda: pipeline.swap(estimator)))

    def finish_change(self, change: Change) -> None:
        """Let the parameters name the model in use."""
        self._table.replace(dict(change.values))
        self._monitor.topologies_sent()
        self._monitor.report_now()

    def _apply(self, settings: Settings) -> None:
        """Hand live parameters to the worker's thread, to be applied between frames."""
        worker, pipeline = self._worker, self._pipeline
        if worker is not None and pipeline is not None:
            worker.set_max_rate(settings.number('input.max_rate'))
            worker.between_items(lambda: pipeline.apply(settings))

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None],
                   profile: QoSProfile) -> None:
        self._inputs.append(self.create_subscription(
            kind, topic, callback, profile, qos_overriding_options=qos.overrides(),
            event_callbacks=qos.subscription_events(self, topic)))

    def _store(self, message: Image | CompressedImage) -> None:
        """Only keep the image: the worker does the work."""
        arrival = Arrival(message, time.perf_counter())
        self._last_image_s = time.monotonic()
        self._monitor.newest_header = message.header
        if self._worker is not None:
            self._worker.put(arrival)

    def _stop(self) -> None:
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        if self._worker is not None:
            self._attempt('stop', self._worker.stop)
        if self._pipeline is not None:
            self._attempt('stop', self._pipeline.end_touches)

    def _release(self) -> None:
        """Take everything down, whatever part of it fails."""
        self._stop()
        self._attempt('release', self._host.close)
        if self._outputs is not None:
            self._attempt('release', self._outputs.close)
        self._worker = self._pipeline = self._outputs = None
        self._monitor.statistics.reset()
        self._lifecycle = 'unconfigured'
        self._table.lock(False)

    def _state(self) -> NodeState:
        now_s = time.monotonic()
        return NodeState(
            name=self.get_fully_qualified_name(), lifecycle=self._lifecycle,
            model_id=self.model_id, engine=self._host.engine_report(),
            learnt=self._host.learnt_sizes(), problem=self._problem,
            camera_problem=self._cameras.problem, camera_info=self._cameras.status,
            image_topic=self._image_topic(), silence_s=now_s - self._last_image_s,
            active_s=now_s - self._active_since_s)

    def _counters(self) -> Counters:
        return self._worker.counters() if self._worker is not None else Counters()

    def _publish_topologies(self) -> None:
        if self._outputs is not None:
            self._outputs.publish_topologies(self.settings)

    def _end_touches(self) -> None:
        """Let the worker's thread end touches that no image will end."""
        worker, pipeline = self._worker, self._pipeline
        if worker is not None and pipeline is not None and pipeline.touches_overdue():
            worker.between_items(pipeline.end_overdue_touches)

    def _image_topic(self) -> str:
        return qos.image_topic(self, self.settings.text('image_transport'))


def main(args: list[str] | None = None,
         estimator_factory: EstimatorFactory = create_estimator) -> int:
    """Run the node until it is interrupted; return the exit status."""
    with Running(args) as running:
        try:
            node = running.add(DiceNode(estimator_factory))
        except ConfigError as error:
            logging.get_logger('dice').fatal(error.text())
            return 2
        node.autostart()
        while running.step(0.1):
            pass
    return 0


if __name__ == '__main__':
    sys.exit(main())
