# SPDX-License-Identifier: Apache-2.0
"""What happens to an image on the worker's thread: message, frame, estimate, messages."""
from __future__ import annotations

import math
import time
from dataclasses import dataclass

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from ros2_dice.errors import EstimatorError
from ros2_dice.estimator import Estimator
from ros2_dice.parameters import Settings
from ros2_dice.ros.contacts import TouchTracker
from ros2_dice.ros.images import Order, Pixels, compressed_pixels, message_pixels
from ros2_dice.ros.log import Throttle, error_text
from ros2_dice.ros.messages import TopologyBook
from ros2_dice.ros.models import ModelHost, estimator_settings
from ros2_dice.ros.outputs import Outputs, Result
from ros2_dice.ros.pairing import CameraBook
from ros2_dice.ros.statistics import StatisticsWindow
from ros2_dice.stamps import FrameClock
from ros2_dice.types import Frame
from ros2_dice.upright import Upright


@dataclass(frozen=True)
class Arrival:
    """An image and when it came."""

    message: Image | CompressedImage
    arrived_s: float
    """time.perf_counter() in the subscription's callback."""

    @property
    def stamp_ns(self) -> int:
        """Stamp of the image [ns]."""
        stamp = self.message.header.stamp
        return stamp.sec * 1_000_000_000 + stamp.nanosec


class Pipeline:
    """
    Turns arrivals into published results; everything but `is_stale` runs on the worker's thread.

    Args:
        host: holds the estimator.
        outputs: publishes.
        cameras: gives each picture its camera.
        statistics: counts and times.
    """

    def __init__(self, node: Node, host: ModelHost, outputs: Outputs, cameras: CameraBook,
                 statistics: StatisticsWindow, settings: Settings) -> None:
        self._clock = node.get_clock()
        self._throttle = Throttle(node.get_logger())
        self._host = host
        self._outputs = outputs
        self._cameras = cameras
        self._statistics = statistics
        self._touches = TouchTracker()
        self._last_stamp_ns = 0
        self._times = FrameClock()
        self._last_time_ns = 0
        self._last_arrival: Arrival | None = None
        self._last_arrival_s = math.nan
        self._looked_s = time.monotonic()
        self._frame_period_s = 0.1
        self.apply(settings)

    def apply(self, settings: Settings) -> None:
        """Take over new values of live parameters."""
        self._settings = settings
        self._upright = Upright(settings.integer('input.rotation'),
                                settings.flag('input.mirrored'))
        if self._host.current is not None:
            self._host.current.apply(estimator_settings(settings))

    def reset(self) -> None:
        """Forget tracks and filters; open touches end."""
        self._last_stamp_ns = 0
        self._touches.reset()
        if self._host.current is not None:
            self._host.current.reset()

    def swap(self, estimator: Estimator) -> None:
        """
        Use another estimator from the next frame on.

        Raises:
            EstimatorError: the node was cleaned up while it was loading, also if it was configured
                again since.
        """
        old = self._host.current
        if old is None or not self._outputs.is_open:
            estimator.close()
            raise EstimatorError('model', state='loaded too late', expected='a configured node')
        estimator.apply(estimator_settings(self._settings))
        self._host.current = estimator
        self._touches.reset()
        self._outputs.set_model(TopologyBook(estimator.topologies), lambda: estimator.model_id,
                                self._settings)
        old.close()

    def touches_overdue(self) -> bool:
        """
        Tell whether touches are open though nothing has been seen for input.timeout.

        A run that shall be the same every time goes by the images' stamps alone.
        """
        return (self._touches.any_open
                and time.monotonic() - self._looked_s > self._settings.number('input.timeout')
                and not self._settings.flag('tracking.deterministic_ids'))

    def end_overdue_touches(self) -> None:
        """End the open touches unless something has been seen in the meantime."""
        if self.touches_overdue():
            self.end_touches()

    def end_touches(self) -> None:
        """Publish the end of the open touches, under the header of the last image."""
        if self._last_arrival is not None and self._touches.any_open:
            self._outputs.publish_ended(self._last_arrival.message.header, self._touches.end_all(),
                                        self._last_time_ns)

    def is_stale(self, arrival: Arrival) -> bool:
        """Tell whether an image is older than input.max_age; a stamp of zero has no age."""
        max_age_s = self._settings.number('input.max_age')
        age_s = (self._clock.now().nanoseconds - arrival.stamp_ns) * 1e-9
        stale = max_age_s > 0.0 and arrival.stamp_ns > 0 and age_s > max_age_s
        if stale:
            self._throttle.warning('stale', (
                f'image dropped: it is {age_s:.3g} s old, input.max_age is {max_age_s:g} s; set '
                'it to 0 for bags, or check the clocks'))
        return stale

    def process(self, arrival: Arrival) -> None:
        """Publish what is in an image, or that it could not be looked at."""
        start_s = time.perf_counter()
        stages_s = {'queue': start_s - arrival.arrived_s}
        self._watch_header(arrival)
        self._last_arrival = arrival
        time_ns = self._last_time_ns = self._time_ns(arrival)
        size_px = (0, 0)
        kind = 'input'
        try:
            pixels, order = self._pixels(arrival.message)
            size_px = (pixels.shape[1], pixels.shape[0])
            camera = self._cameras.camera(*size_px,
                                          self._settings.number('camera.horizontal_fov'))
            if self._cameras.problem:
                self._throttle.warning('camera', f'{self._cameras.problem}; the nominal lens '
                                                 '(camera.horizontal_fov) is used')
            frame = Frame(self._upright.picture(pixels), time_ns,
                          arrival.message.header.frame_id, self._upright.camera(camera), order)
            decoded_s = time.perf_counter()
            kind = 'estimator'
            assert self._host.current is not None
            found = self._host.current.estimate(frame)
            estimated_s = time.perf_counter()
            estimates = self._upright.restore(found, size_px)
            touches = self._touches.update(
                estimates, time_ns, self._settings.number('contact.threshold'),
                self._settings.number('contact.min_area'))
            result = Result(arrival.message.header, time_ns, size_px,
                            self._upright.intrinsics(camera), estimates, touches, frame, found)
            self._outputs.publish(result, self._settings)
        except Exception as error:
            self._fail(arrival, size_px, kind, error, stages_s)
            return
        self._looked_s = time.monotonic()
        end_s = time.perf_counter()
        stages_s['decode'] = decoded_s - start_s
        stages_s['estimate'] = estimated_s - decoded_s
        stages_s.update(self._host.current.stage_times_s)
        stages_s['publish'] = end_s - estimated_s
        stages_s['overhead'] = end_s - arrival.arrived_s - stages_s['estimate']
        self._statistics.add(self._latency_s(arrival), stages_s)
        self._measure_period(arrival)
        self._outputs.publish_views(result, self._settings, self._frame_period_s)

    def _pixels(self, message: Image | CompressedImage) -> tuple[Pixels, Order]:
        if isinstance(message, CompressedImage):
            return compressed_pixels(message.data)
        return message_pixels(message, self._settings.text('input.encoding'),
                              self._settings.integer('input.sample_bits'))

    def _fail(self, arrival: Arrival, size_px: tuple[int, int], kind: str, error: Exception,
              stages_s: dict[str, float]) -> None:
        """Publish, count and log a failed frame."""
        message = arrival.message
        if kind == 'input' and isinstance(message, Image):
            size_px = (message.width, message.height)
        reason = error_text(error)
        self._outputs.publish_failed(message.header, size_px)
        self._statistics.add(self._latency_s(arrival), stages_s, kind, reason)
        what = 'image could not be read' if kind == 'input' else 'estimator failed'
        self._throttle.warning(f'{kind} {reason[:60]}', f'{what}: {reason}')

    def _watch_header(self, arrival: Arrival) -> None:
        """Name what a header lacks; begin anew when stamps run backwards, as when a bag does."""
        stamp_ns = arrival.stamp_ns
        if stamp_ns == 0:
            self._throttle.warning('stamp', 'images carry no stamp: nobody knows their age, and '
                                            'they are timed by their arrival; mend the camera '
                                            'driver')
        if not arrival.message.header.frame_id:
            self._throttle.warning('frame_id', 'images carry no frame_id: neither RViz nor tf can '
                                               'place the results; mend the camera driver')
        if stamp_ns < self._last_stamp_ns:
            back_s = (self._last_stamp_ns - stamp_ns) * 1e-9
            self._throttle.warning('back', f'image stamps went back by {back_s:.3f} s: tracking '
                                           'starts anew')
            self.reset()
        self._last_stamp_ns = stamp_ns

    def _time_ns(self, arrival: Arrival) -> int:
        """Return the time of an image for what lasts longer than one; see `FrameClock`."""
        stamp_ns = arrival.stamp_ns
        if stamp_ns == 0 and not self._settings.flag('tracking.deterministic_ids'):
            stamp_ns = round(1e9 * arrival.arrived_s)
        return self._times.time_ns(stamp_ns)

    def _latency_s(self, arrival: Arrival) -> float:
        """Return the age of an image [s]; NaN without a stamp, or before the first /clock."""
        now_ns = self._clock.now().nanoseconds
        if arrival.stamp_ns == 0 or now_ns == 0:
            return math.nan
        return (now_ns - arrival.stamp_ns) * 1e-9

    def _measure_period(self, arrival: Arrival) -> None:
        period_s = arrival.arrived_s - self._last_arrival_s
        self._last_arrival_s = arrival.arrived_s
        if 0.0 < period_s < 10.0:
            self._frame_period_s += 0.1 * (period_s - self._frame_period_s)
