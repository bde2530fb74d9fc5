"""Turns the marks a model writes into footnotes, while it writes.

Canonical text is the model's, byte for byte, but for its marks and the spaces before them: every mark
outside code becomes "[^1]", numbered by first use, where the model put it, before or after the stop;
a mark right after a stop belongs to the sentence that ended there. What was handed out never changes.

Text filters compose by feeding one what another handed out. One that makes links harmless goes after this
one, since only there marks and a model's own brackets differ: a mark is what `MARK` finds outside code, and
nothing else in canonical text looks like that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from core.answering.code_spans import CodeSplitter
from core.answering.fragments import PageLinks
from core.answering.words import recall, weight, word_weights, words
from core.reading.passages import sentences
from core.types import Footnote, Source

MARK: Final = re.compile(r"\[\^(\d{1,3})\]")
"""A canonical mark."""

MAX_MARK_CHARS: Final = 48
"""The longest list of numbers taken for one mark: what may be held back after an unclosed bracket."""

_MAX_GAP_CHARS: Final = 8
_MAX_RANGE: Final = 20
_CONTEXT_SHARE: Final = 0.5
"""What a word before the last marks of its sentence counts, against one after them."""

_SPACE = r"[ \t\u00a0\u202f]"
_DASH = r"[-‐‑‒–—−]"
_NUMBER = r"\^?\d{1,3}"
_ITEM = rf"{_NUMBER}(?:{_SPACE}?{_DASH}{_SPACE}?{_NUMBER})?"
_LIST = rf"{_SPACE}?{_ITEM}(?:{_SPACE}?[,;、，；]{_SPACE}?{_ITEM}|{_SPACE}{_ITEM})*{_SPACE}?"
_ESCAPE = rf"\\{{0,{_MAX_GAP_CHARS}}}"
_WRITTEN_MARK = re.compile(
    rf"{_ESCAPE}[\[［]{_LIST}{_ESCAPE}[\]］]"
    rf"|\[\[{_LIST}\]\]"
    rf"|【{_LIST}(?::\d{{1,4}})?(?:†[^】\n]{{0,32}})?】"
)
_UNFINISHED_MARK = re.compile(
    rf"{_ESCAPE}(?:[\[［]\[?(?:{_SPACE}|{_DASH}|[\d^,;、，；])*{_ESCAPE}\]?"
    rf"|【(?:{_SPACE}|{_DASH}|[\d^,;、，；:])*(?:†[^】\n]*)?)?"
)
_BRACKET = re.compile(rf"({_SPACE}{{0,{_MAX_GAP_CHARS}}})({_ESCAPE}[\[［【])")
_BRACKET_AND_MARK = re.compile(rf"{_SPACE}{{0,{_MAX_GAP_CHARS}}}(?:{_WRITTEN_MARK.pattern})")
_TRAILING_GAP = re.compile(rf"{_SPACE}{{0,{_MAX_GAP_CHARS}}}{_ESCAPE}\Z")
_RANGE = re.compile(rf"\^?(\d+)(?:{_SPACE}?{_DASH}{_SPACE}?\^?(\d+))?")

_LINE_LEAD = re.compile(r"[ \t]*(?:(?:[-*+>|#]|\d{1,9}[.)])[ \t]*)*|.*\|")
"""What a line can have before its words: the spaces after it are Markdown's."""
_MARKS = re.compile(r"(?:\[\^\d{1,3}\])+")
_ENDED_BY_MARK = re.compile(r"[.!?…。！？][\"'”’»)*_]*(?:\[\^\d{1,3}\])+(?=[^\[])")
"""A stop with a mark after it ends a sentence even where, as after "vitamin C.", it might not."""
_CLOSING = tuple(".,;:!?)’”»。，；：！？、")
_JOINED = re.compile(r"[\[【［][^\]】］\n]*\x00|\\\x00|`\x00`|~\x00~")
"""Where \x00 stands for a dropped mark: what would close up to a mark, an escape or a fence without it."""

_FENCES = ("```", "~~~")
"""A dropped mark kept them from the beginning of a line, where all after them would be code."""


def footnote_to(source: Source, number: int, *, quotes: tuple[str, ...], links: tuple[str, ...]) -> Footnote:
    page = source.page
    return Footnote(
        number=number,
        title=page.title,
        url=page.url,
        host=source.host,
        kind=page.kind,
        published=page.published,
        quotes=quotes,
        links=links,
    )


def without_marks(text: str) -> str:
    """`text` without anything that could pass for a mark, such as a page's own reference numbers."""
    return _BRACKET_AND_MARK.sub("", text)


@dataclass(frozen=True, slots=True)
class _Mark:
    """number: the footnote's. place: where in the canonical text the mark begins."""

    number: int
    place: int
    quote: str
    link: str


class FootnoteWriter:
    """Feed it a model's text in any pieces; what it hands out, joined, does not depend on the cuts."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.text = ""
        """All that was handed out."""
        self.n_unknown_marks = 0
        """Numbers dropped because there is no such source."""
        self._sources = {source.number: source for source in sources}
        self._quotes = _Quotes(sources)
        self._splitter = CodeSplitter()
        self._held = ""
        self._gap: str | None = None  # the spaces before a mark just dropped: wanted again if a word follows
        # A mark that was dropped stood first in its line, and nothing has followed it yet.
        self._has_dropped_lead = False
        self._numbers: dict[int, int] = {}  # a source's number -> its footnote's
        self._marks: list[_Mark] = []

    def feed(self, piece: str) -> str:
        """The canonical text that can be shown now, after what was handed out before."""
        shown = len(self.text)
        for run in self._splitter.feed(piece):
            self._take(run.text, code=run.code)
        return self.text[shown:]

    def finish(self) -> str:
        """The rest, once the model has ended. Half a mark, where a text was cut off, is left out."""
        shown = len(self.text)
        for run in self._splitter.finish():
            self._take(run.text, code=run.code)
        if _BRACKET.match(self._held):
            self._held = ""
        self._read_prose(final=True)
        return self.text[shown:]

    def footnotes(self) -> tuple[Footnote, ...]:
        """Those of the text so far, by number. A later one may have more quotes, after the same ones."""
        return tuple(self._footnote(number, source) for source, number in self._numbers.items())

    def _footnote(self, number: int, source_number: int) -> Footnote:
        marks = [mark for mark in self._marks if mark.number == number]
        return footnote_to(
            self._sources[source_number],
            number,
            quotes=tuple(mark.quote for mark in marks),
            links=tuple(mark.link for mark in marks),
        )

    def _take(self, text: str, *, code: bool) -> None:
        if not code:
            self._held += text
            self._read_prose(final=False)
            return
        self._read_prose(final=True)
        self._write(text, code=True)

    def _read_prose(self, *, final: bool) -> None:
        """Hand out the held prose, up to where a mark may have begun."""
        while bracket := _BRACKET.search(self._held):
            window = self._held[bracket.start(2) : bracket.start(2) + MAX_MARK_CHARS]
            mark = _WRITTEN_MARK.match(window)
            if mark is None and not final and self._may_become_mark(window):
                break
            self._write(self._held[: bracket.start()])
            if mark is None:
                self._write(bracket[0])
                self._held = self._held[bracket.end() :]
            else:
                self._place(mark[0], gap=bracket[1])
                self._held = self._held[bracket.start(2) + mark.end() :]
        self._hand_out_before(len(self._held) if final else self._safe_length())

    def _may_become_mark(self, window: str) -> bool:
        return len(window) < MAX_MARK_CHARS and _UNFINISHED_MARK.fullmatch(window) is not None

    def _safe_length(self) -> int:
        """How much of the held prose a mark to come can't touch."""
        bracket = _BRACKET.search(self._held) or _TRAILING_GAP.search(self._held)
        return bracket.start() if bracket else len(self._held)

    def _hand_out_before(self, end: int) -> None:
        self._write(self._held[:end])
        self._held = self._held[end:]

    def _write(self, text: str, *, code: bool = False) -> None:
        if not text:
            return
        if self._gap is not None:
            self.text += self._gap_before(text, self._gap)
            self._gap = None
        self.text += text if code else self._escaped(text)

    def _escaped(self, text: str) -> str:
        """With a backslash before what would begin a code block only because a mark before it was dropped."""
        bare = text.lstrip(" \t")
        if not bare or not self._has_dropped_lead:
            return text
        self._has_dropped_lead = False
        opens = bare.startswith(_FENCES) and self._is_at_line_lead()
        return text.removesuffix(bare) + "\\" + bare if opens else text

    def _is_at_line_lead(self) -> bool:
        return _LINE_LEAD.fullmatch(self.text, self.text.rfind("\n") + 1) is not None

    def _gap_before(self, text: str, gap: str) -> str:
        """What stays of the spaces before a dropped mark that `text` follows."""
        if _JOINED.search(f"{self.text[-MAX_MARK_CHARS:]}\x00{text[0]}"):
            return gap or " "
        return "" if text[0].isspace() or text.startswith(_CLOSING) else gap

    def _place(self, written: str, *, gap: str) -> None:
        """Put a mark's numbers into the text, without the spaces that led to it."""
        statement = _statement(self.text)
        numbers = [number for number in self._known_numbers(written) if self._is_new(number, statement)]
        if not numbers:
            self._gap = self._gap or gap
            self._has_dropped_lead = self._has_dropped_lead or self._is_at_line_lead()
            return
        if self._is_at_line_lead():
            self.text += gap
        self._gap = None
        for number in numbers:
            self._add(number, statement)

    def _known_numbers(self, written: str) -> list[int]:
        numbers = list(dict.fromkeys(_numbers(written)))
        known = [number for number in numbers if number in self._sources]
        self.n_unknown_marks += len(numbers) - len(known)
        return known

    def _is_new(self, source_number: int, statement: _Statement) -> bool:
        """Whether the sentence has no mark of this source yet."""
        number = self._numbers.get(source_number)
        return all(mark.number != number or mark.place < statement.start for mark in reversed(self._marks))

    def _add(self, source_number: int, statement: _Statement) -> None:
        number = self._numbers.setdefault(source_number, len(self._numbers) + 1)
        quote = self._quotes.best(source_number, statement)
        link = self._quotes.link(source_number, quote)
        self._marks.append(_Mark(number=number, place=len(self.text), quote=quote, link=link))
        self.text += f"[^{number}]"


def _numbers(written: str) -> Iterator[int]:
    """The numbers in a mark as written, a range's in full."""
    for item in _RANGE.finditer(written.partition("†")[0].partition(":")[0]):
        first, last = int(item[1]), int(item[2] or item[1])
        if 0 <= last - first <= _MAX_RANGE:
            yield from range(first, last + 1)
        else:
            yield from (first, last)


@dataclass(frozen=True, slots=True)
class _Statement:
    """What a mark vouches for.

    start: where in the text its sentence begins, or its table cell.
    clause: its words since the marks before. context: those before that, in a table the row's.
    """

    start: int
    clause: str
    context: str


def _statement(text: str) -> _Statement:
    """What a mark at the end of this canonical text vouches for."""
    text = text.rstrip()
    line_start = text.rfind("\n") + 1
    line = MARK.sub(lambda mark: " " * len(mark[0]), text[line_start:])
    if line.lstrip().startswith("|"):
        start = line_start + line.rfind("|") + 1
        return _Statement(start=start, clause=text[start:], context=line)
    found = sentences(line)
    start = line_start + (line.rfind(found[-1]) if found else 0)
    for ended in _ENDED_BY_MARK.finditer(text, line_start):
        start = max(start, ended.end())
    clauses = [part for part in _MARKS.split(text[start:]) if words(part)]
    return _Statement(start=start, clause=clauses[-1] if clauses else "", context=text[start:])


class _Quotes:
    """Finds in a source the sentence that a mark points to."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sentences = {
            source.number: [
                (sentence, frozenset(words(sentence)))
                for passage in source.passages
                for sentence in sentences(passage.text)
            ]
            for source in sources
        }
        known = [found for of_source in self._sentences.values() for _, found in of_source]
        self._weights = word_weights(known)
        self._n_known = len(known)
        self._pages = {source.number: source.page for source in sources}
        self._links: dict[int, PageLinks] = {}

    def best(self, source_number: int, statement: _Statement) -> str:
        """The sentence that shares most with the statement, the earliest of equals; empty if none does."""
        wanted = self._worth(statement)
        scored = [(recall(wanted, found), sentence) for sentence, found in self._sentences[source_number]]
        score, sentence = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        return sentence if score else ""

    def _worth(self, statement: _Statement) -> dict[str, float]:
        worth = {
            word: _CONTEXT_SHARE * self._weight(word) for word in words(MARK.sub(" ", statement.context))
        }
        return worth | {word: self._weight(word) for word in words(statement.clause)}

    def _weight(self, word: str) -> float:
        return self._weights.get(word) or weight(word, 0, self._n_known)

    def link(self, source_number: int, quote: str) -> str:
        if source_number not in self._links:
            self._links[source_number] = PageLinks(self._pages[source_number])
        return self._links[source_number].to(quote)
