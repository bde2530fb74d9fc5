"""Reads what brackets mean in Markdown, HTML, Slack and Discord, in text that may go on.

A reading does not depend on where the text was cut: it is given once nothing that follows could change it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from core.answering.footnotes import MARK
from core.answering.hosts import is_risky

SEAM: Final = "\ue000"
"""Where a bracket stood that is gone: a private character, which no text has at this point. It keeps what
stood on either side from making up a mark, and is never handed out."""

_OPAQUE = r"\\[^`]|`[^`]*`|\n[ \t]*\n"
_SQUARE = re.compile(rf"{_OPAQUE}|[\[\]]", re.DOTALL)
_ROUND = re.compile(rf"{_OPAQUE}|[()]", re.DOTALL)
_ANGLE = re.compile(r"`[^`]*`|[<>\n]")  # no platform lets a backslash escape these

_MAX_DEPTH: Final = 16
"""Brackets in brackets: deeper than any text, and without it each of a thousand would be looked through."""
_COMPARED: Final = tuple(" \t\n=-0123456789")
"""What "less than", or an arrow, is followed by, and no tag or token."""
_TARGET = re.compile(r"\s*(?:[/#.&%\\<]|\?(?![:=!<])|\Z|[\w+.-]+:\S)")
_URI = re.compile(r"(?:[\w+.-]+:|[/\\]{2}|www\.)\S", re.IGNORECASE)
_CALLED = re.compile(r"\w\Z")
_CHAT_TOKEN = re.compile(r"[@#!].*|a?:\w+:\d+|t:-?\d+(?::\w)?|/[^<>:]+:\d+|id:\w+", re.DOTALL)
_DECLARATION = re.compile(r"!(?:doctype\b|--|\[)", re.IGNORECASE)


class Meaning(Enum):
    PLAIN = auto()
    """The bracket is a sign like any other."""
    LINK = auto()
    """To be replaced by a text, where there is one to show."""
    CODE = auto()
    """Belongs to the word around it, which is shown as code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """end: of a link or code. start: of a link; its "!" makes it an image. text: what a link leaves."""

    meaning: Meaning
    end: int = 0
    start: int = 0
    text: str = ""


_PLAIN: Final = Bracket(meaning=Meaning.PLAIN)


def read_bracket(text: str, at: int, *, complete: bool, opens_line: bool) -> Bracket | None:
    """What the bracket at `at`, square or angle, means; None while that is not known.

    complete: nothing follows that counts. opens_line: nothing but list or quote marks before it in its line.
    """
    if text[at] == "<":
        return _read_angle(text, at, complete=complete)
    return _read_square(text, at, complete=complete, opens_line=opens_line)


def _read_square(text: str, at: int, *, complete: bool, opens_line: bool) -> Bracket | None:
    unknown = _PLAIN if complete else None
    closing = _closing(_SQUARE, text, at)
    if closing is None or closing == len(text) - 1:
        return unknown
    if not closing:
        return _PLAIN
    label = text[at + 1 : closing]
    if text[closing + 1] == ":" and opens_line and not MARK.search(label):
        return Bracket(meaning=Meaning.CODE, end=closing + 2)
    if text[closing + 1] != "(":
        return _PLAIN
    end = _closing(_ROUND, text, closing + 1)
    if end is None:
        return unknown
    return _read_link(text, at, closing, end) if end else _PLAIN


def _read_link(text: str, at: int, closing: int, end: int) -> Bracket:
    """For square brackets with round ones right after them: a link, or an expression such as a[i](x)."""
    label, target = text[at + 1 : closing], text[closing + 2 : end]
    is_called = _CALLED.search(text, 0, at) and " " not in label and not _URI.match(target)
    if not is_called and (_TARGET.match(target) or is_risky(target)):
        start = at - 1 if text[:at].endswith("!") else at
        return Bracket(meaning=Meaning.LINK, start=start, end=end + 1, text=label)
    if MARK.search(text, at, end):
        return _PLAIN
    return Bracket(meaning=Meaning.CODE, end=end + 1)


def _read_angle(text: str, at: int, *, complete: bool) -> Bracket | None:
    following = text[at + 1 : at + 2]
    if not following and not complete:
        return None
    if not following or following in _COMPARED:
        return _PLAIN
    closing = _closing(_ANGLE, text, at)
    if closing is None and not complete:
        return None
    left = _left_of(text[at + 1 : closing].replace(SEAM, "")) if closing else None
    if not closing or (left is None and ("|" in text[at:closing] or MARK.search(text, at, closing))):
        return Bracket(meaning=Meaning.CODE, end=at + 1)
    if left is None:
        return Bracket(meaning=Meaning.CODE, end=closing + 1)
    return Bracket(meaning=Meaning.LINK, start=at, end=closing + 1, text=left)


def _left_of(inner: str) -> str | None:
    """What a reader needs of angle brackets' content; None if it is no link, token or tag that loads."""
    target, bar, label = inner.partition("|")
    label = label.replace("`", "")  # the bar may have stood in a code span
    if _CHAT_TOKEN.fullmatch(target):
        return None if _DECLARATION.match(target) else label
    if bar and (_TARGET.match(target) or is_risky(target)):
        return label
    if bar or not is_risky(inner):
        return None
    return "" if re.search(r"\s", inner) else inner


def _closing(signs: re.Pattern[str], text: str, at: int) -> int | None:
    """Where the bracket at `at` is closed; 0 if it is not in its paragraph or line; None if the text ends."""
    depth = 0
    for sign in signs.finditer(text, at):
        if sign[0] in "[(<":
            depth += 1
            if depth > _MAX_DEPTH:
                return 0
        elif sign[0] in "])>":
            depth -= 1
        elif sign[0][0] == "\n":
            return 0
        if not depth:
            return sign.start()
    return None
