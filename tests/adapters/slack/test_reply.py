"""What stands in a thread, joined, is the full answer, whatever Slack refuses on the way."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters import wording
from adapters.slack.render import live_markdown
from adapters.slack.stream import LIFETIME_S, MAX_STREAM_CHARS, resumable
from core.answering.defuse import Defuser
from core.errors import SurfaceFailed
from core.types import Answer, Draft, Notice, NoticeKind, Outcome, Progress, Stage
from tests.adapters.canonical import (
    answer_of,
    canonical,
    footnotes_of,
    is_of_footnote,
    long_answer,
    long_canonical,
)
from tests.adapters.slack.drawing import Drawing, bare, drawing
from tests.fakes import FakeClock
from tests.hostile.readers import dangers
from tests.hostile.texts import CONTEXTS, FORMS
from tests.servers.slack_server import SlackServer

LONG = long_answer()
SEARCHING = Progress(stage=Stage.SEARCHING)
STOPPED = wording.NOTICES[NoticeKind.STOPPED]
MARK_LINK = re.compile(r"\[\[(\d{1,3})\]\(([^()\s|<>]*)\)\]")

FAILURES = [
    "channel_type_not_supported",
    "drop",
    "fatal_error",
    "internal_error",
    "invalid_chunks",
    "lose",
    "message_not_in_streaming_state",
    "messaging_processing_failed",
    "missing_recipient_user_id",
    "missing_scope",
    "msg_blocks_too_long",
    "ratelimited",
    "stopped_by_user",
    "streaming_mode_mismatch",
    "unknown_method",
]

cuts = st.lists(st.integers(min_value=1, max_value=len(LONG.text) - 1), max_size=12).map(sorted)


def full(answer: Answer) -> str:
    return bare(live_markdown(answer.text, answer.footnotes, complete=True))


async def draw_cut(drawn: Drawing, answer: Answer, places: list[int]) -> None:
    await drawn.frame(SEARCHING)
    for place in places:
        text = answer.text[:place]
        await drawn.frame(Draft(text=text, footnotes=footnotes_of(text)))
    await drawn.finish(answer)


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(places=cuts)
@example(places=[5_000, 9_000, 11_000, 12_000, 14_000, 23_000, 29_000])
def test_for_every_cut_of_a_long_answer_the_thread_joined_is_the_answer(
    streaming: bool, places: list[int]
) -> None:
    async def check() -> None:
        async with drawing(SlackServer(), streaming=streaming) as drawn:
            await draw_cut(drawn, LONG, places)

            assert bare(drawn.joined) == full(LONG)
            assert wording.SOURCES in drawn.messages[-1].shown
            assert "search_again" in drawn.messages[-1].buttons

    asyncio.run(check())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["chat.startStream", "chat.appendStream", "chat.stopStream"]),
    kind=st.sampled_from(FAILURES),
    after=st.integers(0, 4),
    n_chars=st.one_of(st.integers(0, 3_000), st.integers(0, len(LONG.text))),
    shares=st.lists(st.floats(0, 1), max_size=8).map(sorted),
)
def test_wherever_native_streaming_fails_the_thread_joined_is_the_answer(
    method: str, kind: str, after: int, n_chars: int, shares: list[float]
) -> None:
    answer = answer_of(LONG.text[:n_chars])

    async def check() -> None:
        async with drawing(SlackServer()) as drawn:
            drawn.slack.fail(method, kind, after=after)
            await draw_cut(drawn, answer, [round(share * n_chars) for share in shares])

            kept = drawn.messages
            if method == "chat.startStream" and kind in {"lose", "fatal_error", "internal_error"}:
                kept = [message for message in kept if not message.stream or message.markdown]
            assert bare("\n".join(message.markdown for message in kept)) == full(answer)

    asyncio.run(check())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(long_canonical, st.integers(0, 6), st.sampled_from(["chat.appendStream", "chat.stopStream"]))
def test_hostile_text_survives_a_switch_too(text: str, after: int, method: str) -> None:
    answer = answer_of(text)

    async def check() -> None:
        async with drawing(SlackServer()) as drawn:
            drawn.slack.fail(method, "message_not_in_streaming_state", after=after, times=99)
            await draw_cut(drawn, answer, [len(text) * n // 6 for n in range(6)])

            assert bare(drawn.joined) == full(answer)

    asyncio.run(check())


@given(st.one_of(canonical, st.just(LONG.text)), st.data())
def test_another_message_can_go_on_where_a_stream_was_left(text: str, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    told = resumable(text[:n_chars])

    assert text.startswith(told)
    assert resumable(told) == told
    assert bare(live_markdown(told, footnotes_of(told))) == bare(
        live_markdown(told, footnotes_of(told), complete=True)
    )


async def test_a_full_stream_is_left_between_words_and_the_rest_follows_in_a_new_message() -> None:
    async with drawing(SlackServer()) as drawn:
        await draw_cut(drawn, LONG, list(range(0, len(LONG.text), 400)))

        streamed, *rest = drawn.messages
        assert streamed.stream
        assert streamed.stream.state == "stopped"
        assert MAX_STREAM_CHARS - 1_500 < len(streamed.markdown) <= MAX_STREAM_CHARS
        assert streamed.markdown.count("```") % 2 == 0
        assert len(rest) >= 2
        assert not drawn.slack.called("chat.delete")


async def test_an_old_stream_is_left_before_slack_ends_it() -> None:
    clock = FakeClock()
    async with drawing(SlackServer(), clock=clock) as drawn:
        await drawn.frame(SEARCHING)
        await drawn.frame(Draft(text="The moon raises "))
        clock.elapsed_s += LIFETIME_S + 1
        await drawn.frame(Draft(text="The moon raises the tides, "))
        await drawn.finish(Answer(outcome=Outcome.ANSWERED, text="The moon raises the tides, slowly."))

        streamed, edited = drawn.messages
        assert (streamed.markdown.strip(), edited.markdown) == ("The moon raises", "the tides, slowly.")


async def test_what_nobody_can_know_was_said_is_taken_away_and_said_again() -> None:
    async with drawing(SlackServer()) as drawn:
        drawn.slack.fail("chat.appendStream", "lose", after=1)
        await drawn.frame(SEARCHING)
        await drawn.frame(Draft(text="The moon raises "))
        await drawn.frame(Draft(text="The moon raises the tides "))
        await drawn.finish(Answer(outcome=Outcome.ANSWERED, text="The moon raises the tides daily."))

        (only,) = drawn.messages
        assert only.markdown == "The moon raises the tides daily."


async def test_one_streaming_mode_is_kept_throughout_and_unfurling_is_off() -> None:
    for streaming in (True, False):
        async with drawing(SlackServer(is_agent=True), streaming=streaming) as drawn:
            await draw_cut(drawn, LONG, [1_000, 20_000])

            for call in drawn.slack.calls:
                assert call.error == ""
                assert "markdown_text" not in call.arguments
                if call.method == "chat.postMessage":
                    assert call.arguments["unfurl_links"] is call.arguments["unfurl_media"] is False
                if call.method in {"chat.postMessage", "chat.update"}:
                    assert (call.arguments["parse"], call.arguments["link_names"]) == ("none", False)


@pytest.mark.parametrize("code", ["edit_window_closed", "cant_update_message"])
async def test_a_message_that_can_no_longer_be_edited_is_replaced(code: str) -> None:
    async with drawing(SlackServer(), streaming=False) as drawn:
        drawn.slack.fail("chat.update", code, after=1)
        await draw_cut(drawn, answer_of("The moon raises the tides."), [5, 12, 20])

        (only,) = drawn.messages
        assert only.markdown == "The moon raises the tides."


@pytest.mark.parametrize(("code", "n_left"), [("", 1), ("cant_delete_message", 3), ("ratelimited", 1)])
async def test_an_answer_shorter_than_its_drafts_leaves_no_message_over_if_slack_lets_it_go(
    code: str, n_left: int
) -> None:
    async with drawing(SlackServer(), streaming=False) as drawn:
        if code:
            drawn.slack.fail("chat.delete", code, times=2)
        await drawn.frame(Draft(text=LONG.text, footnotes=LONG.footnotes))
        await drawn.finish(answer_of("The moon raises the tides."))

        assert len(drawn.messages) == n_left
        assert drawn.messages[0].markdown == "The moon raises the tides."


async def test_progress_counts_pages_honestly_in_a_stream_and_in_edits() -> None:
    for streaming in (True, False):
        async with drawing(SlackServer(), streaming=streaming) as drawn:
            await drawn.frame(SEARCHING)
            await drawn.frame(Progress(stage=Stage.READING, done=7, total=12))

            assert "7 of 12" in drawn.messages[0].shown
            assert "stop_answer" in drawn.messages[0].buttons
            stream = drawn.messages[0].stream
            statuses = [task["status"] for task in stream.tasks.values()] if stream else []
            assert statuses == (["complete", "in_progress"] if streaming else [])


async def test_a_frame_that_meets_the_rate_limit_is_dropped_and_the_final_state_lands() -> None:
    for streaming in (True, False):
        async with drawing(SlackServer(), streaming=streaming) as drawn:
            for method in ("chat.appendStream", "chat.update", "chat.stopStream"):
                drawn.slack.fail(method, "ratelimited")
            await draw_cut(drawn, answer_of("The moon raises the tides."), [5, 12, 20])

            assert drawn.joined == "The moon raises the tides."


@pytest.mark.parametrize("refused", [{"markdown"}, {"markdown", "section"}], ids=["sections", "text"])
async def test_where_slack_refuses_blocks_every_word_is_said_in_simpler_ones(refused: set[str]) -> None:
    slack = SlackServer(rejects={*refused, "chat.startStream", "context_actions"})
    async with drawing(slack) as drawn:
        await draw_cut(drawn, LONG, [12, 5_000])

        said = bare("\n".join(message.text for message in drawn.messages))
        assert bare(MARK_LINK.sub(r"[\1]", live_markdown(LONG.text, LONG.footnotes, complete=True))) in said
        assert ("search_again" in drawn.messages[-1].buttons) is ("section" not in refused)


@pytest.mark.parametrize("code", ["is_archived", "channel_not_found", "token_revoked", "restricted_action"])
async def test_where_nothing_can_be_written_any_more_the_reply_is_lost(code: str) -> None:
    async with drawing(SlackServer()) as drawn:
        await drawn.frame(SEARCHING)
        for method in ("chat.appendStream", "chat.stopStream", "chat.delete", "chat.postMessage"):
            drawn.slack.fail(method, code, times=99)
        with pytest.raises(SurfaceFailed) as caught:
            await drawn.reply.draw(Draft(text="The moon raises "))

        assert caught.value.lost
        assert drawn.reply.refusal == code


async def test_a_text_that_shrinks_between_drafts_and_answer_is_shown_whole() -> None:
    async with drawing(SlackServer()) as drawn:
        await drawn.frame(SEARCHING)
        await drawn.frame(Draft(text="Something quite different "))
        await drawn.finish(Answer(outcome=Outcome.ANSWERED, text="The answer."))

        assert drawn.messages[-1].markdown == "The answer."


async def test_a_stopped_answer_keeps_its_text_and_says_so_in_either_mode() -> None:
    for streaming in (True, False):
        async with drawing(SlackServer(), streaming=streaming) as drawn:
            await drawn.frame(SEARCHING)
            await drawn.frame(Draft(text="The moon raises "))
            stopped = Answer(
                outcome=Outcome.CANCELLED, text="The moon raises ", notices=(Notice(kind=NoticeKind.STOPPED),)
            )
            await drawn.finish(stopped)

            assert drawn.joined.strip() == "The moon raises"
            assert STOPPED in drawn.messages[-1].shown


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
async def test_no_edit_of_any_prefix_of_a_hostile_text_has_a_foreign_link_a_ping_or_half_a_mark(
    streaming: bool,
) -> None:
    for number, form in enumerate(FORMS):
        context = CONTEXTS[number % len(CONTEXTS)]
        async with drawing(SlackServer(), streaming=streaming) as drawn:
            await drawn.frame(SEARCHING)
            defuser = Defuser()
            hostile = context.replace("{}", form) + " and so on."
            for place in range(len(hostile)):
                defuser.feed(hostile[place])
                text = defuser.text
                await drawn.frame(Draft(text=text, footnotes=footnotes_of(text)))
            defuser.finish()
            await drawn.finish(answer_of(defuser.text))

            for message in drawn.messages:
                for state in [*message.edits, message.markdown]:
                    assert all(is_of_footnote(link) for _, link in MARK_LINK.findall(state)), state
                    assert dangers(MARK_LINK.sub("[1]", state)) == [], state
