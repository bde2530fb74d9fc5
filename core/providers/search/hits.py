"""What a search engine said, made safe to use: pure, the same for every engine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from html import unescape
from typing import Final
from urllib.parse import urlsplit

from core.types import SearchHit

MAX_URL_CHARS: Final = 2048
MAX_TITLE_CHARS: Final = 300
MAX_SNIPPET_CHARS: Final = 1000

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_DATE_FORMS: Final = (
    re.compile(r"(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})(?:[T ].*)?", re.IGNORECASE),
    re.compile(rf"{_MONTH} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})", re.IGNORECASE),
    re.compile(
        rf"(?:[a-z]+, )?(?P<day>\d{{1,2}})\.? {_MONTH},? (?P<year>\d{{4}})(?: \d\d:.*)?", re.IGNORECASE
    ),
)
_TAG: Final = re.compile(
    r"</?(?:a|b|br|code|div|em|i|li|mark|ol|p|pre|small|span|strong|sub|sup|u|ul|wbr)\b[^<>]{0,500}>",
    re.IGNORECASE,
)
"""What engines mark and break their texts with; "vector<int>" is no tag."""

_AGE: Final = re.compile(r"(?P<count>\d{1,4}) (?P<unit>second|minute|hour|day)s? ago", re.IGNORECASE)


def clean_hits(hits: Iterable[SearchHit], *, limit: int) -> tuple[SearchHit, ...]:
    """The first `limit` with a web address, each address once, their texts on one line and cut."""
    by_url: dict[str, SearchHit] = {}
    for hit in hits:
        if len(by_url) >= limit:
            break
        if is_web_url(hit.url) and hit.url not in by_url:
            by_url[hit.url] = _clean(hit)
    return tuple(by_url.values())


def _clean(hit: SearchHit) -> SearchHit:
    return SearchHit(
        url=hit.url,
        title=one_line(hit.title, max_chars=MAX_TITLE_CHARS),
        snippet=one_line(hit.snippet, max_chars=MAX_SNIPPET_CHARS),
        provider=hit.provider,
        published=hit.published,
    )


def is_web_url(url: str) -> bool:
    """http(s), with a host, of a length and in characters that a request line can hold.

    Whether it may be fetched is decided elsewhere.
    """
    if len(url) > MAX_URL_CHARS or any(char.isspace() or not char.isprintable() for char in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def one_line(text: str, *, max_chars: int) -> str:
    """Control characters and white space become single spaces, invisible characters go."""
    # Ten times the limit is looked at: enough for any text, and a bound on the work for a hostile one.
    looked_at = text[: 10 * max_chars]
    visible = "".join(_visible(char) for char in looked_at)
    words = " ".join(visible.split())
    return words if len(words) <= max_chars else words[: max_chars - 1].rstrip() + "…"


def text_of_html(fragment: str) -> str:
    """What a browser would show, on one line; cut to what `one_line` looks at of a snippet."""
    return unescape(_TAG.sub("", fragment[: 10 * MAX_SNIPPET_CHARS]))


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cc":
        return " "
    return "" if category[0] == "C" else char


def iso_date(text: str, *, now: datetime) -> str:
    """A search engine's date as YYYY-MM-DD; empty unless it can mean one day only.

    "Mar 3, 2024" and "3 days ago" do; "03/04/2024", "2 weeks ago" and days to come don't.
    """
    words = " ".join(text.split())
    day = _written_day(words) or _day_ago(words, now=now)
    # A day's grace: where it was published it may be tomorrow already.
    return day.isoformat() if day and day <= now.date() + timedelta(days=1) else ""


def _written_day(words: str) -> date | None:
    for form in _DATE_FORMS:
        if match := form.fullmatch(words):
            return _day(match.groupdict())
    return None


def _day(parts: dict[str, str]) -> date | None:
    month = int(parts["number"]) if "number" in parts else _MONTHS.index(parts["month"].lower()) + 1
    try:
        return date(int(parts["year"]), month, int(parts["day"]))
    except ValueError:  # the 31st of February
        return None


def _day_ago(words: str, *, now: datetime) -> date | None:
    if words.lower() in {"today", "yesterday"}:
        return now.date() - timedelta(days=words.lower() == "yesterday")
    if match := _AGE.fullmatch(words):
        return (now - timedelta(**{f"{match['unit'].lower()}s": int(match["count"])})).date()
    return None


__all__ = ["clean_hits", "is_web_url", "iso_date", "one_line", "text_of_html"]
