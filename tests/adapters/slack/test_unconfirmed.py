"""Slack did it and its word was lost, or it never came there: the thread ends with one reply all the same."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.slack.pacing import RATES
from adapters.slack.unconfirmed import MAX_UNCONFIRMED
from core.errors import SurfaceFailed
from core.types import Answer, Draft, Outcome, Progress, Stage
from tests.adapters.canonical import footnotes_of, long_answer
from tests.adapters.slack.drawing import Drawing, bare, drawing
from tests.adapters.slack.joined import FASTER, Setting
from tests.fakes import FakeClock
from tests.servers.slack_server import LEAST_SCOPES, LIMITS, Message, SlackServer

READABLE = f"{LEAST_SCOPES},channels:history"
ANSWER = Answer(outcome=Outcome.ANSWERED, text="The moon raises the tides, twice a day.")
LONG = long_answer()
KINDS = ("lose", "drop", "garble")
WRITING = (
    "chat.postMessage",
    "chat.update",
    "chat.delete",
    "chat.startStream",
    "chat.appendStream",
    "chat.stopStream",
)


def is_at_work(message: Message) -> bool:
    if message.stream:
        return message.stream.state == "open"
    return "stop_answer" in message.buttons


async def draw_all(drawn: Drawing, answer: Answer = ANSWER) -> None:
    await drawn.frame(Progress(stage=Stage.SEARCHING))
    await drawn.frame(Progress(stage=Stage.READING, done=1, total=3))
    for n in range(1, 5):
        text = answer.text[: len(answer.text) * n // 5]
        await drawn.frame(Draft(text=text, footnotes=footnotes_of(text)))
    await drawn.finish(answer)


def is_whole(drawn: Drawing, answer: Answer) -> bool:
    """Every page of it once, and nothing else."""
    ended = [message for message in drawn.messages if "search_again" in message.buttons]
    return (
        bare(drawn.joined) == bare(answer.text)
        and ended == drawn.messages[-1:]
        and not any(map(is_at_work, drawn.messages))
    )


async def is_lost_with(drawn: Drawing, answer: Answer) -> bool:
    try:
        await drawn.reply.draw(answer)
    except SurfaceFailed as failure:
        return failure.lost
    return False


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("times", [1, 4])
async def test_where_the_first_words_of_slack_are_lost_the_thread_ends_with_one_reply(
    streaming: bool, kind: str, times: int
) -> None:
    async with drawing(SlackServer(scopes=READABLE), streaming=streaming) as drawn:
        for method in WRITING:
            drawn.slack.fail(method, kind, times=times)
        await draw_all(drawn)

        assert is_whole(drawn, ANSWER)


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
@pytest.mark.parametrize("kind", ["lose", "garble"])
async def test_where_no_word_of_a_new_message_ever_comes_it_is_found_and_drawn_on(
    streaming: bool, kind: str
) -> None:
    async with drawing(SlackServer(scopes=READABLE), streaming=streaming) as drawn:
        for method in ("chat.startStream", "chat.postMessage"):
            drawn.slack.fail(method, kind, times=999)
        await draw_all(drawn)

        assert is_whole(drawn, ANSWER)


async def test_pages_without_a_button_are_found_too() -> None:
    answer = Answer(outcome=Outcome.ANSWERED, text="The moon raises the tides, twice a day.\n\n" * 700)
    async with drawing(SlackServer(scopes=READABLE), streaming=False) as drawn:
        drawn.slack.fail("chat.postMessage", "lose", times=999)
        await drawn.finish(answer)

        assert len(drawn.messages) > 2
        assert is_whole(drawn, answer)


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
async def test_after_an_unanswered_start_progress_goes_on_once_the_thread_was_read(streaming: bool) -> None:
    async with drawing(SlackServer(scopes=READABLE), streaming=streaming) as drawn:
        for method in ("chat.startStream", "chat.postMessage"):
            drawn.slack.fail(method, "lose")
        for n in range(6):
            await drawn.frame(Progress(stage=Stage.READING, done=n, total=20))

        (only,) = drawn.messages
        assert "5 of 20" in only.shown
        assert "stop_answer" in only.buttons


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
async def test_after_an_unanswered_start_nothing_is_shown_before_the_answer_in_a_thread_that_cant_be_read(
    streaming: bool,
) -> None:
    async with drawing(SlackServer(), streaming=streaming) as drawn:
        for method in ("chat.startStream", "chat.postMessage"):
            drawn.slack.fail(method, "lose")
        await drawn.frame(Progress(stage=Stage.SEARCHING))
        for n in range(20):
            await drawn.frame(Progress(stage=Stage.READING, done=n, total=20))
            await drawn.frame(Draft(text="The moon " * n))

        assert len([call for call in drawn.slack.calls if call.method in WRITING]) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_slack_that_does_not_even_answer_for_its_own_sign_is_posted_no_progress(kind: str) -> None:
    async with drawing(SlackServer(is_agent=True), rates=RATES) as drawn:
        for method in (*WRITING, "agents.sessions.setStatus"):
            drawn.slack.fail(method, kind, times=30)
        for _ in range(20):
            await drawn.frame(Progress(stage=Stage.SEARCHING))
        assert drawn.messages == []
        drawn.slack.faults.clear()
        await draw_all(drawn)
        await drawn.reply.close()

        assert is_whole(drawn, ANSWER)
        assert set(drawn.slack.sessions.values()) == {"active"}


async def test_a_sign_that_was_cut_off_in_its_beginning_is_ended_too() -> None:
    async with drawing(SlackServer(is_agent=True)) as drawn:
        drawn.slack.is_black_hole = True
        beginning = asyncio.ensure_future(drawn.frame(Progress(stage=Stage.SEARCHING)))
        await asyncio.sleep(0.05)
        beginning.cancel()
        drawn.slack.is_black_hole = False
        await drawn.slack.until(lambda: drawn.slack.sessions)
        await drawn.finish(ANSWER)
        await drawn.reply.close()

        assert set(drawn.slack.sessions.values()) == {"active"}


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
@pytest.mark.parametrize("kind", KINDS)
async def test_where_the_thread_cant_be_read_a_few_messages_are_the_most_that_is_left(
    streaming: bool, kind: str
) -> None:
    clock = FakeClock()
    async with drawing(SlackServer(), streaming=streaming, clock=clock) as drawn:
        for method in ("chat.startStream", "chat.postMessage"):
            drawn.slack.fail(method, kind, times=999)
        await drawn.frame(Progress(stage=Stage.SEARCHING))
        is_lost = False
        while not is_lost:
            clock.elapsed_s += 1
            is_lost = await is_lost_with(drawn, ANSWER)

        assert drawn.reply.undrawn is None
        assert clock.elapsed_s > 20
        left = [] if kind == "drop" else [True, *[False] * (MAX_UNCONFIRMED - 1)]
        assert [is_at_work(message) for message in drawn.messages] == left


async def test_what_never_left_for_slack_is_not_counted() -> None:
    slack = SlackServer()
    async with drawing(slack, streaming=False) as drawn:
        await slack.stop()
        for _ in range(2 * MAX_UNCONFIRMED):
            await drawn.frame(Progress(stage=Stage.SEARCHING))
        await slack.start()
        await drawn.finish(ANSWER)

        assert is_whole(drawn, ANSWER)


lost = st.lists(
    st.tuples(
        st.sampled_from([*WRITING, "conversations.replies"]),
        st.sampled_from(KINDS),
        st.integers(0, 5),
        st.integers(1, 4),
    ),
    max_size=8,
)


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lost=lost, is_long=st.booleans())
@example(lost=[("chat.postMessage", "lose", 1, 4), ("conversations.replies", "drop", 0, 1)], is_long=True)
def test_wherever_words_of_slack_are_lost_the_thread_ends_with_one_reply(
    streaming: bool, lost: list[tuple[str, str, int, int]], is_long: bool
) -> None:
    answer = Answer(outcome=Outcome.ANSWERED, text=ANSWER.text * 500) if is_long else ANSWER

    async def check() -> None:
        clock = FakeClock()
        async with drawing(SlackServer(scopes=READABLE), streaming=streaming, clock=clock) as drawn:
            for method, kind, after, times in lost:
                drawn.slack.fail(method, kind, after=after, times=times)
            await draw_all(drawn, answer)

            assert is_whole(drawn, answer)

    asyncio.run(check())


@pytest.mark.parametrize("rejects", [set(), {"chat.startStream"}], ids=["stream", "edits"])
@pytest.mark.parametrize("is_agent", [False, True], ids=["app", "agent"])
async def test_a_question_asked_while_words_of_slack_are_lost_gets_one_reply(
    rejects: set[str], is_agent: bool
) -> None:
    slack = SlackServer(scopes=READABLE, rejects=rejects, is_agent=is_agent, faster=FASTER, limits=LIMITS)
    for method in (*WRITING, "agents.sessions.setStatus"):
        slack.fail(method, "lose", times=2)
    async with Setting(slack=slack, pieces=[f"word{n} " for n in range(40)], pause_s=0.005).joined() as bot:
        asked = await slack.mention("What raises the tides?")
        await bot.idle()

        (reply,) = slack.thread(asked.ts)
        assert "word39" in reply.markdown
        assert "search_again" in reply.buttons
        assert not is_at_work(reply)
        assert not is_agent or "stop_answer" not in reply.buttons
        assert set(slack.sessions.values()) <= {"active"}
