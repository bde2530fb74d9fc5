"""Tells code from prose in Markdown that arrives in pieces.

Code is what CommonMark 0.31 calls fenced code blocks and code spans (sections 4.5 and 6.1). Two
liberties: a fence may stand at any depth of lists and quotes, since those are not followed here; code
by indentation alone is prose, since models use four spaces for nested lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_HELD_CHARS: Final = 400
"""How far a code span, or the first line of a fence, may run before it is taken for prose: without it one
stray backtick would keep the rest of an answer from its reader."""

_FENCE = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*(`{3,}|~{3,})([^\n]*)(\n)?")
_MAYBE_FENCE = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*(?:\d{1,9}|`{0,2}|~{0,2})")
_MAYBE_FENCE_END = re.compile(r"[ \t>]*(?:`*|~*)[ \t\r]*")
_PROSE = re.compile(r"(?:[^`\\\n]|\\[^\n])+|\\(?=\n)")
_BACKTICKS = re.compile(r"`+")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_PARAGRAPH_END = re.compile(rf"{_BLANK_LINE.pattern}|\n[ \t>]*(?:```|~~~)")


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text. code: with its backticks or fences."""

    text: str
    code: bool


class CodeSplitter:
    """Feed it text in any pieces: the runs' texts, joined, are that text, and what is code does not depend
    on the cuts. Where one stretch of prose ends and the next begins means nothing."""

    def __init__(self) -> None:
        self._held = ""
        self._fence = ""  # the run of characters that opened the block we are in
        self._line_start = True

    def feed(self, piece: str) -> Iterator[Run]:
        self._held += piece
        return self._runs(final=False)

    def finish(self) -> Iterator[Run]:
        return self._runs(final=True)

    def _runs(self, *, final: bool) -> Iterator[Run]:
        while self._held and (run := self._next(final=final)):
            self._held = self._held[len(run.text) :]
            yield run

    def _next(self, *, final: bool) -> Run | None:
        """The run that the held text starts with; None while that cannot be told."""
        if self._fence:
            return self._fenced_line(final=final)
        if self._line_start:
            if self._may_open_fence() and not final:
                return None
            if opening := self._opening_fence():
                return opening
        return self._inline(final=final)

    def _may_open_fence(self) -> bool:
        """Whether more text is needed to know if the line opens a fence."""
        if len(self._held) >= MAX_HELD_CHARS:
            return False
        if opening := _FENCE.match(self._held):
            return not opening[3] and not _is_code_span(opening)
        return _MAYBE_FENCE.fullmatch(self._held) is not None

    def _opening_fence(self) -> Run | None:
        opening = _FENCE.match(self._held[:MAX_HELD_CHARS])
        if not opening or _is_code_span(opening):
            return None
        if not opening[3] and len(self._held) >= MAX_HELD_CHARS:
            return None
        self._fence = opening[1]
        return Run(opening[0], code=True)

    def _fenced_line(self, *, final: bool) -> Run | None:
        line, newline, _ = self._held.partition("\n")
        may_close = self._line_start and len(line) < MAX_HELD_CHARS and _MAYBE_FENCE_END.fullmatch(line)
        if may_close and not newline and not final:
            return None
        if may_close and line.strip(" \t\r>").startswith(self._fence):
            self._fence = ""
        self._line_start = bool(newline)
        return Run(line + newline, code=True)

    def _inline(self, *, final: bool) -> Run | None:
        if self._held[0] == "\n":
            self._line_start = True
            return Run("\n", code=False)
        if self._held[0] == "`":
            return self._code_span(final=final)
        prose = _PROSE.match(self._held)
        if prose is None and not final:
            return None  # a lone backslash: it may escape what follows
        self._line_start = False
        return Run(prose[0] if prose else self._held, code=False)

    def _code_span(self, *, final: bool) -> Run | None:
        """What a run of backticks opens, up to its equal; the run itself as prose if it has none."""
        opening = _BACKTICKS.match(self._held[:MAX_HELD_CHARS])
        assert opening is not None  # noqa: S101 # the caller saw the backtick
        window = self._held[opening.end() : opening.end() + MAX_HELD_CHARS]
        # Chat apps take three backticks for a block wherever they stand, so a fence's end ends it here too.
        paragraph_end = (_BLANK_LINE if len(opening[0]) > 2 else _PARAGRAPH_END).search(window)
        complete = final or paragraph_end is not None or len(window) == MAX_HELD_CHARS
        inside = window[: paragraph_end.start()] if paragraph_end else window
        for closing in _BACKTICKS.finditer(inside):
            if len(closing[0]) == len(opening[0]) and (complete or closing.end() < len(window)):
                self._line_start = False
                return Run(self._held[: opening.end() + closing.end()], code=True)
        if not complete:
            return None
        self._line_start = False
        return Run(opening[0], code=False)


def _is_code_span(opening: re.Match[str]) -> bool:
    """Backticks later in the line: what looked like a fence is a code span of three or more."""
    return opening[1][0] == "`" and "`" in opening[2]
