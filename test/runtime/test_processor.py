# SPDX-License-Identifier: Apache-2.0
"""What /proc/cpuinfo says of the processor."""
from __future__ import annotations

from ros2_dice.runtime.processor import cpu_flags, processor_flags, processor_name


def test_cpu_flags_of_x86_and_of_arm() -> None:
    assert cpu_flags('processor : 0\nflags\t\t: fpu avx2 bf16\n') == {'fpu', 'avx2', 'bf16'}
    assert cpu_flags('Features\t: fp asimd bf16\n') == {'fp', 'asimd', 'bf16'}
    assert cpu_flags('') == set()


def test_this_processor_has_a_name_and_known_instructions() -> None:
    assert processor_name()
    assert all(isinstance(name, str) for name in processor_flags())
