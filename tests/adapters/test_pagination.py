"""Pages of a text: promises for every text, every limit and every growth."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pagination import MIN_LIMIT_CHARS, MessagePage, paginate

LINK = r"\[[^\[\]\n]*\]\([^()\s]*\)"
MARK = r"\[\^\d\]"

words = st.text(alphabet="abcdefgh.,!?é", min_size=1, max_size=12)
inline = st.one_of(
    words,
    st.sampled_from(["fact.[^1]", "so it is.[^1][^2]", "said [^3]", "电暖器很贵。[^4]"]),
    st.sampled_from(["[a link](https://example.org/a)", "`x y`", "**bold words**"]),
    st.sampled_from(["寒冷地のCO2ヒートポンプは強い。", "👩‍👩‍👧 family"]),
)
paragraphs = st.lists(inline, min_size=1, max_size=12).map(" ".join)
blocks = st.one_of(
    paragraphs,
    st.lists(words.map("- {}".format), min_size=1, max_size=6).map("\n".join),
    st.lists(words.map("    x = {}".format), min_size=1, max_size=8).map(
        lambda lines: "\n".join(["```python", *lines, "```"])
    ),
    st.lists(words.map("| {} | b |".format), min_size=2, max_size=6).map(
        lambda rows: "\n".join([rows[0], "|---|---|", *rows[1:]])
    ),
    words.map("## {}".format),
)
markdown = st.lists(blocks, min_size=1, max_size=8).map("\n\n".join)
# Anything at all, rich in what pagination looks for.
any_text = st.one_of(
    st.text(alphabet=" \n`[]()^1.a|#-<>*~。あ", max_size=400), st.text(max_size=300), markdown
)
limits = st.integers(min_value=MIN_LIMIT_CHARS, max_value=300)


def strip_bodies(text: str, pages: list[MessagePage]) -> list[str]:
    """What of the text is left before, between and after the pages' bodies."""
    left = []
    for page in pages:
        before, body, text = text.partition(page.body)
        assert body == page.body
        left.append(before)
    return [*left, text]


def open_fence(text: str) -> str:
    fence = ""
    for line in text.split("\n"):
        if fence:
            if (closing := re.fullmatch(r"[ \t>]*(`{3,})\s*", line)) and len(closing[1]) >= len(fence):
                fence = ""
        elif opening := re.fullmatch(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*(`{3,8})[^`]*", line):
            fence = opening[1]
    return fence


@given(any_text, limits)
def test_no_page_is_longer_than_the_limit_or_blank(text: str, limit: int) -> None:
    for page in paginate(text, limit):
        assert len(page.text) <= limit
        assert page.text.strip()


@given(any_text, limits)
def test_all_bodies_with_white_space_between_them_are_the_text(text: str, limit: int) -> None:
    assert "".join(strip_bodies(text, paginate(text, limit))).strip() == ""


@given(any_text, limits, st.data())
def test_when_a_text_grows_all_pages_but_the_last_stay(text: str, limit: int, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    earlier = paginate(text[:n_chars], limit)[:-1]
    assert paginate(text, limit)[: len(earlier)] == earlier


@given(markdown, limits)
def test_pages_of_a_growing_text_never_become_fewer(text: str, limit: int) -> None:
    counts = [len(paginate(text[:n_chars], limit)) for n_chars in range(0, len(text), 7)]
    assert counts == sorted(counts)


@given(any_text, limits)
def test_every_page_closes_the_code_blocks_it_opens(text: str, limit: int) -> None:
    assert [open_fence(page.text) for page in paginate(text, limit)].count("") == len(paginate(text, limit))


@given(markdown, limits)
def test_marks_and_links_are_never_cut(text: str, limit: int) -> None:
    for pattern in (MARK, LINK, r"\*\*bold words\*\*", "`x y`", "👩‍👩‍👧"):
        found = [piece for page in paginate(text, limit) for piece in re.findall(pattern, page.text)]
        assert found == re.findall(pattern, text)


@given(markdown, limits)
def test_lines_of_code_and_rows_of_tables_are_never_cut(text: str, limit: int) -> None:
    for pattern in (r"(?m)^    x = \S+$", r"(?m)^\| \S+ \| b \|$"):
        found = [piece for page in paginate(text, limit) for piece in re.findall(pattern, page.body)]
        assert found == re.findall(pattern, text)


@given(markdown, limits)
def test_no_page_begins_with_a_mark(text: str, limit: int) -> None:
    assert not any(page.body.startswith("[^") for page in paginate(text, limit))


def test_a_text_within_the_limit_is_one_page() -> None:
    assert [page.text for page in paginate("Short.\n\nAnd sweet.\n", 100)] == ["Short.\n\nAnd sweet."]


@pytest.mark.parametrize("text", ["", " \n\t\n "])
def test_a_blank_text_has_no_page(text: str) -> None:
    assert paginate(text, 100) == []


def test_a_limit_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        paginate("text", MIN_LIMIT_CHARS - 1)


def test_paragraphs_are_the_best_place_to_cut_then_lines_then_sentences_then_words() -> None:
    sentence = "Five words stand in here."
    paragraph = f"{sentence} {sentence}"
    assert bodies(f"{paragraph}\n\n{sentence}\n{sentence}", 100) == [paragraph, f"{sentence}\n{sentence}"]
    assert bodies(f"{paragraph}\n{paragraph}", 100) == [paragraph, paragraph]
    assert bodies(f"{paragraph} {paragraph}", 100)[0] == f"{paragraph} {sentence}"
    assert bodies("word " * 20, 64) == ["word " * 10 + "word", ("word " * 9).strip()]


def test_a_code_block_goes_on_in_its_own_language() -> None:
    code = "\n".join(f"line_{number} = {number}" for number in range(16))
    first, second, third = paginate(f"Look:\n\n```python\n{code}\n```\nDone.", 100)
    assert first.text.endswith("\n```")
    assert second.text.startswith("```python\nline_")
    assert second.text.endswith("\n```")
    assert third.text.startswith("```python\nline_")
    assert third.text.endswith("\n```\nDone.")


def test_a_code_block_that_is_still_being_written_is_closed() -> None:
    assert [page.text for page in paginate("```\nx = 1", 100)] == ["```\nx = 1\n```"]


def test_a_heading_stays_with_what_it_heads() -> None:
    text = "word " * 12 + "\n\n## Heading\n\n" + "word " * 12
    assert [body.startswith("## Heading") for body in bodies(text, 90)] == [False, True]


def test_the_head_of_a_table_stays_with_its_first_row() -> None:
    text = "word " * 8 + "\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 6
    assert bodies(text, 75)[1].startswith("| a | b |\n|---|---|\n| 1 | 2 |")


def test_a_table_that_goes_on_has_its_head_on_every_page() -> None:
    pages = paginate("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 30 + "\nDone.", 100)
    assert len(pages) > 3
    assert all(page.text.startswith("| a | b |\n|---|---|\n| 1 | 2 |") for page in pages)


def test_a_head_that_would_fill_a_quarter_of_each_page_is_not_repeated() -> None:
    text = f"| {'a' * 20} |\n|---|\n" + "| 1 |\n" * 30
    assert [page.opening for page in paginate(text, 100)] == [""] * len(paginate(text, 100))


def test_lines_with_bars_that_are_no_table_have_no_head() -> None:
    assert not any(page.opening for page in paginate("| just a bar\n" * 30, 100))


@given(any_text, limits)
def test_a_page_is_measured_as_the_platform_does(text: str, limit: int) -> None:
    pages = paginate(text, limit, size=json_chars)
    assert all(json_chars(page.text) <= limit for page in pages)
    assert "".join(strip_bodies(text, pages)).strip() == ""


def json_chars(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False)) - 2


@given(st.integers(min_value=64, max_value=140))
def test_code_that_looks_like_a_link_is_never_cut(limit: int) -> None:
    code = "`[1] [x](http://evil.example/) and **more** words`"
    text = f"{'word ' * 9}**bold {code} bold** and <a{code}> or [a {code}] done. {'word ' * 9}"
    assert sum(page.text.count(code) for page in paginate(text, limit)) == 3


@given(st.integers(min_value=100, max_value=180))
def test_a_mark_that_is_a_link_is_never_cut_nor_first_on_a_page(limit: int) -> None:
    marks = ("[[1]](https://a.example/x)", "[[12](https://a.example/y)]")
    text = " ".join(f"{'word ' * 6}said.{marks[0]}{marks[1]} 电暖器很贵。{marks[1]}" for _ in range(4))
    pages = paginate(text, limit)
    assert sum(page.text.count(mark) for page in pages for mark in marks) == 12
    assert not any(page.text.startswith("[") for page in pages)


def test_a_word_longer_than_a_page_is_cut() -> None:
    assert bodies("x" * 150, 100) == ["x" * 91, "x" * 59]


def test_text_without_spaces_is_cut_after_a_sentence() -> None:
    assert bodies("冬でも家の中はとても暖かい。" * 8, 100)[0] == "冬でも家の中はとても暖かい。" * 6


def bodies(text: str, limit: int) -> list[str]:
    return [page.body for page in paginate(text, limit)]
