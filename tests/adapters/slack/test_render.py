"""Answers as Slack shows them."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import wording
from adapters.slack.render import (
    MAX_MARKDOWN_CHARS,
    MAX_PAYLOAD_CHARS,
    MAX_TEXT_CHARS,
    SlackMessage,
    draft_messages,
    final_messages,
    live_markdown,
    parent_text,
    progress_text,
    sources_blocks,
)
from core.types import Answer, Draft, Footnote, Notice, NoticeKind, Outcome, PageKind, Progress, Stage
from tests.adapters.canonical import (
    answer_of,
    canonical,
    encoded_link,
    footnotes_of,
    hostile,
    is_of_footnote,
    long_answer,
    numbered_marks,
    prose_runs,
    solid,
)

LONG = long_answer()
MARK_LINK = re.compile(r"\[\[(\d{1,3})\]\(([^()\s|<>]*)\)\]")


def whole(text: str) -> str:
    return live_markdown(text, footnotes_of(text), complete=True)


def markdown_of(messages: list[SlackMessage]) -> list[str]:
    return [block["text"] for message in messages for block in message.blocks if block["type"] == "markdown"]


def n_json(message: SlackMessage) -> int:
    return len(json.dumps(message.blocks, ensure_ascii=False))


def unrendered(markdown: str) -> str:
    """The rule back: links are marks, entities are signs."""
    return MARK_LINK.sub(r"[^\1]", markdown).replace("&lt;", "<").replace("&gt;", ">")


@given(st.one_of(canonical, hostile), st.data())
def test_a_stream_only_grows_by_a_suffix(text: str, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    earlier = live_markdown(text[:n_chars], footnotes_of(text[:n_chars]))
    assert live_markdown(text, footnotes_of(text)).startswith(earlier)
    assert whole(text).startswith(earlier)


def test_the_long_answer_only_grows_by_a_suffix() -> None:
    text = LONG.text[:3_000]
    shown = [live_markdown(text[:n_chars], LONG.footnotes) for n_chars in range(len(text))]
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert len(shown[-1]) > 3_000


@given(canonical)
def test_nothing_but_marks_and_angle_brackets_is_changed(text: str) -> None:
    assert solid(unrendered(whole(text))) == solid(text.replace("&lt;", "<").replace("&gt;", ">"))


@given(canonical)
def test_each_mark_leads_where_its_own_sentence_is(text: str) -> None:
    links = [match.groups() for run in prose_runs(whole(text)) for match in MARK_LINK.finditer(run)]
    assert links == [(str(number), encoded_link(number, use)) for number, use in numbered_marks(text)]


@given(st.one_of(canonical, hostile))
def test_no_text_holds_a_token_that_slack_obeys(text: str) -> None:
    for markdown in (whole(text), *markdown_of(draft_messages(Draft(text=text)))):
        assert "<" not in markdown
        assert all(">" not in line.lstrip(" \t>") for line in markdown.split("\n"))


@given(canonical)
def test_the_only_links_are_those_of_footnotes(text: str) -> None:
    for run in prose_runs(whole(text)):
        assert all(is_of_footnote(url) for url in re.findall(r"\]\(([^)]*)", run))
        assert not re.search(r"!\[+\d{1,3}\]\(", run)
        assert "http" not in MARK_LINK.sub("", run)


@given(canonical, st.data())
def test_no_draft_shows_half_a_mark(text: str, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    last = prose_runs(live_markdown(text[:n_chars], footnotes_of(text)))[-1:]
    assert not any(re.search(r"\[\^\d*\Z", run) for run in last)


def test_an_exclamation_before_a_mark_makes_no_image() -> None:
    footnotes = footnotes_of("![^1]")
    assert live_markdown("Amazing![^1]", footnotes).startswith("Amazing! [[1](https://")
    assert live_markdown("Amazing![^", footnotes) == "Amazing!"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "slack://x", "https://", "//site.example", ""])
def test_what_is_no_web_address_is_no_link(url: str) -> None:
    footnote = Footnote(number=1, title="T", url=url, host="h", kind=PageKind.HTML, links=(url,))
    assert live_markdown("So.[^1]", (footnote,), complete=True) == "So.[1]"
    assert "|" not in json.dumps(
        sources_blocks(Answer(outcome=Outcome.ANSWERED, text="x", footnotes=(footnote,)))
    )


def test_a_mark_without_a_link_of_its_own_leads_to_the_page() -> None:
    footnote = Footnote(number=1, title="T", url="https://a.example/x", host="a.example", kind=PageKind.HTML)
    assert live_markdown("So.[^1]", (footnote,), complete=True) == "So.[[1](https://a.example/x)]"


def test_quotations_stay_and_other_angle_brackets_are_escaped() -> None:
    assert whole("> a < b\n> > c -> d & e") == "> a &lt; b\n> > c -&gt; d & e"


def test_the_long_answer_fits_into_messages() -> None:
    messages = final_messages(LONG)
    assert len(messages) > 3
    assert all(n_json(message) <= MAX_PAYLOAD_CHARS for message in messages)
    assert all(0 < len(message.text) <= MAX_TEXT_CHARS for message in messages)
    assert all(len(markdown) <= MAX_MARKDOWN_CHARS for markdown in markdown_of(messages))
    assert all(markdown.count("```") % 2 == 0 for markdown in markdown_of(messages))
    assert solid(unrendered("".join(markdown_of(messages)))) == solid(LONG.text)


@settings(deadline=None, max_examples=40)
@given(st.integers(min_value=0, max_value=30_000))
def test_all_messages_but_the_last_stay_when_the_long_answer_grows(n_chars: int) -> None:
    earlier = draft_messages(Draft(text=LONG.text[:n_chars], footnotes=LONG.footnotes))[:-1]
    assert final_messages(LONG)[: len(earlier)] == earlier


@pytest.mark.parametrize("sign", ['"', "<", "\x01", "\n\n\\", "電"])
def test_messages_are_measured_as_they_are_sent(sign: str) -> None:
    for message in final_messages(answer_of(f"{sign}word " * 6_000)):
        assert n_json(message) <= MAX_PAYLOAD_CHARS


@given(canonical)
def test_the_last_message_has_the_sources_and_room_for_buttons(text: str) -> None:
    messages = final_messages(answer_of(text))
    assert all(n_json(message) <= MAX_PAYLOAD_CHARS for message in messages)
    sources = json.dumps(messages[-1].blocks)
    assert all(f"<https://site{number}.example/page|" in sources for number in range(1, 13))
    assert "<!" not in sources
    assert "<@" not in sources


def test_a_source_says_where_it_is_from_and_what_it_is() -> None:
    footnote = Footnote(
        number=3,
        title="A | B & <C>\n`x`",
        url="https://a.example/?a=1&b=2|<c>",
        host="a.example",
        kind=PageKind.PDF,
        published="2026-02-11",
    )
    (block,) = sources_blocks(Answer(outcome=Outcome.ANSWERED, text="x", footnotes=(footnote,)))
    assert block["elements"][0]["text"] == (
        f"*{wording.SOURCES}*\n[3] <https://a.example/?a=1&amp;b=2%7C%3Cc%3E|A ¦ B &amp; &lt;C&gt; 'x'>"
        " · a.example, PDF, 2026-02-11"
    )


def test_many_long_sources_still_fit() -> None:
    footnotes = tuple(
        Footnote(
            number=n,
            title="&" * 900,
            url=f"https://a.example/{'x' * 1900}",
            host="h" * 300,
            kind=PageKind.PDF,
        )
        for n in range(1, 21)
    )
    blocks = sources_blocks(Answer(outcome=Outcome.ANSWERED, text="x", footnotes=footnotes))
    assert len(json.dumps(blocks)) <= 10_000
    assert all(len(element["text"]) <= 3_000 for block in blocks for element in block["elements"])
    assert all(f"[{n}]" in json.dumps(blocks) for n in range(1, 21))


def test_notices_stand_before_the_sources() -> None:
    answer = Answer(
        outcome=Outcome.ANSWERED,
        text="So.",
        footnotes=footnotes_of(""),
        notices=(
            Notice(kind=NoticeKind.CUT_BY_LENGTH),
            Notice(kind=NoticeKind.SEARCH_SKIPPED, detail="<!here>"),
        ),
    )
    notices, sources = sources_blocks(answer)
    assert "&lt;!here&gt;" in notices["elements"][0]["text"]
    assert sources["elements"][0]["text"].startswith(f"*{wording.SOURCES}*")
    assert final_messages(answer)[-1].blocks[1:] == (notices, sources)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("text", ["", " \n "])
def test_an_answer_without_text_still_says_something(outcome: Outcome, text: str) -> None:
    (message,) = final_messages(Answer(outcome=outcome, text=text))
    assert message.text == wording.OUTCOMES[outcome]
    assert message.blocks[0]["type"] == "section"


def test_a_blank_draft_has_no_message() -> None:
    assert draft_messages(Draft(text=" \n")) == []


@given(hostile)
def test_the_plain_text_obeys_nothing_either(text: str) -> None:
    for message in final_messages(answer_of(text)):
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", message.text)


def test_a_long_plain_text_is_cut_between_entities() -> None:
    (message,) = final_messages(Answer(outcome=Outcome.ANSWERED, text="&" * 4_500))
    assert re.fullmatch(r"(&amp;)+…", message.text)


def test_a_parent_message_names_who_asked_and_escapes_what() -> None:
    assert parent_text("U1", " <!channel> & why? ") == "<@U1> asked: &lt;!channel&gt; &amp; why?"
    assert len(parent_text("U1", "&" * 5_000)) <= 2_900


def test_progress_is_told_in_words() -> None:
    assert progress_text(Progress(stage=Stage.READING, done=2, total=9)) == "Reading pages: 2 of 9"


def test_the_long_answer_is_rendered_fast() -> None:
    start_s = time.process_time()
    final_messages(LONG)
    assert time.process_time() - start_s < 0.2
