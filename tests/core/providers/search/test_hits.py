import unicodedata
from datetime import UTC, date, datetime
from time import monotonic
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.providers.search.hits import (
    MAX_SNIPPET_CHARS,
    MAX_TITLE_CHARS,
    MAX_URL_CHARS,
    clean_hits,
    is_web_url,
    iso_date,
    one_line,
    text_of_html,
)
from core.types import SearchHit

NOW = datetime(2026, 3, 5, 1, 30, tzinfo=UTC)

urls = st.one_of(st.text(), st.from_regex(r"https?://[a-z]{1,3}\.example(/.{0,5})?", fullmatch=True))
hits = st.builds(SearchHit, url=urls, title=st.text(), snippet=st.text(), provider=st.just("Some"))


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("Mar 3, 2024", "2024-03-03"),
        ("March 3, 2024", "2024-03-03"),
        ("Sept. 30, 2024", "2024-09-30"),
        ("3 Mar 2024", "2024-03-03"),
        ("03. Mar 2024", "2024-03-03"),
        ("  MAR  3,\n2024 ", "2024-03-03"),
        ("Sun, 03 Mar 2024 12:00:00 GMT", "2024-03-03"),
        ("2024-03-03", "2024-03-03"),
        ("2024-03-03T23:59:00Z", "2024-03-03"),
        ("Mar 6, 2026", "2026-03-06"),
        ("today", "2026-03-05"),
        ("Yesterday", "2026-03-04"),
        ("3 days ago", "2026-03-02"),
        ("1 day ago", "2026-03-04"),
        ("2 hours ago", "2026-03-04"),
        ("89 minutes ago", "2026-03-05"),
    ],
)
def test_a_date_that_means_one_day_is_that_day(written: str, day: str) -> None:
    assert iso_date(written, now=NOW) == day


@pytest.mark.parametrize(
    "written",
    [
        "",
        "03/04/2024",
        "2 weeks ago",
        "a month ago",
        "Mar 2024",
        "2024",
        "Feb 31, 2024",
        "0000-01-01",
        "Mar 7, 2026",
    ],
)
def test_a_date_that_can_mean_more_than_one_day_or_none_is_empty(written: str) -> None:
    assert iso_date(written, now=NOW) == ""


@given(st.dates(max_value=NOW.date()), st.sampled_from(["%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%Y-%m-%d"]))
def test_every_day_survives_being_written_out(day: date, form: str) -> None:
    written = day.strftime(form.replace("%Y", f"{day.year:04d}"))
    assert iso_date(written, now=NOW) == day.isoformat()


@given(st.text())
def test_no_text_is_too_strange_for_a_date(text: str) -> None:
    published = iso_date(text, now=NOW)
    assert published == "" or date.fromisoformat(published)


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_line_is_visible_single_spaced_and_within_its_limit(text: str, max_chars: int) -> None:
    line = one_line(text, max_chars=max_chars)
    assert len(line) <= max_chars
    assert "  " not in line
    assert line == line.strip()
    assert not [char for char in line if unicodedata.category(char)[0] == "C"]


def test_a_cut_line_shows_that_it_was_cut() -> None:
    assert one_line("one two three", max_chars=8) == "one two…"
    assert one_line("one two", max_chars=7) == "one two"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "//example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "https://",
        "http://[::1",
        "https://example.com/\n",
        "https://example.com/a b",
        "https://exa\u200bmple.com/",
        "https://example.com/" + "a" * MAX_URL_CHARS,
    ],
)
def test_only_a_web_address_is_a_hit(url: str) -> None:
    assert not is_web_url(url)


@given(st.lists(hits, max_size=12), st.integers(min_value=0, max_value=5))
def test_clean_hits_keep_the_order_and_never_exceed_a_limit(found: list[SearchHit], limit: int) -> None:
    cleaned = clean_hits(found, limit=limit)
    expected = list(dict.fromkeys(hit.url for hit in found if is_web_url(hit.url)))[:limit]
    assert [hit.url for hit in cleaned] == expected
    for hit in cleaned:
        assert urlsplit(hit.url).scheme in {"http", "https"}
        assert len(hit.title) <= MAX_TITLE_CHARS
        assert len(hit.snippet) <= MAX_SNIPPET_CHARS


def test_of_two_hits_with_one_address_the_better_keeps_its_texts() -> None:
    twice = [
        SearchHit(url="https://example.com/", title=title, snippet="", provider="S") for title in ("a", "b")
    ]
    assert [hit.title for hit in clean_hits(twice, limit=5)] == ["a"]


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("Why is the <strong>sky</strong> blue?", "Why is the sky blue?"),
        ('<a href="x">One</a> <br/>two<BR>three', "One twothree"),
        ("Tom &amp; Jerry&#x27;s &lt;b&gt;", "Tom & Jerry's <b>"),
        ("vector<int> a < b > c", "vector<int> a < b > c"),
        ("cut <stro", "cut <stro"),
        ("", ""),
    ],
)
def test_a_fragment_of_html_becomes_what_a_browser_shows(fragment: str, text: str) -> None:
    assert text_of_html(fragment) == text


@pytest.mark.parametrize("fragment", ["<" * 1_000_000, "<b " * 400_000, "&" * 1_000_000, "<b>" * 400_000])
def test_a_hostile_fragment_takes_no_time(fragment: str) -> None:
    started_s = monotonic()
    text_of_html(fragment)
    assert monotonic() - started_s < 0.2
