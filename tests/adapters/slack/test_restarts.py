"""What outlives the process: questions, replies in work, what can be searched again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import JsonValue

from adapters import wording
from adapters.slack.asks import Ask
from adapters.slack.buttons import ending_blocks, stop_block
from adapters.slack.taken import Taken
from core.delivering.journal import Journal
from core.providers.system_clock import SystemClock
from core.types import Answer, Draft, NoticeKind, Outcome
from tests.adapters.slack.joined import JOURNAL, Joined, Setting
from tests.fakes import FakeStore
from tests.servers.slack_server import BOT, LEAST_SCOPES, Message, SlackServer, Stream

QUESTION = "What raises the tides?"
ANSWER = Answer(outcome=Outcome.ANSWERED, text="The moon raises the tides.")
DRAFT = Draft(text="The moon raises")
RESTARTED = wording.NOTICES[NoticeKind.INTERRUPTED]


def asked_in(slack: SlackServer) -> Taken:
    asked = slack.write(f"<@{BOT}> {QUESTION}")
    ask = Ask(
        team="T1", user="U1", user_team="T1", channel="C1", ts=asked.ts, thread_ts=asked.ts, text=QUESTION
    )
    return Taken(key=ask.key, ask=ask)


async def left(
    store: FakeStore, taken: Taken, *, shown: Draft | Answer | None = None, **place: JsonValue
) -> None:
    """As a process leaves it that was killed just now."""
    clock = SystemClock()
    dead = Journal(store, clock, JOURNAL)
    record = taken.record(clock)
    await dead.begin(record)
    await dead.note(replace(record, shown=shown, place=place))


def posted(slack: SlackServer, taken: Taken, **more: object) -> Message:
    message = Message(
        channel="C1", ts=slack._new_ts(), user=BOT, thread_ts=taken.ask.thread_ts,
        text="Searching the web…", blocks=[stop_block(taken.key)], **more,  # type: ignore[arg-type] # each field's own
    )  # fmt: skip
    slack.messages.append(message)
    return message


async def recovered(bot: Joined) -> None:
    await bot.slack.until(lambda: not [key for key in bot.store.kept if key.startswith("journal:")])
    await bot.idle()


def markdown(replies: Sequence[Message]) -> str:
    (reply,) = replies
    return reply.markdown


@pytest.mark.parametrize("form", ["stream", "edits"])
@pytest.mark.parametrize(
    ("shown", "said"),
    [(ANSWER, "The moon raises the tides."), (DRAFT, "The moon raises"), (None, "")],
    ids=["answer", "draft", "placeholder"],
)
async def test_a_reply_that_was_left_is_ended_in_one_message(
    form: str, shown: Answer | Draft | None, said: str
) -> None:
    setting = Setting()
    taken = asked_in(setting.slack)
    if form == "stream":
        place: dict[str, JsonValue] = {
            "stream": posted(setting.slack, taken, stream=Stream(mode="chunks", pieces=["The mo"])).ts
        }
    else:
        place = {"messages": [posted(setting.slack, taken).ts], "surplus": []}
    await left(setting.store, taken, shown=shown, **place)

    async with setting.joined() as bot:
        await recovered(bot)
        (reply,) = bot.slack.thread(taken.ask.ts)

    assert reply.markdown == said
    assert (RESTARTED in reply.shown) == (shown is not ANSWER)
    assert "search_again" in reply.buttons
    assert "stop_answer" not in reply.buttons
    assert bot.model.prompts == []


async def test_a_stream_that_was_left_with_text_keeps_it_when_the_thread_can_be_read() -> None:
    setting = Setting(slack=SlackServer(scopes=f"{LEAST_SCOPES},channels:history"))
    taken = asked_in(setting.slack)
    tasks = {"searching": {"id": f"{taken.key}:searching", "title": "Searching", "status": "complete"}}
    streamed = posted(
        setting.slack,
        taken,
        stream=Stream(mode="chunks", state="stopped", pieces=["The moon "], tasks=tasks),
    )
    edited = posted(setting.slack, taken)
    await left(
        setting.store,
        taken,
        shown=ANSWER,
        left=streamed.ts,
        told="The moon ",
        messages=[edited.ts],
        surplus=[],
    )

    async with setting.joined() as bot:
        await recovered(bot)
        said = [reply.markdown for reply in bot.slack.thread(taken.ask.ts)]

    assert said == ["The moon ", "raises the tides."]


@pytest.mark.parametrize("may_read", [True, False])
async def test_a_question_of_which_nothing_is_known_to_stand_is_asked_again(may_read: bool) -> None:
    scopes = f"{LEAST_SCOPES},channels:history" if may_read else LEAST_SCOPES
    setting = Setting(slack=SlackServer(scopes=scopes))
    taken = asked_in(setting.slack)
    orphan = posted(setting.slack, taken)
    await left(setting.store, taken)

    async with setting.joined() as bot:
        await recovered(bot)
        replies = bot.slack.thread(taken.ask.ts)

    assert orphan.is_deleted == may_read
    assert "search_again" in replies[-1].buttons
    assert markdown([reply for reply in replies if reply is not orphan]).startswith("The moon raises them")


async def test_a_press_on_what_nobody_knew_of_takes_it_away() -> None:
    async with Setting().joined() as bot:
        orphan = posted(bot.slack, asked_in(bot.slack))
        await bot.slack.press(orphan, "stop_answer")
        await bot.slack.until(lambda: bot.slack.responses)

    assert orphan.is_deleted
    assert bot.slack.responses[0]["text"] == wording.STOPPED_ALREADY


async def test_a_press_on_what_has_text_marks_it_and_keeps_the_text() -> None:
    async with Setting().joined() as bot:
        taken = asked_in(bot.slack)
        orphan = posted(bot.slack, taken)
        orphan.blocks = [{"type": "markdown", "text": "The moon"}, stop_block(taken.key)]
        await bot.slack.press(orphan, "stop_answer")
        await bot.slack.until(lambda: bot.slack.responses)

    assert orphan.markdown == "The moon"
    assert RESTARTED in orphan.shown
    assert "search_again" in orphan.buttons
    assert "stop_answer" not in orphan.buttons


async def test_a_press_on_what_another_process_works_on_changes_nothing() -> None:
    setting = Setting()
    taken = asked_in(setting.slack)
    other = Journal(setting.store, SystemClock(), replace(JOURNAL, lease_s=60))
    await other.begin(taken.record(SystemClock()))
    async with setting.joined() as bot:
        message = posted(bot.slack, taken)
        await bot.slack.press(message, "stop_answer")
        await bot.slack.until(lambda: bot.slack.responses)

    assert not message.is_deleted
    assert "stop_answer" in message.buttons


async def test_a_press_on_an_answer_that_stands_changes_nothing() -> None:
    async with Setting().joined() as bot:
        taken = asked_in(bot.slack)
        message = posted(bot.slack, taken)
        message.blocks += ending_blocks(taken.key, native_feedback=True)
        await bot.slack.press(message, "stop_answer")
        await bot.slack.until(lambda: bot.slack.responses)

    assert not message.is_deleted
    assert not bot.slack.called("chat.update")


async def test_search_again_works_after_a_restart() -> None:
    setting = Setting()
    async with setting.joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        await bot.idle()

    async with setting.joined() as bot:
        await bot.slack.press(bot.slack.thread(asked.ts)[0], "search_again")
        await bot.slack.until(lambda: len(bot.slack.thread(asked.ts)) == 2)
        await bot.idle()

    first, second = bot.slack.thread(asked.ts)
    assert first.markdown == second.markdown


async def test_of_a_question_delivered_to_two_processes_one_answers() -> None:
    setting = Setting()
    async with setting.joined() as bot:
        other = setting.adapter(
            bot.model, bot.running, bot.conversations, Journal(bot.store, SystemClock(), JOURNAL)
        )
        task = asyncio.get_running_loop().create_task(other.run())
        await bot.slack.until(lambda: len(bot.slack.sockets) == 2)
        event = bot.slack.event("app_mention", asked := bot.slack.write(f"<@{BOT}> {QUESTION}"))
        for _ in range(4):
            bot.slack.sockets.reverse()
            await bot.slack.deliver("events_api", event)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        await bot.idle()
        task.cancel()
        await asyncio.wait([task])

    assert len(bot.slack.thread(asked.ts)) == 1
    assert len(bot.model.prompts) == 1


async def test_a_command_whose_process_died_before_it_had_a_message_gets_one() -> None:
    setting = Setting()
    ask = replace(asked_in(setting.slack).ask, ts="", thread_ts="")
    await left(setting.store, Taken(key="slack:t1", ask=ask))

    async with setting.joined() as bot:
        await recovered(bot)
        parent = bot.slack.messages[1]

    assert QUESTION in parent.text
    assert markdown(bot.slack.thread(parent.ts)).startswith("The moon raises them")


async def test_a_question_that_was_withdrawn_is_not_asked_again() -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.delete(asked)
        await bot.idle()
        await asyncio.sleep(2 * JOURNAL.lease_s)

    assert not [key for key in bot.store.kept if key.startswith("journal:")]
    assert len(bot.model.prompts) <= 1
