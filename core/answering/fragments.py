"""Links that open a page at a sentence: `https://site/page#:~:text=first words,last words`.

The browser searches the page's text for the fragment's terms (WICG, "URL Fragment Text Directives"):
without regard to case, each term inside one block and on word boundaries, the first match winning.
What the page has more than once is told apart by the words around it, `words before-,first words`, which
may stand in the next block. What is not found just opens the page at its top.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final, TypeAlias
from urllib.parse import quote as percent_encode

from core.types import Page, PageKind

MAX_URL_CHARS: Final = 2_048

_Span: TypeAlias = tuple[int, int]
"""First and last place, exclusive, in the text that a browser searches."""

_SEARCHABLE: Final = (PageKind.HTML, PageKind.TEXT)
"""Pages in which a browser finds a text fragment."""

_EXACT_WORDS: Final = 10
_WIDENED_WORDS: Final = ((4, 4), (8, 4), (8, 8))
"""Words at the start and at the end, from what was measured to find 98 % of 2,226 sentences people marked."""
_EXACT_CLAUSES: Final = 2
_WIDENED_CLAUSES: Final = ((1, 1), (2, 2))
_CONTEXT_WORDS: Final = (3, 8)
"""Words or clauses before or after a quote that the page has twice."""
_CONTEXT_CHARS: Final = 200
"""No word is looked for further away."""

_UNSPACED = "[\u0e00-\u0edf\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
"""Thai and Lao, Burmese, Khmer, kana, Han: scripts without spaces between words."""
_WORD = re.compile(r"\S+\s*")
_CLAUSE = re.compile(r"[^\s、，。；：！？]+[\s、，。；：！？]*|[、，。；：！？]+")
_BLOCK_SYNTAX = re.compile(r"^\s*(?:#{1,6}\s+|(?:[-*+]|\d{1,9}[.)])\s+|>\s*)*")
_SEPARATOR_ROW = re.compile(r"[\s|:+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directive:
    """A text directive's terms. A suffix only goes with a start that is all of the quote."""

    start: str
    end: str = ""
    prefix: str = ""
    suffix: str = ""

    def matches(self, searched: str) -> Iterator[_Span]:
        """Where a browser would find it, in order."""
        for place in _occurrences(self.start, searched):
            stop = place + len(self.start)
            before = place - searched[place - 1].isspace()
            if not searched.endswith(self.prefix, 0, before) or not _is_boundary(
                searched, before - len(self.prefix)
            ):
                continue
            if self.end:
                last = next(_occurrences(self.end, searched, stop), None)
                if last is None:
                    return
                stop = last + len(self.end)
            if searched.startswith(self.suffix, stop + searched[stop].isspace()):
                yield place, stop

    def __str__(self) -> str:
        terms = (
            f"{_encoded(self.prefix)}-" if self.prefix else "",
            _encoded(self.start),
            _encoded(self.end),
            f"-{_encoded(self.suffix)}" if self.suffix else "",
        )
        return ",".join(filter(None, terms))


class PageLinks:
    """Links into one page, whose text is prepared once."""

    def __init__(self, page: Page) -> None:
        self._url = page.url
        blocks = plain_blocks(page.text) if page.kind in _SEARCHABLE else []
        # As a browser searches it: one line per block, without Markdown's signs.
        self._searched = "\n".join(["", *blocks, ""]).lower()

    def to(self, quote: str) -> str:
        """The page's URL with the shortest fragment that finds the quote alone; without one if none finds it.

        quote: verbatim from the page's text, Markdown and all. Of several places that only what stands
        around them tells apart it is the first, before all one that is a block of its own; where the
        quote's first blocks (a label, a cell) can't be told from others, those after them.
        """
        options = list(self._options(plain_blocks(quote)))
        in_context = (
            (wider, span) for directive, span in options for wider in self._in_context(directive, span)
        )
        for directive, span in chain(options, in_context):
            if list(islice(directive.matches(self._searched), 2)) == [span]:
                return _with_fragment(self._url, directive)
        for directive, span in options:
            first = next(directive.matches(self._searched), (0, 0))
            if self._searched[slice(*first)] == self._searched[slice(*span)]:
                return _with_fragment(self._url, directive)
        return self._url

    def _options(self, blocks: list[str]) -> Iterator[tuple[_Directive, _Span]]:
        """Without context, each with what it is to find."""
        for first in range(len(blocks)):
            wanted = "\n".join(blocks[first:]).lower()
            place = self._searched.find(f"\n{wanted}\n") + 1 or next(_occurrences(wanted, self._searched), 0)
            if place:
                for start, end in _candidates(blocks[first:]):
                    yield _Directive(start=start, end=end), (place, place + len(wanted))

    def _in_context(self, directive: _Directive, span: _Span) -> Iterator[_Directive]:
        """With more and more of what stands around it, of the same block or else of the next one."""
        start, stop = span
        block_start = self._searched.rfind("\n", 0, start - 1) + 1
        before = self._searched[max(block_start, start - _CONTEXT_CHARS) : start]
        after = self._searched[stop : stop + _CONTEXT_CHARS].lstrip().partition("\n")[0]
        for count in _CONTEXT_WORDS:
            prefix = "".join(_steps(before).findall(before)[-count:]).strip()
            suffix = "".join(_steps(after).findall(after)[:count]).strip()
            yield replace(directive, prefix=prefix)
            if not directive.end:
                yield replace(directive, suffix=suffix)
                yield replace(directive, prefix=prefix, suffix=suffix)


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
    step = _steps(first + last)
    spaced = step is _WORD
    beginning, ending = step.findall(first), step.findall(last)
    if not alone or len(beginning) > (_EXACT_WORDS if spaced else _EXACT_CLAUSES):
        for n_first, n_last in _WIDENED_WORDS if spaced else _WIDENED_CLAUSES:
            yield "".join(beginning[:n_first]).strip(), "".join(ending[-n_last:]).strip()
    yield (first, "") if alone else (first, last)


def _steps(text: str) -> re.Pattern[str]:
    """What a term of it is made of: words, or clauses where only a dictionary knows where a word ends."""
    return _CLAUSE if re.search(_UNSPACED, text) else _WORD


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


def _with_fragment(url: str, directive: _Directive) -> str:
    page, hash_, fragment = url.partition("#")
    linked = f"{page}#{fragment.partition(':~:')[0] if hash_ else ''}:~:text={directive}"
    return linked if len(linked) <= MAX_URL_CHARS else url


def _encoded(term: str) -> str:
    """`-` is syntax in a text directive, beside what URLs themselves reserve."""
    return percent_encode(term, safe="").replace("-", "%2D")
