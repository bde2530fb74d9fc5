import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.reading.passages import sentences, split_page
from core.types import Page, PageKind, Passage


def page(text: str, title: str = "") -> Page:
    return Page(url="https://page.example/", title=title, text=text, kind=PageKind.HTML)


def split(text: str, title: str = "") -> tuple[Passage, ...]:
    return split_page(page(text, title))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


SENTENCE = st.builds(
    lambda words: " ".join(words).capitalize() + ".",
    st.lists(
        st.sampled_from(["otter", "kelp", "sleeps", "afloat", "Monterey", "seven"]), min_size=3, max_size=30
    ),
)
PARAGRAPH = st.lists(SENTENCE, min_size=1, max_size=8).map(" ".join)
BLOCK = st.one_of(
    PARAGRAPH,
    SENTENCE.map(lambda text: "## " + text.rstrip(".")),
    st.lists(SENTENCE, min_size=1, max_size=5).map(lambda items: "\n".join("- " + item for item in items)),
    st.lists(SENTENCE, min_size=1, max_size=5).map(lambda rows: "\n".join(f"| {row} | 7 |" for row in rows)),
    st.just("```\nfor otter in kelp:\n\n    sleep(otter)\n```"),
)
ARTICLE = st.lists(BLOCK, max_size=12).map("\n\n".join)
BARE_MARKERS = re.compile(r"(?:\s|[-*#|`]|\d+[.)])*")  # of lists and headings that have no words
ANY_TEXT = st.text(st.sampled_from("ab .!?\n#|-`*1)。」日本\u3000\u00a0é\"'"), max_size=400)


@given(st.one_of(ARTICLE, ANY_TEXT))
def test_every_word_is_kept_in_order_and_every_passage_is_verbatim(text: str) -> None:
    position = 0
    for index, passage in enumerate(split(text)):
        assert passage.index == index
        found = text.find(passage.text, position)
        assert found >= 0
        assert BARE_MARKERS.fullmatch(text[position:found])
        position = found + len(passage.text)
    assert BARE_MARKERS.fullmatch(text[position:])


@given(ARTICLE)
def test_no_sentence_row_or_code_block_is_cut(text: str) -> None:
    parts = [part for passage in split(text) for part in sentences(passage.text)]
    assert parts == sentences(text)


@given(ARTICLE, st.text("title words ", max_size=200))
def test_a_passage_is_short_enough_to_be_embedded_whole(text: str, title: str) -> None:
    assert all(len(passage.text.split()) <= 100 for passage in split(text, title))


@given(st.one_of(ARTICLE, ANY_TEXT))
def test_sentences_are_verbatim_and_in_order_and_leave_nothing_out(text: str) -> None:
    parts = sentences(text)
    assert all(part == part.strip() != "" for part in parts)
    assert squeezed("".join(parts)) == squeezed(text)


def test_prose_is_packed_to_about_95_words() -> None:
    text = " ".join(
        f"The otter number {number} sleeps afloat in the kelp of the bay." for number in range(60)
    )
    *full, _last = (len(passage.text.split()) for passage in split(text))
    assert all(80 <= words <= 100 for words in full)


def test_a_passage_carries_the_heading_it_stands_under_and_none_ends_with_one() -> None:
    prose = " ".join(["Otters sleep afloat in the kelp of the bay."] * 12)
    text = f"{prose}\n\n# Sleep #\n\n{prose}\n\n## Food\n\n{prose}"
    passages = split(text)
    assert [passage.heading for passage in passages] == sorted(
        (passage.heading for passage in passages), key=["", "Sleep", "Food"].index
    )
    assert {passage.heading for passage in passages} == {"", "Sleep", "Food"}
    assert not any(passage.text.splitlines()[-1].startswith("#") for passage in passages)


def test_short_sections_share_a_passage() -> None:
    text = "## When?\n\nAt noon.\n\n## Where?\n\nIn the bay."
    (passage,) = split(text)
    assert passage.text == text


def test_a_sentence_that_is_too_long_is_cut_between_words_after_a_clause() -> None:
    sentence = "the otter sleeps in the kelp, " * 40
    passages = split(sentence + "and wakes.")
    assert len(passages) > 1
    assert all(passage.text.endswith((",", "wakes.")) for passage in passages)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith left at 3.5 p.m. sharp. He slept.", ["Dr. Smith left at 3.5 p.m. sharp.", "He slept."]),
        ("東京は首都です。人は多い！本当？", ["東京は首都です。", "人は多い！", "本当？"]),
        (
            "Das gilt z. B. für Otter und nicht für Brot. Das ist so.",
            ["Das gilt z. B. für Otter und nicht für Brot.", "Das ist so."],
        ),
        ("A line that\nwraps here. Next.", ["A line that\nwraps here.", "Next."]),
        ("- One. Two.\n- Three\n1. Four", ["- One.", "Two.", "- Three", "1. Four"]),
        ("# Head. Line\nText.", ["# Head. Line", "Text."]),
        ("| a. b | c |\n| d. e | f |", ["| a. b | c |", "| d. e | f |"]),
        ("```\na. b\n\nc. d\n```\nText.", ["```\na. b\n\nc. d\n```", "Text."]),
        ("```\nnever closed. still code.", ["```\nnever closed. still code."]),
        ("", []),
        (" \n\t\n", []),
    ],
)
def test_what_counts_as_a_sentence(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "word ",
        "a. ",
        '"',
        "(",
        "日",
        "# a\n",
        "```\n",
        "|\n",
        "- ",
        " ",
        " \n",
        "#",
        "1) ",
        "\n\t",
        '"a. ',
        "?\n",
    ],
)
def test_a_hostile_page_is_cut_in_linear_time_into_bounded_passages(unit: str) -> None:
    def spent_s(length: int) -> float:
        started = time.process_time()
        assert all(len(passage.text) <= 1_600 for passage in split(unit * (length // len(unit))))
        return time.process_time() - started

    small, large = spent_s(31_250), spent_s(250_000)
    assert large < 40 * max(small, 0.02)
