"""What to search for, from the asker's words alone."""

from __future__ import annotations

from dataclasses import dataclass

from core.reading.urls import find_urls

MAX_QUERY_CHARS = 200
"""Search engines cut longer queries; a shorter one also carries less of what should not leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """query: empty where there is nothing to search for. urls: read whatever the search says."""

    query: str
    urls: tuple[str, ...] = ()


def plan_search(text: str) -> SearchPlan:
    """The words of a question without its URLs, cut at a space; the URLs apart, in order, each once."""
    urls = tuple(find_urls(text))
    for url in urls:
        text = text.replace(url, " ")
    words = " ".join(text.split())
    if len(words) > MAX_QUERY_CHARS:
        words = words[: MAX_QUERY_CHARS + 1].rpartition(" ")[0] or words[:MAX_QUERY_CHARS]
    return SearchPlan(query=words if any(map(str.isalnum, words)) else "", urls=urls)
