"""What every chat platform needs to show footnotes: links that can't break out, titles on one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from core.answering.invisible import visible
from core.types import Footnote

_WEB = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_ENDING = re.compile(r"[^A-Za-z0-9%!#$&'+,./:;=?@_~-]+")
"""What could end a link: brackets, bars, quotes, backticks, white space; with it all that is not ASCII. The
percent sign stays, since it stands for such signs already."""


def web_url(url: str, *, max_chars: int) -> str:
    """The URL in a form that nothing of it can end a link; empty if it is none of the web, or too long."""
    if not _WEB.match(url):
        return ""
    encoded = _ENDING.sub(lambda signs: quote(signs[0], safe="", errors="replace"), url)
    return encoded if len(encoded) <= max_chars else ""


class MarkUrls:
    """Where each mark leads."""

    def __init__(self, footnotes: Sequence[Footnote], *, max_chars: int) -> None:
        self._footnotes = {footnote.number: footnote for footnote in footnotes}
        self._max_chars = max_chars

    def of(self, number: int, use: int) -> str:
        """The link of that number's use-th mark, from 0, or the page's URL; empty if there is neither."""
        footnote = self._footnotes.get(number)
        if footnote is None:
            return ""
        link = footnote.links[use] if use < len(footnote.links) else ""
        return web_url(link, max_chars=self._max_chars) or web_url(footnote.url, max_chars=self._max_chars)


def one_line(text: str, max_chars: int) -> str:
    """Without what can't be seen, in one line; what is cut off leaves an ellipsis."""
    return shortened(" ".join(visible(text).split()), max_chars)


def shortened(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 1].rstrip()}…"


def title(footnote: Footnote, max_chars: int) -> str:
    """On one line, never empty."""
    return one_line(footnote.title, max_chars) or one_line(footnote.host or footnote.url, max_chars) or "…"
