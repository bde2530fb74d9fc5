"""What the model is told: all that it needs, within bounds, and strangers' text fenced in."""

import secrets
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.prompt import (
    MAX_PROMPT_TOKENS,
    MAX_SOURCE_TOKENS,
    build_sources,
    compose_prompt,
    estimated_tokens,
)
from core.types import MessageRole, Page, PageKind, Passage, RankedPassage, Source

BOUNDARY = secrets.token_hex(16)
TODAY = date(2026, 11, 22)


def page(name: str, *, title: str = "", published: str = "") -> Page:
    return Page(
        url=f"https://{name}.example/p",
        title=title or f"Title {name}",
        text="",
        kind=PageKind.HTML,
        published=published,
    )


def passage(name: str, index: int, text: str = "Some text.", *, heading: str = "") -> Passage:
    return Passage(url=page(name).url, index=index, text=text, title=f"Title {name}", heading=heading)


def ranked(*passages: Passage) -> list[RankedPassage]:
    return [RankedPassage(passage=found, score=1 - rank / 100) for rank, found in enumerate(passages)]


PAGES = {found.url: found for found in (page("a"), page("b"), page("c"))}


def source(text: str, *, title: str = "Title a", heading: str = "", published: str = "") -> Source:
    passages = (passage("a", 0, text, heading=heading),)
    return Source(number=1, page=page("a", title=title, published=published), passages=passages)


def rules_and_request(question: str, *sources: Source) -> tuple[str, str]:
    rules, request = compose_prompt(question, sources, today=TODAY, boundary=BOUNDARY).messages
    assert (rules.role, request.role) == (MessageRole.SYSTEM, MessageRole.USER)
    return rules.content, request.content


def test_sources_are_numbered_by_their_best_passage() -> None:
    sources = build_sources(ranked(passage("b", 4), passage("a", 1), passage("b", 2)), PAGES)
    assert [(found.number, found.host) for found in sources] == [(1, "b.example"), (2, "a.example")]


def test_passages_of_a_page_stand_in_page_order() -> None:
    (found,) = build_sources(ranked(passage("a", 4), passage("a", 0), passage("a", 2)), PAGES)
    assert [each.index for each in found.passages] == [0, 2, 4]


def test_what_does_not_fit_is_left_out_from_the_worst_end() -> None:
    long = "word " * 400
    sources = build_sources(ranked(*(passage("a", index, long) for index in range(100))), PAGES)
    indices = [each.index for each in sources[0].passages]
    assert 0 < len(indices) < 100
    assert indices == list(range(len(indices)))


@pytest.mark.parametrize("letter", ["word ", "字", "é", "x"])
def test_the_prompt_stays_within_its_bound(letter: str) -> None:
    found = [passage("abc"[index % 3], index, (letter * 400)[:480]) for index in range(200)]
    sources = build_sources(ranked(*found), PAGES)
    prompt = compose_prompt("Why? " * 200, sources, today=TODAY, boundary=BOUNDARY)
    assert sum(estimated_tokens(message.content) for message in prompt.messages) <= MAX_PROMPT_TOKENS
    assert prompt.max_output_tokens == 2_000
    assert sum(len(each.passages) for each in sources) * 100 > MAX_SOURCE_TOKENS / 10


def test_the_model_is_told_the_day_and_asked_last() -> None:
    rules, request = rules_and_request("Who won?", source("Text."))
    assert "Sunday, 2026-11-22" in rules
    assert request.endswith("Who won?")


def test_a_source_says_what_it_is() -> None:
    _, request = rules_and_request("Q", source("Text.", heading="Part", published="2026-01-02"))
    mark = BOUNDARY[:4]
    assert request.startswith(
        f"{BOUNDARY} source [1] begins\n"
        f"{mark}| Title: Title a\n{mark}| Site: a.example\n{mark}| Published: 2026-01-02\n{mark}| \n"
        f"{mark}| ## Part\n{mark}| Text.\n"
        f"{BOUNDARY} source [1] ends\n"
    )


def test_nothing_from_a_page_is_in_the_rules() -> None:
    rules, _ = rules_and_request("Q", source("canary", title="canary", heading="canary", published="canary"))
    assert "canary" not in rules


def test_the_rules_do_not_change_with_the_sources() -> None:
    assert rules_and_request("Q")[0] == rules_and_request("Other", source("Text."))[0]


HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            [
                BOUNDARY,
                BOUNDARY[:16],
                BOUNDARY[16:],
                "\u200b",
                "\r",
                "\u2028",
                "\x85",
                "\n",
                " source [1] ends",
            ]
        ),
    ),
    max_size=12,
).map("".join)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_a_page_can_neither_end_its_source_nor_leave_its_lines(text: str, title: str, heading: str) -> None:
    _, request = rules_and_request("Question", source(text, title=title or "t", heading=heading))
    begins, *inside, ends = request.partition("\n\nThe question,")[0].split("\n")
    assert (begins, ends) == (f"{BOUNDARY} source [1] begins", f"{BOUNDARY} source [1] ends")
    assert all(line.startswith(f"{BOUNDARY[:4]}| ") for line in inside)
    assert request.count(BOUNDARY) == 2


def test_what_a_person_would_not_see_is_not_shown_to_the_model() -> None:
    hidden = "a\u200bb\u202ec\U000e0041d\u00ade\x00f\ufeffg"
    _, request = rules_and_request("Q\u200b", source(hidden))
    assert "abcdefg" in request
    assert "\u200b" not in request


def test_accents_and_scripts_pass() -> None:
    text = "Ärger, 日本語, हिन्दी, é, 👍🏽\tend"
    assert text in rules_and_request("Q", source(text))[1]
