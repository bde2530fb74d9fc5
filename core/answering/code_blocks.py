"""Writes a model's fenced code as blocks that every chat app takes for code.

Slack and Discord know no tildes, no fence longer than three backticks, and end a block at the next three
wherever they stand; Discord sees no block where nothing is in it; CommonMark ends one with the list or the
quotation around it. So each block is handed out in the one form that all agree on.
"""

from __future__ import annotations

import re
from typing import Final

from core.answering.code_spans import MAX_HELD_CHARS

_MARKER: Final = "```"
_MAX_INDENT: Final = 3
"""Columns: with more, CommonMark may see no fence (section 4.5)."""
_TAB_COLUMNS: Final = 4
_BLANK: Final = " \t\n"
"""What the splitter holds until its line is whole; other spaces may come before what they stand before."""

_OPENING = re.compile(
    r"(?P<lead>[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*)(?P<fence>`{3,}|~{3,})"
    r"[ \t]*(?P<language>[\w+#.-]{0,20})"
)
_CLOSING = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*\n?")
_QUOTE_MARK = re.compile(r"\A[ \t]{0,3}> ?")
_INDENT = re.compile(r"[ \t]*")
_TICKS = re.compile(r"`{3,}")


class CodeBlock:
    """A block that is being written: feed it the lines, or parts of them, that follow the opening one.

    opening: the line with the fence. What precedes the fence, such as a list's bullet, gets its own line.
    """

    def __init__(self, opening: str) -> None:
        found = _OPENING.match(opening)
        assert found is not None  # noqa: S101 # the caller knows an opening line
        lead = found["lead"]
        self.closed = False
        self._fence = found["fence"]
        self._n_quotes = lead.count(">")
        columns = len(lead.expandtabs(_TAB_COLUMNS))
        self._indent = " " * min(columns, _MAX_INDENT)
        self._n_dropped_columns = 0 if self._n_quotes else columns - len(self._indent)
        label = f"{lead.rstrip()}\n" if lead.strip() else ""
        self._head = f"{label}{self._indent}{_MARKER}{found['language']}\n"
        self._at_line_start = True
        self._n_ticks = 0  # backticks that the part before ended with

    def feed(self, part: str) -> str:
        if self._at_line_start and self._closes(part):
            self.closed = True
            return self._closing() + part[len(part.rstrip("\n")) :] if not self._head else ""
        if self._head and not part.strip(_BLANK):
            return ""
        shown = self._head + self._content(part)
        self._head = ""
        self._at_line_start = part.endswith("\n")
        return shown

    def finish(self) -> str:
        """What closes a block that its writer left open."""
        if self._head:
            return ""
        return self._closing() if self._at_line_start else f"\n{self._closing()}"

    def _closing(self) -> str:
        return self._indent + _MARKER

    def _closes(self, line: str) -> bool:
        """As the splitter sees it, to which a long line is no fence."""
        closing = _CLOSING.fullmatch(line) if len(line.rstrip("\n")) < MAX_HELD_CHARS else None
        return closing is not None and closing[1].startswith(self._fence)

    def _content(self, part: str) -> str:
        """The part, with no three backticks in a row."""
        text = self._indented(part) if self._at_line_start else part
        before = "`" * self._n_ticks
        shown = _TICKS.sub("``", before + text)
        self._n_ticks = len(shown) - len(shown.rstrip("`"))
        return shown[len(before) :]

    def _indented(self, line: str) -> str:
        """As deep in the block as before, and never outside of it."""
        for _ in range(self._n_quotes):
            line = _QUOTE_MARK.sub("", line)
        if not self._indent or not line.strip(_BLANK):
            return line
        indent = _INDENT.match(line)
        assert indent is not None  # noqa: S101 # it takes anything
        columns = len(indent[0].expandtabs(_TAB_COLUMNS)) - self._n_dropped_columns
        return " " * max(columns, len(self._indent)) + line[indent.end() :]
