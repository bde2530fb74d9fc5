"""Tables for an app that has none: aligned in a code block where they are narrow, as a list where not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

MAX_COLUMNS: Final = 60
"""Of a terminal's kind: with more, Discord's code blocks wrap on a laptop."""

MAX_BLOCK_CHARS: Final = 900
"""Of one code block, less than half a message: so pages are cut between the blocks of a long table, and each
has the table's head."""

_GAP: Final = "  "
_RULE = re.compile(r"[ \t|:-]*-[ \t|:-]*")
_MAYBE_RULE = re.compile(r"[ \t|:-]*")
_CELL = re.compile(r"(?:`[^`]*`|\\.|[^|])*")
"""Code stays whole: half of it in a cell of its own would be no code."""
_MARK = re.compile(r"\[\[(\d{1,3})\]\]\([^()\s]*\)")
_SIGNS = re.compile(r"\*\*|~~|`|\u200b|\\(?=[^\w\s])")
"""What is drawn as nothing outside a code block and would be seen inside: emphasis, escapes."""


def is_table(lines: Sequence[str]) -> bool:
    """lines: of Markdown, all of which start with a bar."""
    return len(lines) > 1 and _RULE.fullmatch(lines[1]) is not None


def may_become_table(lines: Sequence[str]) -> bool:
    """Whether it is a table, or could be one when more of it comes."""
    if len(lines) == 2:
        return _MAYBE_RULE.fullmatch(lines[1]) is not None
    return len(lines) < 2 or is_table(lines)


def table_lines(lines: Sequence[str]) -> list[str]:
    """A whole table for Discord. Its marks are links already: `[[1]](url)`."""
    head, *rows = [_cells(line) for place, line in enumerate(lines) if place != 1]
    plain = [[_plain(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(_n_columns, column)) for column in zip_longest(*plain, fillvalue="")]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > MAX_COLUMNS:
        return list(_listed(head, rows))
    marks = dict.fromkeys(mark[0] for line in lines for mark in _MARK.finditer(line))
    return [*_blocks(plain[0], plain[1:], widths), *filter(None, [" ".join(marks)])]


def _cells(line: str) -> list[str]:
    row = line.strip().removeprefix("|")
    cells = [row[start:end].strip() for start, end in _cell_spans(row)]
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


def _cell_spans(row: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start <= len(row):
        cell = _CELL.match(row, start)
        end = cell.end() if cell else len(row)
        yield start, end
        start = end + 1


def _plain(cell: str) -> str:
    return _SIGNS.sub("", _MARK.sub(r"[\1]", cell))


def _n_columns(text: str) -> int:
    """East Asian wide characters and most emoji take two; combining and zero-width ones none."""
    return sum(
        0 if unicodedata.category(sign) in ("Mn", "Me", "Cf") else 2 if _is_wide(sign) else 1 for sign in text
    )


def _is_wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF"


def _blocks(head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    """Lines of code blocks, each with the head."""
    top = ["```", _aligned(head, widths), _GAP.join("-" * width for width in widths)]
    n_chars_top = sum(len(line) + 1 for line in top) + len("```")
    yield from top
    n_chars = n_chars_top
    for line in (_aligned(row, widths) for row in rows):
        if n_chars + len(line) + 1 > MAX_BLOCK_CHARS and n_chars > n_chars_top:
            yield from ("```", *top)
            n_chars = n_chars_top
        n_chars += len(line) + 1
        yield line
    yield "```"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    filled = [*cells, *[""] * (len(widths) - len(cells))]
    padded = (cell + " " * (width - _n_columns(cell)) for cell, width in zip(filled, widths, strict=True))
    return _GAP.join(padded).rstrip()


def _listed(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A row is an item: its first cell, then each other one under its column's name."""
    for row in rows:
        named = [
            f"{name}: {cell}" if name else cell
            for name, cell in zip_longest(head[1:], row[1:], fillvalue="")
            if cell
        ]
        yield f"- {' — '.join(filter(None, (row[0], '; '.join(named))))}"
    if not rows:
        yield f"- {'; '.join(head)}"
