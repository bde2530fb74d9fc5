"""Answers as Discord shows them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import wording
from adapters.discord.render import MAX_CONTENT_CHARS, draft_messages, final_messages
from core.answering.defuse import defuse
from core.types import Answer, Draft, Footnote, Notice, NoticeKind, Outcome, PageKind
from tests.adapters.canonical import (
    answer_of,
    canonical,
    encoded_link,
    footnotes_of,
    hostile,
    is_of_footnote,
    long_answer,
    long_canonical,
    numbered_marks,
    solid,
)

LONG = long_answer()
MARK_LINK = re.compile(r"\[\[(\d{1,3})\]\]\(<?([^()\s<>]*)>?\)")
SOURCE_LINK = re.compile(r"(?m)^-# \d+\. \[([^\[\]\n]*)\]\(<?(https?://[^()\s<>]*)>?\)")


def prose(message: str) -> str:
    """What Discord reads as text: without its code blocks, then without its inline code."""
    return re.sub(r"`[^`\n]*`", " ", re.sub(r"(?s)```.*?```", " ", message))


def drafts(text: str) -> list[str]:
    return draft_messages(Draft(text=text, footnotes=footnotes_of(text)))


def body_of(messages: list[str]) -> str:
    """The messages as one text, without the fences that were put in where a block was cut."""
    return re.sub(r"\n?```\0```\w*\n", "\n", "\0".join(messages)).replace("\0", "\n")


def unrendered(markdown: str) -> str:
    """The rule back: links are marks, no escapes, nothing invisible."""
    return re.sub(r"\\([\[\]])", r"\1", MARK_LINK.sub(r"[^\1]", markdown).replace("\u200b", ""))


@settings(deadline=None)
@given(st.one_of(long_canonical, hostile), st.booleans())
def test_every_message_fits_and_says_something(text: str, suppress: bool) -> None:
    messages = final_messages(answer_of(text), suppress_previews=suppress)
    assert all(0 < len(message.strip()) <= len(message) <= MAX_CONTENT_CHARS for message in messages)


@settings(deadline=None)
@given(long_canonical, st.data())
def test_every_message_of_every_draft_closes_its_code(text: str, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    for message in (*drafts(text[:n_chars]), *final_messages(answer_of(text))):
        assert message.count("```") % 2 == 0


@settings(deadline=None)
@given(st.one_of(canonical, long_canonical), st.booleans())
def test_nothing_in_a_text_calls_somebody_or_links_somewhere(text: str, suppress: bool) -> None:
    for message in final_messages(answer_of(text), suppress_previews=suppress):
        plain = SOURCE_LINK.sub(" ", MARK_LINK.sub(" ", prose(message)))
        assert not re.search(r"@(?:everyone|here|[!&]?\d)|<[@#:/at!]", plain)
        assert "://" not in plain
        assert "](" not in plain
        assert "discord.gg/" not in plain
        for link in (*MARK_LINK.finditer(prose(message)), *SOURCE_LINK.finditer(prose(message))):
            assert is_of_footnote(link[2])


@given(canonical.map(lambda text: defuse(text.replace("|", ""))))
def test_each_mark_leads_where_its_own_sentence_is(text: str) -> None:
    found = MARK_LINK.findall(prose("\n".join(drafts(text + "\n\n."))))
    assert found == [(str(number), encoded_link(number, use)) for number, use in numbered_marks(text)]


@settings(deadline=None)
@given(long_canonical.map(lambda text: defuse(re.sub("[|#>]", "", text))))
def test_all_messages_together_are_the_text(text: str) -> None:
    text = f"{text}\n\n."
    markdown = body_of(final_messages(answer_of(text))).partition(f"**{wording.SOURCES}**\n-# 1.")[0]
    assert solid(unrendered(markdown)) == solid(text.replace("\\[", "[").replace("\\]", "]"))


@settings(deadline=None)
@given(long_canonical, st.data())
def test_all_messages_but_the_last_stay_when_a_text_grows(text: str, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    earlier = drafts(text[:n_chars])[:-1]
    assert drafts(text)[: len(earlier)] == earlier
    assert final_messages(answer_of(text))[: len(earlier)] == earlier


@settings(deadline=None, max_examples=40)
@given(st.integers(min_value=0, max_value=30_000))
def test_all_messages_but_the_last_stay_when_the_long_answer_grows(n_chars: int) -> None:
    earlier = draft_messages(Draft(text=LONG.text[:n_chars], footnotes=LONG.footnotes))[:-1]
    assert final_messages(LONG)[: len(earlier)] == earlier


def test_messages_of_a_growing_text_never_become_fewer() -> None:
    counts = [
        len(draft_messages(Draft(text=LONG.text[:n_chars], footnotes=LONG.footnotes)))
        for n_chars in range(0, 6_000, 40)
    ]
    assert counts == sorted(counts)
    assert counts[-1] > 3


@given(canonical, st.data())
def test_no_draft_shows_half_a_mark(text: str, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    assert not any(re.search(r"\[\^\d*\Z", prose(message)) for message in drafts(text[:n_chars]))


def test_the_long_answer_fits_into_messages() -> None:
    messages = final_messages(LONG)
    assert all(0 < len(message) <= MAX_CONTENT_CHARS for message in messages)
    assert all(message.count("```") % 2 == 0 for message in messages)
    text = "\n".join(messages)
    assert all(f"## Part {number}: heating" in text for number in range(1, LONG.text.count("## Part") + 1))
    assert all(f"-# {number}. " in messages[-1] for number in range(1, 13))
    assert not re.search(r"(?m)^\|", text)


def test_the_tables_of_the_long_answer_are_never_cut() -> None:
    for message in final_messages(LONG):
        blocks = re.findall(r"(?s)```\n(Model.*?)```", message)
        assert all("電暖器" in block for block in blocks)


def test_a_table_is_shown_once_it_has_ended() -> None:
    text = "Look:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nDone."
    shown = [drafts(text[:n_chars]) for n_chars in range(7, len(text) + 1)]
    assert shown[0] == shown[len("\n\n| a | b |\n|---|---|\n| 1 |")] == ["Look:"]
    assert shown[-1] == ["Look:\n\n```\na  b\n-  -\n1  2\n```\n\nDone."]
    assert not any("|" in message for messages in shown for message in messages)


def test_code_with_bars_is_no_table_and_is_shown_while_it_grows() -> None:
    assert drafts("```\n| a |\n|---|\n| b ") == ["```\n| a |\n|---|\n| b \n```"]


def test_a_mark_is_a_link_that_nothing_of_its_address_can_end() -> None:
    footnote = Footnote(
        number=1,
        title="T",
        url="https://a.example/",
        host="h",
        kind=PageKind.HTML,
        links=("https://a.example/x_(y) <z>",),
    )
    draft = Draft(text="So.[^1] More.[^1]\n\n.", footnotes=(footnote,))
    linked = "https://a.example/x_%28y%29%20%3Cz%3E"
    assert draft_messages(draft) == [f"So.[[1]]({linked}) More.[[1]](https://a.example/)\n\n."]
    assert f"So.[[1]](<{linked}>)" in draft_messages(draft, suppress_previews=True)[0]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "discord://x", "https://", ""])
def test_what_is_no_web_address_is_no_link(url: str) -> None:
    footnote = Footnote(number=1, title="T", url=url, host="h", kind=PageKind.HTML, links=(url,))
    (message,) = final_messages(Answer(outcome=Outcome.ANSWERED, text="So.[^1]", footnotes=(footnote,)))
    assert message == f"So.\\[1\\]\n\n**{wording.SOURCES}**\n-# 1. T · h"


def test_a_mark_whose_own_link_is_too_long_leads_to_the_page() -> None:
    footnote = Footnote(
        number=1,
        title="T",
        url="https://a.example/",
        host="h",
        kind=PageKind.HTML,
        links=(f"https://a.example/#:~:text={'x' * 300}",),
    )
    assert draft_messages(Draft(text="So.[^1]\n", footnotes=(footnote,))) == ["So.[[1]](https://a.example/)"]


def test_headings_and_quotations_have_the_levels_discord_knows() -> None:
    assert drafts("##### Deep\n\n>>> quoted\n> > more\n\n.") == ["### Deep\n\n> quoted\n>  more\n\n."]


def test_a_title_is_words_and_the_real_host_stands_beside_it() -> None:
    (message,) = final_messages(answer_of("So."))
    source = message.split("\n")[3]
    assert source == (
        "-# 1. [Title (1)(http:evil.example/) ¦ 'of' ‹!channel› ＠everyone ¦¦ page](https://site1.example/page)"
        " · site1.example, 2026-02-11"
    )


def test_sources_that_do_not_fit_go_into_messages_of_their_own() -> None:
    footnotes = tuple(
        Footnote(
            number=n, title="T" * 200, url=f"https://a.example/{'x' * 900}", host="h" * 300, kind=PageKind.PDF
        )
        for n in range(1, 13)
    )
    messages = final_messages(Answer(outcome=Outcome.ANSWERED, text="So.", footnotes=footnotes))
    assert all(len(message) <= MAX_CONTENT_CHARS for message in messages)
    assert messages[0] == "So."
    assert messages[1].startswith(f"**{wording.SOURCES}**\n-# 1. ")
    assert all(f"-# {n}. " in "\n".join(messages) for n in range(1, 13))


def test_notices_stand_small_under_an_answer_and_plain_without_one() -> None:
    notices = (Notice(kind=NoticeKind.STOPPED),)
    assert final_messages(Answer(outcome=Outcome.CANCELLED, notices=notices)) == ["Stopped, as asked."]
    cut = Answer(outcome=Outcome.CANCELLED, text="So", notices=notices)
    assert final_messages(cut) == ["So\n\n-# Stopped, as asked."]


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("text", ["", " \n "])
def test_an_answer_without_text_still_says_something(outcome: Outcome, text: str) -> None:
    assert final_messages(Answer(outcome=outcome, text=text)) == [wording.OUTCOMES[outcome]]


def test_a_blank_draft_has_no_message() -> None:
    assert drafts(" \n") == []


def test_the_long_answer_is_rendered_fast() -> None:
    start_s = time.process_time()
    final_messages(LONG)
    assert time.process_time() - start_s < 0.2
