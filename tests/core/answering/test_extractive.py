"""An answer in the sources' own words: the right ones, verbatim, few, each with its footnote."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.answer_type import AnswerType, answer_type, offers
from core.answering.extractive import (
    MAX_EXCERPT_CHARS,
    MAX_EXCERPTS,
    Excerpt,
    ExtractiveAnswer,
    ReadPassage,
    excerpts,
)
from core.answering.footnotes import MARK
from core.errors import EmbeddingFailed
from core.reading.passages import sentences
from core.types import Page, PageKind, Passage, Source, Vectors
from tests.fakes import FakeEmbedder


def passage(text: str, *, url: str = "https://a.example/p", index: int = 0) -> Passage:
    return Passage(url=url, index=index, text=text, title="Title")


def source(number: int, *texts: str) -> Source:
    url = f"https://s{number}.example/p"
    page = Page(url=url, title=f"Title {number}", text="\n\n".join(texts), kind=PageKind.HTML)
    passages = tuple(passage(text, url=url, index=index) for index, text in enumerate(texts))
    return Source(number=number, page=page, passages=passages)


async def pick(question: str, *texts: str) -> list[str]:
    passages = [passage(text, url=f"https://{place}.example/") for place, text in enumerate(texts)]
    return [excerpt.text for excerpt in await ExtractiveAnswer(FakeEmbedder()).pick(question, passages)]


FILLER = "Nothing of interest is said in this long and winding sentence about bread, butter and jam. " * 4
RHINE = "The Rhine rises in the Swiss Alps. It is 1,233 km long."


async def test_the_excerpt_that_answers_comes_first() -> None:
    first, *_ = await pick("How long is the Rhine river?", FILLER, RHINE, "The Danube is blue.")
    assert first == RHINE


async def test_neighbouring_sentences_come_together_as_far_as_they_fit() -> None:
    text = f"{FILLER}{RHINE} {FILLER}".strip()
    first, *_ = await pick("How long is the Rhine?", text)
    assert "It is 1,233 km long." in first
    assert len(first) <= MAX_EXCERPT_CHARS


async def test_the_kind_of_thing_that_was_asked_for_decides_between_equals() -> None:
    founded = [f"The club was founded {how}." for how in ("with great joy", "in May 1904", "by some friends")]
    assert (await pick("When was the club founded?", *founded))[0] == founded[1]


async def test_the_same_is_not_said_twice() -> None:
    shown = await pick("How long is the Rhine?", RHINE, RHINE, f"{RHINE} So it is.", "The Rhine floods.")
    assert len([text for text in shown if RHINE in text]) == 1


async def test_headings_and_code_open_no_excerpt() -> None:
    shown = await pick("How long is the Rhine?", f"## Rhine length\n\n{RHINE}", "```\nrhine = 1233\n```")
    assert shown == [RHINE]


async def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    text = "The Rhine " + "flows and " * 60 + "ends."
    (shown,) = await pick("Where is the Rhine?", text)
    assert text.startswith(f"{shown} ")
    assert MAX_EXCERPT_CHARS / 2 < len(shown) <= MAX_EXCERPT_CHARS


async def test_without_vectors_words_decide() -> None:
    answering = ExtractiveAnswer(FakeEmbedder(fails=True))
    first, *_ = await answering.pick("How long is the Rhine?", [passage(FILLER), passage(RHINE)])
    assert first.text == RHINE


@dataclass
class FailingEmbedder(FakeEmbedder):
    """Compares as often as it is told to, then fails. calls: each with its texts."""

    good_calls: int = 0
    calls: list[Sequence[str]] = field(default_factory=list)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(texts)
        if len(self.calls) > self.good_calls:
            raise EmbeddingFailed("the API is gone")
        return await super().embed(texts)


@pytest.mark.parametrize("good_calls", [0, 1, 2])
async def test_where_one_model_fails_at_any_step_the_next_compares_all_anew(good_calls: int) -> None:
    passages = [passage(FILLER), passage(RHINE, index=1)]
    first, second = FailingEmbedder(model="api", good_calls=good_calls), FailingEmbedder(good_calls=9)
    best, *_ = await ExtractiveAnswer(first, second).pick("How long is the Rhine?", passages)
    assert best.text == RHINE
    assert (len(first.calls), len(second.calls)) == (good_calls + 1, 3)


async def test_an_embedder_that_takes_too_long_leaves_the_answer_to_words() -> None:
    class Silent(FakeEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            await asyncio.sleep(60)
            raise AssertionError

    answering = ExtractiveAnswer(Silent(), FakeEmbedder())
    first, *_ = await answering.pick("How long is the Rhine?", [passage(FILLER), passage(RHINE)], compare_s=0)
    assert first.text == RHINE


async def test_sources_about_something_else_give_no_answer() -> None:
    answering = ExtractiveAnswer(FakeEmbedder(fails=True))
    assert await answering.compose("Quantum gravity?", [source(1, "Bread is baked.")]) == ("", ())
    assert await answering.compose("Quantum gravity?", []) == ("", ())


async def test_the_answer_is_a_list_of_excerpts_with_footnotes_by_first_use() -> None:
    sources = [source(1, "Bread is baked."), source(2, RHINE), source(3, "The Rhine is a river of Europe.")]
    text, footnotes = await ExtractiveAnswer(FakeEmbedder()).compose("How long is the Rhine?", sources)
    first, second, *_ = text.splitlines()
    assert first == f"- {RHINE}[^1]"
    assert second == "- The Rhine is a river of Europe.[^2]"
    assert [(note.number, note.title) for note in footnotes[:2]] == [(1, "Title 2"), (2, "Title 3")]
    assert footnotes[0].quotes == (RHINE,)
    assert footnotes[0].links[0].startswith("https://s2.example/p#:~:text=The%20Rhine%20rises")


async def test_two_excerpts_of_a_page_share_its_number() -> None:
    sources = [source(1, RHINE, "The Rhine floods often.")]
    text, (footnote,) = await ExtractiveAnswer(FakeEmbedder()).compose("How long is the Rhine?", sources)
    assert MARK.findall(text) == ["1", "1"]
    assert (len(footnote.quotes), len(footnote.links)) == (2, 2)


async def test_a_pages_own_marks_and_markdown_are_not_shown() -> None:
    sources = [source(1, "- The Rhine [1] is long.[^2]\n- It ends【3】 in `Rotterdam`.[12, 13]")]
    text, (footnote,) = await ExtractiveAnswer(FakeEmbedder()).compose("Where does the Rhine end?", sources)
    assert text == "- The Rhine is long. It ends in Rotterdam.[^1]"
    assert footnote.quotes[0] in sources[0].page.text


BLOCKS = st.lists(
    st.sampled_from(
        [
            *("# Heading", "- item one", "| a | b |", "```\nx = 1\n```", "A sentence. Another one! A third?"),
            *("word " * 120, "x" * 500, "事实。" * 80, "Short.", "Dr. Who met Mr. X in 1984."),
        ]
    ),
    max_size=6,
).map("\n\n".join)


@given(st.lists(BLOCKS, max_size=5))
def test_excerpts_are_verbatim_and_short(texts: list[str]) -> None:
    read = [
        ReadPassage(passage=passage(text), sentences=tuple(sentences(text)), cosine=0.5) for text in texts
    ]
    for excerpt in excerpts("Who met Dr. Who?", read):
        assert 0 < len(excerpt.text) <= MAX_EXCERPT_CHARS
        assert excerpt.passage.text[excerpt.start :].startswith(excerpt.text)


@given(BLOCKS)
def test_every_sentence_that_can_be_shown_is_in_some_excerpt(text: str) -> None:
    read = ReadPassage(passage=passage(text), sentences=tuple(sentences(text)), cosine=0.5)
    shown = [excerpt.text for excerpt in excerpts("Who?", [read])]
    for sentence in read.sentences:
        if not sentence.startswith(("#", "```", "|")) and len(sentence) <= MAX_EXCERPT_CHARS:
            assert any(sentence in excerpt for excerpt in shown)


async def test_at_most_three_are_shown_and_they_do_not_overlap() -> None:
    text = " ".join(
        f"The Rhine has fact number {number} about its water and its ships." for number in range(40)
    )
    picked: tuple[Excerpt, ...] = await ExtractiveAnswer(FakeEmbedder()).pick("The Rhine?", [passage(text)])
    assert len(picked) == MAX_EXCERPTS
    spans = sorted((excerpt.start, excerpt.start + len(excerpt.text)) for excerpt in picked)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When did it open?", AnswerType.DATE),
        ("what year was it", AnswerType.DATE),
        ("How many people live there?", AnswerType.NUMBER),
        ("how tall is it", AnswerType.NUMBER),
        ("Who's the author?", AnswerType.NAME),
        ("whose idea was it", AnswerType.NAME),
        ("Where is it?", AnswerType.PLACE),
        ("which country is it in", AnswerType.PLACE),
        ("Why is the sky blue?", None),
        ("Wann war das?", None),
    ],
)
def test_question_words_say_what_is_asked_for(question: str, kind: AnswerType | None) -> None:
    assert answer_type(question) is kind


@pytest.mark.parametrize(
    ("text", "kind", "offered"),
    [
        ("It opened in 1904.", AnswerType.DATE, True),
        ("It opened last March.", AnswerType.DATE, True),
        ("It opened with joy.", AnswerType.DATE, False),
        ("About 1,200 people.", AnswerType.NUMBER, True),
        ("Some two dozen.", AnswerType.NUMBER, True),
        ("Written by Jane Austen.", AnswerType.NAME, True),
        ("Written by a lady.", AnswerType.NAME, False),
        ("It lies in Bavaria.", AnswerType.PLACE, True),
        ("It lies in a valley.", AnswerType.PLACE, False),
    ],
)
def test_a_text_offers_what_the_question_does_not_have(text: str, kind: AnswerType, offered: bool) -> None:
    assert offers(text, kind, "a question") is offered
    assert not offers(text, kind, re.sub(r"\W", " ", text))
