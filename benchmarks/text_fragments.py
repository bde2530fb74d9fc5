"""Whether links open pages at what they quote: a browser's search for text directives, written anew.

After WICG, "URL Fragment Text Directives": without regard to case, spaces collapsed, each term on word
boundaries, prefix and suffix touching what they stand around but for a space. Nothing here is shared with
the code that makes the links.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from core.answering.fragments import PageLinks
from core.reading.passages import sentences
from core.types import Page, PageKind

SENTENCES_A_PAGE = 10
_URL = "https://example.org/"
_UNSPACED = "\u0e00-\u0edf\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts in which a word may begin anywhere."""

_MARKDOWN = re.compile(
    r"^[ \t]*(?:(?:#{1,6}|[-*+>]|\d{1,9}[.)])[ \t]+)+|^[ \t]*(?:```|~~~).*|[`|]", re.MULTILINE
)
_TABLE_RULE = re.compile(r"^[ \t|:+-]+$", re.MULTILINE)


def found_share(texts: Iterable[str]) -> str:
    """Of random sentences, headings, rows and code blocks of pages: how many are found once, and alone.

    texts: the pages' own, as extracted.
    """
    chance = random.Random(0)
    n_sentences = n_found = 0
    for text in texts:
        links = PageLinks(Page(url=_URL, title="", text=text, kind=PageKind.HTML))
        searched = _as_shown(text)
        every = sentences(text)
        for sentence in chance.sample(every, min(SENTENCES_A_PAGE, len(every))):
            found = list(found_by_a_browser(links.to(sentence), searched))
            n_sentences += 1
            n_found += len(found) == 1 and found[0] in _as_shown(sentence)
    return (
        f"{n_found} of {n_sentences} found exactly once in their page ({n_found / max(1, n_sentences):.1%})"
    )


def found_by_a_browser(link: str, searched: str) -> Iterator[str]:
    """What the link's directive matches from each place on; nothing without a directive.

    searched: as `_as_shown` gives it.
    """
    directive = link.partition(":~:text=")[2]
    if not directive:
        return
    terms = directive.split(",")
    prefix = _as_shown(unquote(terms.pop(0)[:-1])) if terms[0].endswith("-") else ""
    suffix = _as_shown(unquote(terms.pop()[1:])) if terms[-1].startswith("-") else ""
    start, *ends = [_bounded(" ".join(unquote(term).lower().split())) for term in terms]
    end = rf".*?{ends[0]}" if ends else ""
    after = rf"(?= ?{re.escape(suffix)})" if suffix else ""
    before = rf"{_bounded(prefix)} ?" if prefix else ""
    pattern = re.compile(f"{before}(?P<quote>{start}{end}){after}")
    for begin in re.finditer(f"(?={before}{start})", searched):
        if match := pattern.match(searched, begin.start()):
            yield match["quote"]


def _bounded(term: str) -> str:
    """A pattern. Only letters and digits next to each other are no boundary."""
    before = rf"(?<![^\W{_UNSPACED}])" if re.match(rf"[^\W{_UNSPACED}]", term) else ""
    after = rf"(?![^\W{_UNSPACED}])" if re.search(rf"[^\W{_UNSPACED}]\Z", term) else ""
    return before + re.escape(term) + after


def _as_shown(text: str) -> str:
    """In lower case and one line, without Markdown's signs."""
    return " ".join(_MARKDOWN.sub(" ", _TABLE_RULE.sub(" ", text)).lower().split())
