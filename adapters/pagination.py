"""Cuts a text into messages that a platform takes, without breaking what should stay whole.

Where a page ends depends only on the text that it could hold, never on how it goes on: when a text
grows, all pages but the last stay as they were.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise, takewhile

MIN_LIMIT_CHARS = 64
"""With less, the fences of a code block that goes on might leave no room for the code."""

_MAX_FENCE_CHARS = 8
_RESERVED_CHARS = 1 + _MAX_FENCE_CHARS
"""Kept free on each page: a line feed and the fence that closes what the page leaves open."""

_MAX_HEAD_SHARE = 4
"""A table's head is repeated only if at least four of it would fill a page."""

_QUOTES_AND_LISTS = r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*"
_FENCE = re.compile(rf"{_QUOTES_AND_LISTS}(`{{3,{_MAX_FENCE_CHARS}}})(?!`)([^`]*)\Z")
_FENCE_END = re.compile(r"[ \t>]*(`{3,})\s*\Z")
_LANGUAGE = re.compile(r"\s*([^\s`]{1,20})(?!\S)")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]")
_TABLE_ROW = re.compile(r"[ \t]*\|")
_TABLE_RULE = re.compile(r"[ \t|:-]*-[ \t|:-]*\Z")

# After the stop, what closes a quotation or emphasis, and a mark or a link without spaces.
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)*_]*(?:\[\S*)?(?=\s)|[。！？][」』”’）]*(?:\[\^?\d{1,3}\])*")
_WIDE = r"[\u3041-\u30ff\u4e00-\u9fff]"  # kana and the common Chinese characters: written without spaces
_WORD_END = re.compile(rf"(?<=\S)(?=\s)|(?<={_WIDE})(?={_WIDE})|(?<=[、，；：])(?={_WIDE})")

_MAX_SPAN_CHARS = 1_300
"""Of inline code that is kept whole: more than the core's filter lets a word have."""

# A label may hold another pair of brackets. Each part has a greatest length, so that a stray bracket does not
# keep a whole page together.
_LABEL = r"\[(?:\\[^`\n]|[^\[\]`\\\n]|\[[^\[\]`\n]{0,20}+\]){0,300}+"
_TARGET = r"\((?:<[^<>`\n]{0,2000}>|[^()`\s]{0,2000})"
# Each part begins with a sign of its own, which lets the search skip what is between. Code comes first, and
# no other has a backtick: one with half of some code in it would free the other half.
_WHOLE = re.compile(
    rf"`{{1,8}}[^`\n]{{1,{_MAX_SPAN_CHARS}}}+`{{1,8}}"
    rf"|\[{_LABEL}\]{_TARGET}\)\]"
    rf"|{_LABEL}\]{_TARGET}\)"
    r"|<[^<>\s`]{1,2000}>"
    r"|\[\^?\d{1,3}\](?:\[\^?\d{1,3}\])*"
    r"|\*\*[^*`\n]{1,300}\*\*"
    # What may turn out to be one of these when its other half comes after the window.
    rf"|{_LABEL}(?:\](?:{_TARGET})?)?\Z"
    rf"|\[{_LABEL}(?:\](?:{_TARGET}\)?)?)?\Z"
    rf"|`{{1,8}}[^`\n]{{0,{_MAX_SPAN_CHARS}}}\Z|<[^<>\s`]{{0,2000}}\Z|\*\*[^*`\n]{{0,300}}\*?\Z",
)
_MARK = re.compile(r"\[\[?\^?(?:\d|\Z)")
_JOINERS = "\u200d\ufe0e\ufe0f"  # of emoji: zero-width joiner, variation selectors


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """One message. All bodies in order, with nothing but white space between them, are the whole text.

    opening, closing: what is not of the text: fences of a code block, or the head of a table, that comes from
        the page before; the fence of a block that goes on after this one.
    """

    opening: str
    body: str
    closing: str

    @property
    def text(self) -> str:
        return self.opening + self.body + self.closing


def paginate(text: str, limit: int, *, size: Callable[[str], int] = len) -> list[MessagePage]:
    """Pages of at most `limit`, none blank; no page for a blank text.

    Cut between paragraphs where that leaves a page at least half full, else between lines, sentences,
    words; inside a table row, a link or a word only where it is longer than a page. Of the limit, 9
    characters stay free to close a code block. Raises ValueError for a limit under MIN_LIMIT_CHARS.

    size: of a text as the platform counts it; characters (code points) unless given. That of two texts put
        together is the sum of theirs, and none is smaller than their number of characters.
    """
    if limit < MIN_LIMIT_CHARS:
        raise ValueError(f"a page needs at least {MIN_LIMIT_CHARS} characters, not {limit}")
    return [page for page in _pages(text, limit, size) if page.body.strip()]


@dataclass(frozen=True, slots=True)
class _Fence:
    """A code block that is open. marker: its backticks."""

    marker: str
    language: str


class _Kind(Enum):
    PROSE = auto()
    TABLE = auto()
    CODE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """end: of its text, where the line feed stands. fence: what is open after it.

    keeps_next: it makes little sense without the line after it.
    """

    start: int
    end: int
    kind: _Kind
    is_blank: bool
    keeps_next: bool
    fence: _Fence | None


def _pages(text: str, limit: int, size: Callable[[str], int]) -> Iterator[MessagePage]:
    rest = text
    fence: _Fence | None = None
    head = ""
    while rest := rest.removeprefix("\n") if fence else rest.lstrip():
        opening = f"{fence.marker}{fence.language}\n" if fence else head
        room = _n_fitting(rest, limit - size(opening) - _RESERVED_CHARS, size)
        end = len(rest) if len(rest) <= room else _cut(rest[: room + 1], fence)
        body = rest[:end]
        lines = list(_lines(body, fence))
        fence = lines[-1].fence
        yield MessagePage(
            opening=opening, body=body if fence else body.rstrip(), closing=_closing(body, fence)
        )
        rest = rest[end:]
        head = _head_of_next(lines, body, rest, head)
        if size(head) > limit // _MAX_HEAD_SHARE:
            head = ""


def _n_fitting(text: str, room: int, size: Callable[[str], int]) -> int:
    """How many of its characters there is room for."""
    most = min(len(text), room)
    if size(text[:most]) <= room:
        return room
    return bisect_right(range(most), room, key=lambda n_chars: size(text[:n_chars])) - 1


def _head_of_next(lines: Sequence[_Line], body: str, rest: str, head: str) -> str:
    """The rows that a page has to repeat because a table goes on there; none if there is no such table.

    head: what was repeated on the page that these lines are of.
    """
    if not (rest.startswith("\n") and _TABLE_ROW.match(rest, 1)):
        return ""
    rows = list(takewhile(lambda line: line.kind is _Kind.TABLE, reversed(lines)))
    if head and len(rows) == len(lines):
        return head
    head_rows = [body[row.start : row.end] for row in rows[:-3:-1]]
    is_head = len(head_rows) == 2 and _TABLE_RULE.match(head_rows[1])
    return "".join(f"{row}\n" for row in head_rows) if is_head else ""


def _closing(body: str, fence: _Fence | None) -> str:
    if fence is None:
        return ""
    return fence.marker if body.endswith("\n") else f"\n{fence.marker}"


def _lines(text: str, fence: _Fence | None) -> Iterator[_Line]:
    """fence: what is open before the first line."""
    start = 0
    keeps_next = False
    lines = text.split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        before, fence = fence, _fence_after(line, fence)
        is_blank = not line.strip()
        if not is_blank:
            opens = fence is not None and before is None
            keeps_next = opens or (fence is None and _introduces(line, following))
        yield _Line(
            start=start,
            end=start + len(line),
            kind=_kind(line, fence),
            is_blank=is_blank,
            keeps_next=keeps_next,
            fence=fence,
        )
        start += len(line) + 1


def _fence_after(line: str, fence: _Fence | None) -> _Fence | None:
    if "```" not in line:
        return fence
    if fence:
        closing = _FENCE_END.match(line)
        return None if closing and len(closing[1]) >= len(fence.marker) else fence
    if opening := _FENCE.match(line):
        language = _LANGUAGE.match(opening[2])
        return _Fence(opening[1], language[1] if language else "")
    return None


def _kind(line: str, fence: _Fence | None) -> _Kind:
    if fence:
        return _Kind.CODE
    return _Kind.TABLE if _TABLE_ROW.match(line) else _Kind.PROSE


def _introduces(line: str, following: str) -> bool:
    """A heading, or the head of a table."""
    return bool(
        _HEADING.match(line)
        or (_TABLE_ROW.match(line) and (_TABLE_RULE.match(line) or _TABLE_RULE.match(following)))
    )


def _cut(window: str, fence: _Fence | None) -> int:
    """Where a page ends that the text before it is too long for: the window has one character too many."""
    room = len(window) - 1
    whole = _Spans(_WHOLE, window)
    for places, least in _choices(window, list(_lines(window, fence)), whole):
        # Two characters beyond the place are in the window: a space, and the bracket of a mark.
        fitting = [place for place in places if least <= place < room and window[:place].strip()]
        if fitting:
            return max(fitting)
    return _cut_inside(window, whole)


def _choices(window: str, lines: Sequence[_Line], whole: _Spans) -> Iterator[tuple[Iterable[int], int]]:
    """Places to cut at, the best kind first, each with how much it has to leave on the page."""
    room = len(window) - 1
    half = room // 2
    ends = [(line, following) for line, following in pairwise(lines) if not line.keeps_next]
    paragraphs = [line.end for line, following in ends if following.is_blank and line.kind is not _Kind.CODE]
    others = [line.end for line, _ in ends if line.kind is not _Kind.CODE]
    code = [
        line.end
        for line, following in ends
        # Not right before the closing fence, which has to be in the window to be seen.
        if line.kind is following.kind is _Kind.CODE and line.end + _RESERVED_CHARS <= room
    ]
    yield from ((paragraphs, half), (others, half), (code, half))
    prose = [line for line in lines if line.kind is _Kind.PROSE]
    yield whole.outside(_places(_SENTENCE_END, window, prose)), half
    yield whole.outside(_places(_WORD_END, window, prose)), 1
    yield [*others, *code], 1
    yield whole.outside(_places(_WORD_END, window, lines)), 1


def _places(pattern: re.Pattern[str], window: str, lines: Iterable[_Line]) -> Iterator[int]:
    for line in lines:
        for match in pattern.finditer(window, line.start, line.end):
            yield match.end()


class _Spans:
    """Stretches of a text that are not to be cut."""

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        spans = [match.span() for match in pattern.finditer(text)]
        self._starts = [_tied_start(text, start) for start, _ in spans]
        self._ends = [end for _, end in spans]

    def start_of(self, place: int) -> int | None:
        """Where the span begins that a cut at `place` would break."""
        before = bisect_left(self._starts, place) - 1
        return self._starts[before] if before >= 0 and place < self._ends[before] else None

    def outside(self, places: Iterable[int]) -> Iterator[int]:
        return (place for place in places if self.start_of(place) is None)


def _tied_start(text: str, start: int) -> int:
    """Where a cut could come before a span: a link belongs to the sign before it, a mark to the word."""
    if text[start] != "[":
        return start
    if start and text[start - 1] in " \t" and _MARK.match(text, start):
        start -= 1
    return start - 1 if start and not text[start - 1].isspace() and text[start - 1] != "`" else start


def _cut_inside(window: str, whole: _Spans) -> int:
    """For a word, or a link, that is longer than a page."""
    place = len(window) - 1
    start = whole.start_of(place)
    if start is not None and window[:start].strip():
        place = start
    while place > 1 and _continues(window, place):
        place -= 1
    return place


def _continues(window: str, place: int) -> bool:
    """The character at `place` is drawn together with the one before it."""
    return (
        unicodedata.combining(window[place]) > 0
        or window[place] in _JOINERS
        or window[place - 1] == _JOINERS[0]
    )
