"""Marks become footnotes: in every form, for every cut, and never inside code."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.answering.code_spans import MAX_HELD_CHARS, CodeSplitter
from core.answering.footnotes import MARK, MAX_MARK_CHARS, FootnoteWriter
from core.types import Footnote, Page, PageKind, Passage, Source


def source(number: int, *texts: str, kind: PageKind = PageKind.HTML) -> Source:
    url = f"https://example.com/{number}"
    page = Page(url=url, title=f"Title {number}", text="\n\n".join(texts), kind=kind, published="2026-01-02")
    passages = tuple(
        Passage(url=url, index=index, text=text, title=page.title) for index, text in enumerate(texts)
    )
    return Source(number=number, page=page, passages=passages)


SOURCES = tuple(source(number, f"Fact number {number} is here.") for number in range(1, 6))


def written(text: str, sources: tuple[Source, ...] = SOURCES, *, cut: int = 10_000) -> FootnoteWriter:
    writer = FootnoteWriter(sources)
    for start in range(0, len(text), cut):
        writer.feed(text[start : start + cut])
    writer.finish()
    return writer


def canonical(text: str) -> str:
    return written(text).text


@pytest.mark.parametrize(
    ("model_text", "expected"),
    [
        ("A [1].", "A[^1]."),
        ("A [3][2].", "A[^1][^2]."),
        ("A [3] [2].", "A[^1][^2]."),
        ("A [2, 4].", "A[^1][^2]."),
        ("A [2; 4] [^5].", "A[^1][^2][^3]."),
        ("A [2-4].", "A[^1][^2][^3]."),
        ("A [2–4].", "A[^1][^2][^3]."),
        ("A [1, 3-4].", "A[^1][^2][^3]."),
        ("A 【3】.", "A[^1]."),
        ("A 【3†source】.", "A[^1]."),
        ("A 【3:1†L10-L12】.", "A[^1]."),
        ("A [^3].", "A[^1]."),
        ("A [ 3 ].", "A[^1]."),
        ("A ［3］.", "A[^1]."),
        (r"A \[3\].", "A[^1]."),
        ("A [[3]](https://evil.example).", "A[^1](https://evil.example)."),
        ("A [3](https://evil.example).", "A[^1](https://evil.example)."),
        ("A.[3] B.[3] C. [1] D", "A.[^1] B.[^1] C.[^2] D"),
        ("A.[3][2][3] B [3]", "A.[^1][^2] B[^1]"),
        ("事实一。[3]事实二。[3]", "事实一。[^1]事实二。[^1]"),
        ("| a [2] | [3] |\n|---|---|\n", "| a[^1] | [^2] |\n|---|---|\n"),
        ("- [2] a\n1. [3] b\n\n[1] c", "- [^1] a\n1. [^2] b\n\n[^3] c"),
        ("Fact.\n[1]", "Fact.\n[^1]"),
    ],
)
def test_every_way_to_write_a_mark_is_read(model_text: str, expected: str) -> None:
    assert canonical(model_text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "`a[1]` b",
        "``a ` [1]`` b",
        "```py\na[1]\n```\nb",
        "~~~\na[1] ``` [2]\n~~~\nb",
        "````\n```\na[1]\n```\na[2]\n````\n",
        "- item\n  ```\n  a[1]\n  ```\n",
        "> ```\n> a[1]\n> ```\n",
        "Inline ```a[1]``` and ```\na[2]\n```",
        "```\nunclosed a[1]",
        "[2024] [x] [ ] [see 1] [1/2] [] [1\n",
    ],
)
def test_code_and_what_is_no_mark_stay_as_they_are(text: str) -> None:
    assert canonical(text) == text


@pytest.mark.parametrize(
    ("model_text", "expected"),
    [
        ("a ` b [1]", "a ` b[^1]"),
        ("a `b\n\nc` [1]", "a `b\n\nc`[^1]"),
        (r"a \`b [1]`", r"a \`b[^1]`"),
        ("`" + "x" * MAX_HELD_CHARS + "[1]`", "`" + "x" * MAX_HELD_CHARS + "[^1]`"),
        ("```\na[1]\n```\nb [1]", "```\na[1]\n```\nb[^1]"),
        ("```js x``` [1]\n", "```js x```[^1]\n"),
        ("~~~~\n~~~\n[1]\n~~~~~\n[1]", "~~~~\n~~~\n[1]\n~~~~~\n[^1]"),
    ],
)
def test_code_ends_where_it_ends(model_text: str, expected: str) -> None:
    assert canonical(model_text) == expected


@pytest.mark.parametrize("cut", ["A [", "A [1", "A [1, ", "A 【1†sou", "A \\[1\\"])
def test_half_a_mark_at_the_end_of_a_text_that_was_cut_off_is_left_out(cut: str) -> None:
    assert canonical(cut) == "A"


def test_unknown_numbers_are_dropped_and_counted() -> None:
    writer = written("A [9]. B [1, 9] c [0] d.")
    assert writer.text == "A. B[^1] c d."
    assert writer.n_unknown_marks == 3


@pytest.mark.parametrize(
    ("model_text", "expected"),
    [("a [9] b", "a b"), ("a [9]b", "a b"), ("a[9] b", "a b"), ("a [9]", "a"), ("a [9], b", "a, b")],
)
def test_a_dropped_mark_leaves_no_gap_and_joins_no_words(model_text: str, expected: str) -> None:
    assert canonical(model_text) == expected


@pytest.mark.parametrize("forged", ["[[9]^1]", "[^[9]1]", "[^1[9]]", "[ [9]^1]", "[[9] ^1]"])
def test_dropping_a_mark_does_not_make_one(forged: str) -> None:
    writer = written(forged)
    assert not MARK.search(writer.text)
    assert writer.footnotes() == ()


def test_a_number_is_given_by_first_use_and_once_a_sentence() -> None:
    assert canonical("One [4] and two [4] [2]. Three [4].") == "One[^1] and two[^2]. Three[^1]."


def test_footnotes_are_numbered_as_in_the_text_and_name_their_page() -> None:
    writer = written("Fact number 4 [4]. Fact number 2 [2]. Fact 4 again [4].")
    first, second = writer.footnotes()
    assert (first.number, first.url, first.title) == (1, "https://example.com/4", "Title 4")
    assert (first.host, first.kind, first.published) == ("example.com", PageKind.HTML, "2026-01-02")
    assert (second.number, second.url) == (2, "https://example.com/2")
    assert (len(first.quotes), len(first.links)) == (2, 2)


RIVERS = (
    source(
        1,
        "Rivers are old. The Rhine is 1,233 km long. It rises in Switzerland.",
        "The Danube is 2,850 km long. It ends in the Black Sea.",
    ),
)


def quotes(model_text: str, sources: tuple[Source, ...] = RIVERS) -> tuple[str, ...]:
    (footnote,) = written(model_text, sources).footnotes()
    return footnote.quotes


@pytest.mark.parametrize(
    ("model_text", "expected"),
    [
        ("The Rhine measures 1233 km [1].", ["The Rhine is 1,233 km long."]),
        ("It flows for 2,850 km.[1]", ["The Danube is 2,850 km long."]),
        ("The Danube reaches the Black Sea [1].", ["It ends in the Black Sea."]),
        (
            "It rises in Switzerland.[1] The Danube [1]",
            ["It rises in Switzerland.", "The Danube is 2,850 km long."],
        ),
        ("| Rhine | 1,233 km [1] |", ["The Rhine is 1,233 km long."]),
        ("| km long |\n|---|\n| Danube [1] |", ["The Danube is 2,850 km long."]),
        ("Nothing of that sort [1].", [""]),
    ],
)
def test_each_mark_points_to_the_sentence_that_supports_its_own(model_text: str, expected: list[str]) -> None:
    assert quotes(model_text) == tuple(expected)


def test_two_marks_in_a_sentence_point_to_what_each_stands_after() -> None:
    sources = (*RIVERS, source(2, "The Danube is long. Switzerland has mountains."))
    rhine, danube = written(
        "The Rhine rises in Switzerland [1], the Danube is long [2].", sources
    ).footnotes()
    assert (rhine.quotes, danube.quotes) == (("It rises in Switzerland.",), ("The Danube is long.",))


@pytest.mark.parametrize(
    ("kind", "fragment"),
    [
        (PageKind.HTML, "#:~:text=Fact%20number%201%20is%20here."),
        (PageKind.TEXT, "#:~:text=Fact%20number%201%20is%20here."),
        (PageKind.PDF, ""),
        (PageKind.SNIPPET, ""),
    ],
)
def test_links_lead_to_the_sentence_where_a_browser_can_find_it(kind: PageKind, fragment: str) -> None:
    (footnote,) = written("Fact number 1 [1].", (source(1, "Fact number 1 is here.", kind=kind),)).footnotes()
    assert footnote.links == (f"https://example.com/1{fragment}",)


MARKISH = st.sampled_from(
    [
        *(
            "[1]",
            "[2]",
            "[9]",
            "[^3]",
            "[1, 2]",
            "[1-3]",
            "【1】",
            "【2†source】",
            "[[1]]",
            "[",
            "]",
            "【",
            "†",
            "^",
        ),
        *(
            "`",
            "``",
            "```",
            "~~~",
            "\n",
            "\n\n",
            " ",
            "  ",
            "\t",
            "\\",
            "|",
            "- ",
            "> ",
            "1. ",
            ", ",
            ". ",
            ".",
        ),
        *("1", "23", "fact", "Ω", "事实。", "(", ")", "!", ":", "https://e.x"),
    ]
)
MODEL_TEXT = st.lists(st.one_of(MARKISH, st.text(max_size=6)), max_size=40).map("".join)
CUTS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def drafts(text: str, cuts: list[int]) -> tuple[list[str], FootnoteWriter]:
    """The texts shown while the model's arrives in pieces of these lengths, over and over."""
    writer = FootnoteWriter(SOURCES)
    shown, start, turn = [""], 0, 0
    while start < len(text):
        length = cuts[turn % len(cuts)]
        shown.append(shown[-1] + writer.feed(text[start : start + length]))
        start, turn = start + length, turn + 1
    shown.append(shown[-1] + writer.finish())
    return shown, writer


def state(writer: FootnoteWriter) -> tuple[str, tuple[Footnote, ...], int]:
    return writer.text, writer.footnotes(), writer.n_unknown_marks


@given(MODEL_TEXT, CUTS)
def test_marks_do_not_depend_on_how_the_stream_is_cut(text: str, cuts: list[int]) -> None:
    assert state(drafts(text, cuts)[1]) == state(written(text))


@given(MODEL_TEXT, CUTS)
def test_a_draft_is_the_beginning_of_the_next(text: str, cuts: list[int]) -> None:
    shown, writer = drafts(text, cuts)
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert shown[-1] == writer.text


SPACE = re.compile(r"\s")


def without_marks(text: str, mark: re.Pattern[str]) -> str:
    return SPACE.sub("", mark.sub("", text))


PROSE = st.text(alphabet="ab Ω事.,;:!?()*_#|-\n\t", max_size=30)
WRITTEN = st.sampled_from(["[1]", "[2, 3]", "[9]", "【4】", "[^5]", "[1–3]"])
ANY_WRITTEN = re.compile(r"\[(?:\^?[\d, –]+)\]|【4】")


@given(st.lists(st.tuples(PROSE, WRITTEN), max_size=8), PROSE)
def test_text_outside_marks_is_kept(parts: list[tuple[str, str]], tail: str) -> None:
    text = "".join(prose + mark for prose, mark in parts) + tail
    assert without_marks(canonical(text), MARK) == without_marks(text, ANY_WRITTEN)


@given(PROSE)
def test_text_without_marks_is_kept_byte_for_byte(text: str) -> None:
    assert canonical(text) == text


@given(st.lists(st.tuples(PROSE, WRITTEN), max_size=8), PROSE, CUTS)
def test_no_draft_shows_half_a_mark(parts: list[tuple[str, str]], tail: str, cuts: list[int]) -> None:
    text = "".join(prose + mark for prose, mark in parts) + tail
    for draft in drafts(text, cuts)[0]:
        assert not re.search(r"[\[【\]】]", MARK.sub("", draft))


def prose_of(text: str) -> str:
    splitter = CodeSplitter()
    runs = [*splitter.feed(text), *splitter.finish()]
    return "".join(run.text for run in runs if not run.code)


@given(MODEL_TEXT)
@example("[9]```[1]")
@example("- [9] ~~~ [1]")
def test_every_mark_has_its_footnote_and_link(text: str) -> None:
    writer = written(text)
    marks = [int(mark[1]) for mark in MARK.finditer(prose_of(writer.text))]
    footnotes = writer.footnotes()
    assert [note.number for note in footnotes] == list(range(1, len(footnotes) + 1))
    assert list(dict.fromkeys(marks)) == [note.number for note in footnotes]
    assert [marks.count(note.number) for note in footnotes] == [len(note.links) for note in footnotes]


@given(st.text(max_size=600), CUTS)
def test_little_is_held_back(text: str, cuts: list[int]) -> None:
    writer = FootnoteWriter(SOURCES)
    writer.feed(text)
    assert len(text) - len(writer.text) <= 2 * MAX_HELD_CHARS + MAX_MARK_CHARS + 8


@given(st.text(alphabet="ab .,[1", max_size=80))
def test_without_code_only_a_possible_mark_is_held_back(text: str) -> None:
    writer = FootnoteWriter(())
    writer.feed(text)
    assert len(text) - len(writer.text) <= MAX_MARK_CHARS + 8
