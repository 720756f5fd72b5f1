# SPDX-License-Identifier: Apache-2.0
"""
A small manifest of its own, with a wheel that pip accepts.

As a program, pulls in a process of its own: `house.py WAY SHARE SOURCE RESULT`.
"""
from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

WHEEL = 'netbox-1.2.3-cp311-cp311-manylinux_2_28_x86_64.whl'
CONTENT = {'eye': b'e' * 3000, 'palm': b'palm network' * 200, 'ear': b'ear' * 999}
BAKED = b'baked body'


def write_wheel(path: Path, content: dict[str, bytes]) -> Path:
    """Write a wheel that holds networks/<name>.tflite for each entry."""
    info = 'netbox-1.2.3.dist-info'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(f'netbox/networks/{name}.tflite', data)
        archive.writestr('netbox/__init__.py', 'raise SystemExit("never run")')
        archive.writestr(f'{info}/METADATA',
                         'Metadata-Version: 2.1\nName: netbox\nVersion: 1.2.3\n')
        archive.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: false\n'
                                          'Tag: cp311-cp311-manylinux_2_28_x86_64\n')
        archive.writestr(f'{info}/RECORD', '')
    return path


@dataclass
class House:
    """Where things lie in a test."""

    data: Path
    share: Path
    links: Path
    wheel: Path

    def names(self) -> set[str]:
        """Return what lies in the data folder, but for the lock."""
        if not self.data.exists():
            return set()
        return {path.name for path in self.data.iterdir()} - {'.lock'}


def manifest_text() -> str:
    """Return a manifest with three files in a wheel, one baked, one of the user's."""
    lines = ['[wheel.netbox]', 'distribution = "netbox"', 'version = "1.2.3"', 'python = "3.11"',
             'platform = "manylinux_2_28_x86_64"', 'size_bytes = 4000', 'licence = "MIT"']
    for name, data in CONTENT.items():
        lines += ['[[asset]]', f'name = "{name}"', f'file = "{name}.tflite"', 'purpose = "p"',
                  'estimator = "open"', 'licence = "MIT"', f'size_bytes = {len(data)}',
                  f'sha256 = "{hashlib.sha256(data).hexdigest()}"',
                  'source = { kind = "wheel", wheel = "netbox", '
                  f'member = "netbox/networks/{name}.tflite" }}']
    lines += ['[[asset]]', 'name = "body"', 'file = "body.npz"', 'purpose = "p"',
              'estimator = "open"', 'licence = "CC0-1.0"', f'size_bytes = {len(BAKED)}',
              f'sha256 = "{hashlib.sha256(BAKED).hexdigest()}"',
              'source = { kind = "baked", made_by = "tools/bake.py" }',
              '[[asset]]', 'name = "mine"', 'file = "mine.pkl"', 'purpose = "p"',
              'estimator = "dice"', 'licence = "NC"',
              'source = { kind = "user", url = "https://example.org", option = "--mine" }']
    return '\n'.join(lines)


def use_share(share: Path) -> None:
    """Let this process take a share folder of the test's own."""
    from ros2_dice.assets import manifest, store

    manifest.share_folder = store.share_folder = lambda: share
    manifest.load_manifest.cache_clear()


def pull_in_a_process(way: str, source: Path, result: Path) -> None:
    """Pull so that it dies on the way, counts what it fetches, or as a user without rights."""
    import fcntl  # noqa: F401  (found now; perhaps not any more by another user)

    from ros2_dice.assets import pull
    from ros2_dice.errors import AssetError

    def progress(text: str, *_: int) -> None:
        if way == 'die' and 'palm' in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if way == 'count' and text.startswith('Checking eye'):
            with result.open('a') as out:
                out.write('x')
            time.sleep(0.3)

    if way == 'nobody' and os.geteuid() == 0:
        os.setuid(65534)
    try:
        pull(source=source, progress=progress)
    except AssetError as error:
        result.write_text(str(error))


if __name__ == '__main__':
    use_share(Path(sys.argv[2]))
    pull_in_a_process(sys.argv[1], Path(sys.argv[3]), Path(sys.argv[4]))
