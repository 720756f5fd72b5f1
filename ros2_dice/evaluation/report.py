# SPDX-License-Identifier: Apache-2.0
"""A page of tables, charts and pictures in one HTML file that needs no other."""
from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ros2_dice.errors import ConfigError
from ros2_dice.evaluation.gallery import Card

NAME = 'index.html'

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 0 auto;
  padding: 24px; max-width: 1080px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 8px; border-bottom: 1px solid #d5dbe3; padding-bottom: 4px; }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { max-width: 780px; margin: 6px 0; }
.quiet { color: #5d6b7c; font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 8px 0 14px; font-size: 14px; }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid #e6eaf0;
  vertical-align: top; }
th { color: #5d6b7c; font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.strong td { font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; }
figure img { width: 100%; height: 300px; object-fit: contain; background: #eef1f5; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: #5d6b7c; }
"""

_NUMBER = re.compile(r'-?|-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?')
"""Text that stands like a number: also an empty cell and a dash."""

Cell = str | float | int | None


class Report:
    """
    Collects the parts of a page, in order.

    Args:
        title: of the page.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts = [f'<h1>{escape(title)}</h1>']

    def heading(self, text: str, level: int = 2) -> None:
        """Begin a section."""
        self._parts.append(f'<h{level}>{escape(text)}</h{level}>')

    def text(self, text: str, *, quiet: bool = False) -> None:
        """Add a paragraph."""
        kind = ' class="quiet"' if quiet else ''
        self._parts.append(f'<p{kind}>{escape(text)}</p>')

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Cell]], *,
              strong: Iterable[int] = ()) -> None:
        """
        Add a table; numbers go to the right, None is a dash.

        Args:
            header: of each column.
            rows: cells.
            strong: numbers of the rows that stand out.
        """
        rows, bold = [list(row) for row in rows], set(strong)
        numeric = [bool(rows) and all(_NUMBER.fullmatch(cell(row[k])) for row in rows)
                   for k in range(len(header))]
        mark = [' class="n"' if right else '' for right in numeric]
        head = ''.join(f'<th{m}>{escape(name)}</th>' for m, name in zip(mark, header))
        body = ''.join(
            f'<tr{" class=strong" if n in bold else ""}>'
            + ''.join(f'<td{m}>{escape(cell(value))}</td>' for m, value in zip(mark, row))
            + '</tr>' for n, row in enumerate(rows))
        self._parts.append(f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
                           f'<tbody>{body}</tbody></table></div>')

    def chart(self, svg: str) -> None:
        """Add a drawing of `charts`."""
        self._parts.append(svg)

    def cards(self, cards: Iterable[Card]) -> None:
        """Add pictures with what is wrong in them."""
        figures = ''.join(
            f'<figure><img src="{card.data_uri()}" alt="{escape(card.kind, quote=True)}">'
            f'<figcaption>{escape(card.title)}</figcaption></figure>' for card in cards)
        self._parts.append(f'<div class="cards">{figures}</div>')

    def html(self) -> str:
        """Return the page."""
        return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f'<title>{escape(self._title)}</title><style>{_STYLE}</style></head><body>\n'
                + '\n'.join(self._parts) + '\n</body></html>\n')

    def write(self, folder: Path) -> Path:
        """
        Write the page into a folder and return its path.

        Raises:
            ConfigError: the folder can't be written.
        """
        path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(self.html(), encoding='utf-8')
        except OSError as error:
            raise ConfigError(f"--report {folder} can't be written ({error.strerror or error})",
                              expected='a folder that this user may write') from error
        return path


def cell(value: Cell) -> str:
    """Return a table's cell as text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return '-'
    if isinstance(value, float):
        return f'{value:.3g}' if abs(value) < 0.01 and value else f'{value:.2f}'
    return str(value)
