# SPDX-License-Identifier: Apache-2.0
"""Warnings that repeat."""
from ros2_dice.ros.log import MAX_KEYS, Throttle


class Lines(list):
    """A logger that keeps what it gets."""

    def warning(self, message, /):
        self.append(message)


def test_a_repeated_warning_is_said_once_and_counted(monkeypatch):
    lines, now_s = Lines(), [0.0]
    monkeypatch.setattr('ros2_dice.ros.log.time.monotonic', lambda: now_s[0])
    throttle = Throttle(lines)
    for _ in range(3):
        throttle.warning('stale', 'too old')
    throttle.warning('other', 'another one')
    now_s[0] = 6.0
    throttle.warning('stale', 'too old')
    assert lines == ['too old', 'another one', 'too old (2 more since the last warning)']


def test_sizes_that_differ_with_each_image_are_one_warning():
    lines = Lines()
    throttle = Throttle(lines)
    for size in range(500):
        throttle.warning(f'input image data is {size} bytes', f'{size} bytes')
    assert lines == ['0 bytes']


def test_texts_without_end_do_not_fill_the_memory():
    throttle = Throttle(Lines())
    for letter in range(3 * MAX_KEYS):
        throttle.warning('x' * letter, 'encoding')
    assert len(throttle._last) <= MAX_KEYS
