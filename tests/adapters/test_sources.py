"""What every chat platform needs to show footnotes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sources import MarkUrls, one_line, shortened, title, web_url
from core.types import Footnote, PageKind

FOOTNOTE = Footnote(
    number=1,
    title="",
    url="https://a.example/",
    host="a.example",
    kind=PageKind.HTML,
    links=("https://a.example/#:~:text=one", "", "javascript:x"),
)


@given(st.text(alphabet="/?#&=.:%[]()<>|`'\"\\ \n\x00é電👍", max_size=60))
def test_no_sign_of_an_address_can_end_a_link(rest: str) -> None:
    assert re.fullmatch(
        r"https://a[A-Za-z0-9%!#$&'+,./:;=?@_~-]*", web_url(f"https://a{rest}", max_chars=5_000)
    )


def test_an_address_that_is_harmless_stays_as_it_is() -> None:
    url = "https://user@a.example:8080/x_(y)/%28?a=1&b=c+d;e#f:~:text=so,%20so"
    assert web_url(url, max_chars=100) == url.replace("(", "%28").replace(")", "%29")


@pytest.mark.parametrize(
    "url", ["", "a.example", "//a.example", "http:///x", "ftp://a.example", "javascript://a/%0a"]
)
def test_only_addresses_of_the_web_are_links(url: str) -> None:
    assert web_url(url, max_chars=100) == ""


def test_an_address_that_is_too_long_once_encoded_is_no_link() -> None:
    assert web_url("https://a.example/)", max_chars=21) == "https://a.example/%29"
    assert web_url("https://a.example/)", max_chars=20) == ""


def test_each_use_of_a_mark_has_its_own_link_or_the_pages() -> None:
    urls = MarkUrls((FOOTNOTE,), max_chars=100)
    assert [urls.of(1, use) for use in range(4)] == [
        "https://a.example/#:~:text=one",
        *["https://a.example/"] * 3,
    ]


def test_a_mark_of_no_footnote_has_no_link() -> None:
    assert MarkUrls((FOOTNOTE,), max_chars=100).of(2, 0) == ""


def test_a_line_is_one_without_what_is_invisible() -> None:
    assert one_line(" a\n\tb\u202e\u200bc \x00", 100) == "a bc"
    assert one_line("word word", 6) == "word…"


@given(st.text(max_size=20), st.integers(min_value=1, max_value=20))
def test_a_text_is_never_longer_than_asked_for(text: str, max_chars: int) -> None:
    assert len(shortened(text, max_chars)) <= max_chars


def test_a_page_without_a_title_is_called_by_its_host() -> None:
    assert title(FOOTNOTE, 50) == "a.example"
