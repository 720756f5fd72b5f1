# SPDX-License-Identifier: Apache-2.0
"""
Write size and sha256 of the files that ship in model/ into model/assets.toml.

Run it after a file there was baked again: `python tools/hash_assets.py`.
"""
from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

MODEL = Path(__file__).parents[1] / 'model'


def main() -> int:
    """Rewrite the manifest in place; say what changed."""
    manifest = MODEL / 'assets.toml'
    blocks = manifest.read_text(encoding='utf-8').split('[[asset]]')
    for index, block in enumerate(blocks):
        name = re.search(r'^file = "(.+)"$', block, re.MULTILINE)
        if not name or 'kind = "baked"' not in block:
            continue
        data = (MODEL / name[1]).read_bytes()
        fresh = re.sub(r'^size_bytes = .*$', f'size_bytes = {len(data)}', block,
                       flags=re.MULTILINE)
        fresh = re.sub(r'^sha256 = .*$', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', fresh,
                       flags=re.MULTILINE)
        if fresh != block:
            print(f'{name[1]}: {len(data)} bytes')
            blocks[index] = fresh
    manifest.write_text('[[asset]]'.join(blocks), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
