"""Links that open a page at a sentence: `https://site/page#:~:text=first words,last words`.

The browser searches the page's text for the fragment's terms (WICG, "URL Fragment Text Directives"):
without regard to case, each term inside one block and on word boundaries, the first match winning.
What is not found just opens the page at its top.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote as percent_encode

from core.types import Page, PageKind

MAX_URL_CHARS: Final = 2_048

_SEARCHABLE: Final = (PageKind.HTML, PageKind.TEXT)
"""Pages in which a browser finds a text fragment."""

_EXACT_WORDS: Final = 10
_WIDENED_WORDS: Final = ((4, 4), (8, 4), (8, 8))
"""Words at the start and at the end, from what was measured to find 98 % of 2,226 sentences people marked."""
_EXACT_CLAUSES: Final = 2
_WIDENED_CLAUSES: Final = ((1, 1), (2, 2))

_UNSPACED = "[\u0e00-\u0edf\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
"""Thai and Lao, Burmese, Khmer, kana, Han: scripts without spaces between words."""
_WORD = re.compile(r"\S+\s*")
_CLAUSE = re.compile(r"[^\s、，。；：！？]+[\s、，。；：！？]*|[、，。；：！？]+")
_BLOCK_SYNTAX = re.compile(r"^\s*(?:#{1,6}\s+|(?:[-*+]|\d{1,9}[.)])\s+|>\s*)*")
_SEPARATOR_ROW = re.compile(r"[\s|:+-]+")


class PageLinks:
    """Links into one page, whose text is prepared once."""

    def __init__(self, page: Page) -> None:
        self._url = page.url
        searchable = page.kind in _SEARCHABLE
        # As a browser searches it: one line per block, without Markdown's signs.
        self._searched = "\n".join(plain_blocks(page.text)).lower() if searchable else ""

    def to(self, quote: str) -> str:
        """The page's URL with the shortest fragment that finds the quote; without one if none does.

        quote: verbatim from the page's text, Markdown and all. Where the page has it twice, the first
        is found; where its first blocks (a label, a cell) can't be told from others, those after them.
        """
        blocks = plain_blocks(quote)
        attempts = [
            (start, end, blocks[first:])
            for first in range(len(blocks))
            for start, end in _candidates(blocks[first:])
        ]
        for only in (True, False):
            for start, end, found in attempts:
                if self._finds(start, end, found, only=only):
                    return _with_fragment(self._url, start, end)
        return self._url

    def _finds(self, start: str, end: str, blocks: list[str], *, only: bool) -> bool:
        """Whether a browser that looks for the terms ends up at these blocks.

        only: and whether it is the one place where they start.
        """
        wanted = "\n".join(blocks).lower()
        places = list(islice(_occurrences(start, self._searched), 2))
        if not places or (only and len(places) > 1) or not self._searched.startswith(wanted, places[0]):
            return False
        last = places[0] + len(wanted) - len(end)
        return not end or next(_occurrences(end, self._searched, places[0] + len(start)), -1) == last


def plain_blocks(text: str) -> list[str]:
    """Lines and table cells, without their Markdown, spaces collapsed."""
    blocks: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")) or _SEPARATOR_ROW.fullmatch(line):
            continue
        stripped = _BLOCK_SYNTAX.sub("", line)
        cells = stripped.split("|") if stripped.startswith("|") else [stripped]
        blocks.extend(words for cell in cells if (words := " ".join(cell.replace("`", "").split())))
    return blocks


def _candidates(blocks: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of a start and an end term, shortest first; an empty end means that the start is all of it."""
    first, last = blocks[0], blocks[-1]
    alone = len(blocks) == 1
    spaced = not re.search(_UNSPACED, first + last)
    # Inside a clause only a dictionary knows where a word of an unspaced script ends.
    step = _WORD if spaced else _CLAUSE
    beginning, ending = step.findall(first), step.findall(last)
    if not alone or len(beginning) > (_EXACT_WORDS if spaced else _EXACT_CLAUSES):
        for n_first, n_last in _WIDENED_WORDS if spaced else _WIDENED_CLAUSES:
            yield "".join(beginning[:n_first]).strip(), "".join(ending[-n_last:]).strip()
    yield (first, "") if alone else (first, last)


def _occurrences(term: str, searched: str, begin: int = 0) -> Iterator[int]:
    """Where the term stands on word boundaries, in order."""
    term = term.lower()
    while (place := searched.find(term, begin)) >= 0:
        if _is_boundary(searched, place) and _is_boundary(searched, place + len(term)):
            yield place
        begin = place + 1


def _is_boundary(text: str, place: int) -> bool:
    if not 0 < place < len(text):
        return True
    before, after = text[place - 1], text[place]
    return not (before.isalnum() and after.isalnum()) or re.match(_UNSPACED, before + after) is not None


def _with_fragment(url: str, start: str, end: str) -> str:
    terms = ",".join(_encoded(term) for term in (start, end) if term)
    page, hash_, fragment = url.partition("#")
    linked = f"{page}#{fragment.partition(':~:')[0] if hash_ else ''}:~:text={terms}"
    return linked if len(linked) <= MAX_URL_CHARS else url


def _encoded(term: str) -> str:
    """`-` is syntax in a text directive, beside what URLs themselves reserve."""
    return percent_encode(term, safe="").replace("-", "%2D")
