# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in a command that ends at once."""
import signal
import subprocess
import sys

import pytest

BUSY = """
import sys, time
from ros2_dice.cli.interrupt import end_at_once
end_at_once('given up')
print('ready', flush=True)
{work}
"""


@pytest.mark.parametrize('work', [
    'time.sleep(600)',
    'while True: pass',
    # As a library that computes without looking at signals.
    'import ctypes; ctypes.CDLL(None).pause(); ctypes.CDLL(None).sleep(600)'])
def test_one_line_and_130(work):
    process = subprocess.Popen([sys.executable, '-c', BUSY.format(work=work)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaints == 'ros2-dice: given up\n'


def test_build_engine_asks_for_it(monkeypatch):
    from ros2_dice.cli import build_engine

    words = []
    monkeypatch.setattr(build_engine, 'end_at_once', words.append)
    monkeypatch.setattr(build_engine, '_build', lambda *arguments: words.append('built'))
    build_engine.build_engine(formula=True)
    assert words[0].startswith('given up')
    assert words[1] == 'built'
