"""Footnote marks in canonical text, for whoever shows them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from core.answering.code_spans import CodeSplitter, Run
from core.answering.footnotes import MARK

_HALF_MARK = re.compile(r"\[(?:\^\d{0,3})?\Z")


def runs(text: str) -> Iterator[Run]:
    """Code and prose in turn; joined, they are the text."""
    splitter = CodeSplitter()
    yield from splitter.feed(text)
    yield from splitter.finish()


def without_half_mark(text: str) -> str:
    """A draft's text up to a mark whose rest has not come yet."""
    return _HALF_MARK.sub("", text)


def settled(text: str) -> str:
    """The start of a growing text that reads the same whatever follows: no half mark, no half code."""
    known = list(CodeSplitter().feed(text))
    start = "".join(run.text for run in known)
    return start if known and known[-1].code else without_half_mark(start)


def replace_marks(
    text: str, shown: Callable[[int, int], str], *, prose: Callable[[str], str] = lambda text: text
) -> str:
    """Each mark as `shown(number, use)`, what is between them as `prose` makes it; code stays as it is.

    use: how many marks of that number stand before it, so that a footnote's quotes[use] and links[use]
        belong to it.
    """
    uses: Counter[int] = Counter()
    pieces: list[str] = []
    for run in runs(text):
        if run.code:
            pieces.append(run.text)
            continue
        between = MARK.split(run.text)  # text, number, text, number, …, text
        pieces.append(prose(between[0]))
        for digits, following in zip(between[1::2], between[2::2], strict=True):
            number = int(digits)
            pieces += [shown(number, uses[number]), prose(following)]
            uses[number] += 1
    return "".join(pieces)
