"""Cuts a page into the slices that are ranked and quoted, never through a sentence.

Pure, and linear in the length of the text whatever a stranger's page holds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import sentencex

from core.types import Page, Passage

MAX_PASSAGE_TOKENS = 120
"""With title and heading: what an embedding model of 128 tokens reads, less its marks and an error of
estimate. It makes about 95 English words: blind cuts lose answers, longer passages are not read whole."""

MAX_CONTEXT_TOKENS = 40
"""What title and heading may take of that: a title stuffed with words must not crowd out the text."""

MIN_SECTION_TOKENS = 60
"""A section shorter than half a passage shares its passage with the next one."""

_TOKEN_CHARS = 7  # at which the estimate's mean error over three public corpora is smallest on the high side
_MAX_TOKEN_CHARS = 12
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")
_ATOM = re.compile(rf"[{_CJK}]\s*|[^\s{_CJK}]{{1,400}}\s*")
_CLAUSE_END = re.compile(r"[,;:.!?、，；：。！？)\]—|]\s*\Z|\n\s*\Z")

_LINE_START = r"```|\#{1,6}[ \t]|\||[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]"
_WRAPPED = rf"(?:\n(?!{_LINE_START}|[ \t]*$)[^\n]+)*"
_BLOCK = re.compile(
    rf"""
      (?P<code>^```.*?(?:^```[^\n]*$|\Z))
    | (?P<heading>^\#{{1,6}}[ \t][^\n]*$)
    | (?P<row>^\|[^\n]*$)
    | (?P<item>^[ \t]*(?:[-*•]|\d{{1,3}}[.)])[ \t]+)[^\n]*{_WRAPPED}
    | (?P<prose>^[^\n]+{_WRAPPED})
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)

# A language's abbreviations ("z. B.", "т. е.") are not sentence ends; its commonest words betray it.
_FUNCTION_WORDS = {
    "en": re.compile(r"\b(?:the|and|of|is|to|that|for|with)\b"),  # first: it wins a tie
    "de": re.compile(r"\b(?:und|der|das|nicht|ist|ein|eine|mit)\b"),
    "fr": re.compile(r"\b(?:et|les|des|est|une|dans|pour|qui)\b"),
    "es": re.compile(r"\b(?:el|los|las|del|una|por|con|es)\b"),
    "it": re.compile(r"\b(?:il|che|di|della|per|sono|gli|è)\b"),
    "pt": re.compile(r"\b(?:os|uma|não|em|dos|para|com|é)\b"),
    "nl": re.compile(r"\b(?:het|een|van|niet|zijn|met|voor|ook)\b"),
    "pl": re.compile(r"\b(?:się|nie|jest|na|oraz|przez|jak|że)\b"),
    "ru": re.compile(r"\b(?:и|не|что|на|это|как|для|по)\b"),
}
_LANGUAGE_SAMPLE_CHARS = 4_000


class _Unit(NamedTuple):
    """text[start:end], kept whole: a sentence, a table row, a code block or a heading line.

    heading: what it stands under; a heading stands under itself.
    opens_section: it begins with a heading line.
    """

    start: int
    end: int
    heading: str
    opens_section: bool = False


def split_page(page: Page) -> tuple[Passage, ...]:
    """The whole page in order, without overlap, each passage verbatim from `page.text`.

    A passage ends between sentences, table rows and code blocks; only one that is too long by
    itself is cut, between words, after a clause where there is one. A heading stays with what follows.
    """
    return tuple(
        Passage(
            url=page.url,
            index=index,
            text=page.text[slice_.start : slice_.end],
            title=page.title,
            heading=slice_.heading,
        )
        for index, slice_ in enumerate(_pack(page.text, title_tokens=_cost(page.title)))
    )


def sentences(text: str) -> list[str]:
    """Verbatim and in order, without the white space between them.

    A heading line, a table row and a code block each count as one sentence.
    """
    return [text[unit.start : unit.end] for unit in _units(text)]


def _pack(text: str, *, title_tokens: int) -> Iterator[_Unit]:
    """Joins neighbours for as long as they fit; a new section starts anew unless the last one was short."""
    open_: _Unit | None = None
    spent = 0
    for unit in _with_headings(_units(text)):
        room = MAX_PASSAGE_TOKENS - min(MAX_CONTEXT_TOKENS, title_tokens + _cost(unit.heading))
        for piece in _cut(text, unit, room):
            if open_ is None:
                open_, spent = piece, _cost(text[piece.start : piece.end])
                continue
            added = _cost(text[open_.end : piece.end])
            if spent + added > room or (piece.opens_section and spent >= MIN_SECTION_TOKENS):
                yield open_
                open_, spent = piece, _cost(text[piece.start : piece.end])
            else:
                open_, spent = open_._replace(end=piece.end), spent + added
    if open_ is not None:
        yield open_


def _cut(text: str, unit: _Unit, room: int) -> Iterator[_Unit]:
    """The unit itself if it fits, else pieces that do: whole words, if possible up to the end of a clause."""
    if _cost(text[unit.start : unit.end]) <= room:
        yield unit
        return
    start, end, spent = unit.start, unit.start, 0
    safe_end = start
    for atom in _ATOM.finditer(text, unit.start, unit.end):
        cost = _cost(atom.group())
        if spent and spent + cost > room:
            piece_end = safe_end if safe_end - start > (end - start) // 2 else end
            yield _stripped(text, unit._replace(start=start, end=piece_end))
            start, safe_end, spent = piece_end, piece_end, _cost(text[piece_end:end])
        end, spent = atom.end(), spent + cost
        if _CLAUSE_END.search(atom.group()):
            safe_end = end
    if start < end:
        yield _stripped(text, unit._replace(start=start, end=end))


def _with_headings(units: Iterator[_Unit]) -> Iterator[_Unit]:
    """Headings joined to the unit that follows them: none is ever the last thing in a passage."""
    waiting: _Unit | None = None
    for unit in units:
        joined = unit._replace(start=waiting.start, opens_section=True) if waiting else unit
        waiting = joined if unit.opens_section else None
        if waiting is None:
            yield joined
    if waiting is not None:
        yield waiting


def _units(text: str) -> Iterator[_Unit]:
    language = _language(text[:_LANGUAGE_SAMPLE_CHARS])
    heading = ""
    for block in _BLOCK.finditer(text):
        if block["heading"]:
            heading = block["heading"].strip("# \t")
            yield _stripped(text, _Unit(block.start(), block.end(), heading, opens_section=True))
        elif block["code"] or block["row"]:
            yield _stripped(text, _Unit(block.start(), block.end(), heading))
        else:
            # The marker of a list item ends in a full stop that ends no sentence.
            marker_end = block.end("item") if block["item"] else block.start()
            yield from _sentence_units(text, block.start(), marker_end, block.end(), language, heading)


def _sentence_units(
    text: str, start: int, prose_start: int, end: int, language: str, heading: str
) -> Iterator[_Unit]:
    position = prose_start
    for sentence in sentencex.segment(language, text[prose_start:end]):
        position += len(sentence)
        if sentence.strip():
            yield _stripped(text, _Unit(start, position, heading))
            start = position


def _stripped(text: str, unit: _Unit) -> _Unit:
    slice_ = text[unit.start : unit.end]
    start = unit.start + len(slice_) - len(slice_.lstrip())
    return unit._replace(start=start, end=max(start, unit.start + len(slice_.rstrip())))


def _cost(text: str) -> int:
    """Tokens an English WordPiece vocabulary makes of it, about: 4 of 5 estimates are within a tenth.

    Short words and white space are counted as if they were long, which bounds a passage in words
    and in characters too.
    """
    tokens = sum(1 + (len(token) - 1) // _TOKEN_CHARS for token in _TOKEN.findall(text))
    return max(tokens, math.ceil(len(text.split()) * 1.2), len(text) // _MAX_TOKEN_CHARS)


def _language(sample: str) -> str:
    """ISO 639-1; English where nothing speaks for another of the languages known here."""
    lowered = sample.lower()
    counts = {language: len(words.findall(lowered)) for language, words in _FUNCTION_WORDS.items()}
    return max(counts, key=counts.__getitem__)
