# SPDX-License-Identifier: Apache-2.0
"""
Write what is made from the table of parameters: config/dice.yaml and the README's table.

    python tools/write_parameters.py [--check]
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ros2_dice.parameters import markdown_table, yaml_text

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = '<!-- parameters -->', '<!-- /parameters -->'


def readme_text(text: str) -> str:
    """Return a README with the table between its markers renewed; unchanged without markers."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return text
    return f'{head}{BEGIN}\n\n{markdown_table()}\n{END}{tail}'


def outputs() -> dict[Path, str]:
    """Return the files and what they should hold."""
    readme = ROOT / 'README.md'
    return {ROOT / 'config' / 'dice.yaml': yaml_text(), readme: readme_text(readme.read_text())}


def main(arguments: list[str] | None = None) -> int:
    """Write the files that differ, or with --check only name them; 1 = some differ."""
    parser = argparse.ArgumentParser(description="Write config/dice.yaml and the README's table.")
    parser.add_argument('--check', action='store_true', help='write nothing; exit 1 if outdated')
    check = parser.parse_args(arguments).check
    outdated = [(path, text) for path, text in outputs().items()
                if not path.exists() or path.read_text() != text]
    for path, text in outdated:
        print(path.relative_to(ROOT))
        if not check:
            path.write_text(text)
    return 1 if check and outdated else 0


if __name__ == '__main__':
    sys.exit(main())
