"""Links that open at the sentence: what a browser would find is what was quoted."""

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.fragments import MAX_URL_CHARS, PageLinks
from core.types import Page, PageKind

URL = "https://example.com/a"


def text_fragment(url: str, quote: str, page_text: str) -> str:
    return PageLinks(Page(url=url, title="", text=page_text, kind=PageKind.HTML)).to(quote)


def terms(link: str) -> list[str]:
    """Of the link's text directive, decoded; empty if it has none."""
    directive = urlsplit(link).fragment.partition(":~:text=")[2]
    return [unquote(term) for term in directive.split(",")] if directive else []


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("Rivers are old.", ["Rivers are old."]),
        (
            "one two three four five six seven eight nine ten",
            ["one two three four five six seven eight nine ten"],
        ),
        (
            "one two three four five six seven eight nine ten eleven",
            ["one two three four", "eight nine ten eleven"],
        ),
    ],
)
def test_short_quotes_are_searched_whole_and_long_ones_by_their_ends(quote: str, expected: list[str]) -> None:
    assert terms(text_fragment(URL, quote, f"Before.\n\n{quote} After it.")) == expected


WORDS = [f"word{number}" for number in range(1, 17)]
LONG = " ".join(WORDS)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("Word1 word2 word3 word4!", [" ".join(WORDS[:8]), " ".join(WORDS[-4:])]),
        (" ".join(WORDS[:9]), [LONG]),
    ],
)
def test_terms_are_widened_until_they_are_found_once(before: str, expected: list[str]) -> None:
    assert terms(text_fragment(URL, LONG, f"{before}\n\n{LONG}")) == expected


def test_an_end_that_comes_too_early_is_widened_too() -> None:
    quote = "a b c d e f g h i " + " ".join([*WORDS[12:], *WORDS[8:]])
    assert terms(text_fragment(URL, quote, quote))[1] == " ".join(WORDS[8:])


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        # words of its own block, or else of the one next to it
        ("Same here.\n\nOther.\n\nSame here.", ["Same here.", "-other."]),
        ("So it is. Same here. Yes.\n\nSame here.", ["same here. yes.-", "Same here."]),
        ("So it is. Same here. Yes.\n\nNot so. Same here. Yes.", ["so it is.-", "Same here."]),
        ("Zero.\n\nSame here.\n\n- One.\n\nSame here.\n\n- Two.", ["zero.-", "Same here."]),
        ("# One two\n\nSame here. A.\n\n## One two\n\nSame here. B.", ["Same here.", "-a."]),
        ("a b c\n\nSame here.\n\nd e f\n\na b c\n\nSame here.\n\nd e", ["Same here.", "-d e f"]),
    ],
)
def test_what_the_page_has_twice_is_told_apart_by_what_stands_around_it(
    page: str, expected: list[str]
) -> None:
    assert terms(text_fragment(URL, "Same here.", page)) == expected


def test_a_heading_is_preferred_to_its_words_in_a_text() -> None:
    page = "Of old rivers.\n\n## Old rivers\n\nThey are long."
    assert terms(text_fragment(URL, "## Old rivers", page)) == ["of old rivers.-", "Old rivers"]


def test_where_nothing_tells_them_apart_the_first_is_found() -> None:
    page = "One.\n\nSame here.\n\nTwo.\n\n" * 2
    assert terms(text_fragment(URL, "Same here.", page)) == ["Same here."]


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("## Length of rivers", ["Length of rivers"]),
        ("- a well-known river", ["a well-known river"]),
        ("12. the twelfth", ["the twelfth"]),
        ("> quoted words", ["quoted words"]),
        ("| Rhine | 1,233 km |", ["Rhine", "1,233 km"]),
        ("| --- | --- |", []),
        ("```\nlet x = 1\n```", ["let x = 1"]),
        ("## Rivers\n\nThe Rhine is long.", ["Rivers", "The Rhine is long."]),
        ("use `make` here", ["use make here"]),
    ],
)
def test_no_term_has_markdown_in_it_or_crosses_a_block(quote: str, expected: list[str]) -> None:
    assert terms(text_fragment(URL, quote, f"Intro.\n\n{quote}\n\nEnd.")) == expected


def test_what_urls_and_directives_reserve_is_encoded() -> None:
    link = text_fragment(URL, "A-b, c & d's #1 (50%) é", "A-b, c & d's #1 (50%) é")
    assert link == f"{URL}#:~:text=A%2Db%2C%20c%20%26%20d%27s%20%231%20%2850%25%29%20%C3%A9"


def test_terms_stand_on_word_boundaries() -> None:
    assert terms(text_fragment(URL, "old river", "The oldest cold rivers: old river")) == ["old river"]
    assert terms(text_fragment(URL, "old river", "The cold rivers")) == []


def test_a_script_without_spaces_is_cut_at_clauses() -> None:
    quote = "莱茵河发源于瑞士，流经德国，全长1233公里，最后注入北海。"
    assert terms(text_fragment(URL, quote, f"河流。{quote}完。")) == ["莱茵河发源于瑞士，", "最后注入北海。"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{URL}#part", f"{URL}#part:~:text=Old."),
        (f"{URL}#", f"{URL}#:~:text=Old."),
        (f"{URL}?q=1", f"{URL}?q=1#:~:text=Old."),
        (f"{URL}#:~:text=other", f"{URL}#:~:text=Old."),
    ],
)
def test_the_directive_goes_after_a_hash_that_is_there(url: str, expected: str) -> None:
    assert text_fragment(url, "Old.", "Old.") == expected


def test_a_link_that_would_be_too_long_stays_plain() -> None:
    url = f"{URL}/{'x' * (MAX_URL_CHARS - len(URL) - 20)}"
    assert text_fragment(url, "A quote that is long.", "A quote that is long.") == url


def test_a_quote_that_is_not_in_the_page_gives_the_plain_link() -> None:
    assert text_fragment(URL, "Not there.", "Something else.") == URL
    assert text_fragment(URL, "", "Something else.") == URL


WORD = st.sampled_from(["alpha", "Beta", "x-ray", "1,200", "R&D", "été", "it's", "(see)", "50%", "a", "the"])
SENTENCE = st.lists(WORD, min_size=1, max_size=30).map(" ".join)


def found_by_a_browser(link: str, searched: str) -> list[str]:
    """What the link's directive matches in a page's text, in lower case, of one line per block."""
    given = [term.lower() for term in terms(link)]
    prefix = given.pop(0)[:-1] if given[0].endswith("-") else ""
    suffix = given.pop()[1:] if given[-1].startswith("-") else ""
    start, end = given if len(given) == 2 else (given[0], None)
    parts = [
        rf"(?<!\w){re.escape(prefix)}\s*" if prefix else "",
        rf"(?P<quote>(?<!\w){re.escape(start)}(?!\w)",
        rf"(?s:.*?)(?<!\w){re.escape(end)}(?!\w))" if end is not None else ")",
        rf"(?=\s*{re.escape(suffix)}(?!\w))" if suffix else "",
    ]
    # From each place on: a longer match must not hide a second one inside of it.
    pattern = re.compile("".join(parts))
    matches = (pattern.match(searched, place) for place in range(len(searched)))
    return [found["quote"] for found in matches if found]


@given(st.lists(SENTENCE, min_size=1, max_size=8), st.data())
def test_what_a_browser_finds_is_the_quote(blocks: list[str], data: st.DataObject) -> None:
    quote = data.draw(st.sampled_from(blocks))
    link = text_fragment(URL, quote, "\n\n".join(blocks))
    assert found_by_a_browser(link, "\n".join(blocks).lower())[0] == quote.lower()


@given(st.lists(SENTENCE, min_size=2, max_size=8, unique_by=str.lower), st.data())
def test_a_quote_between_blocks_of_its_own_is_found_once(blocks: list[str], data: st.DataObject) -> None:
    quote = data.draw(st.sampled_from(blocks))
    page = [line for place, block in enumerate(blocks) for line in (f"mark {place}", block, quote)]
    link = text_fragment(URL, quote, "\n\n".join(page))
    assert found_by_a_browser(link, "\n".join(page).lower()) == [quote.lower()]
