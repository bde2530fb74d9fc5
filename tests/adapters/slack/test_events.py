"""Slack delivers at least once, in any order, and everything is acknowledged before any work."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters import wording
from tests.adapters.slack.joined import Joined, Setting
from tests.servers.slack_server import BOT, SlackServer

QUESTION = "What raises the tides?"


async def settled(bot: Joined) -> None:
    await asyncio.sleep(0.05)
    await bot.idle()


async def test_an_event_is_acknowledged_before_any_work() -> None:
    async with Setting(pause_s=0.3).joined() as bot:
        sent_s = time.monotonic()
        await bot.slack.mention(QUESTION)

        assert time.monotonic() - sent_s < 0.25
        assert not bot.model.closed


async def test_an_event_is_acknowledged_within_a_second_while_the_web_api_is_a_black_hole() -> None:
    async with Setting().joined() as bot:
        bot.slack.is_black_hole = True
        sent_s = time.monotonic()
        await bot.slack.mention(QUESTION)
        await bot.slack.command("What raises the sun?")
        await bot.slack.delete(bot.slack.write("a word"))

        assert time.monotonic() - sent_s < 1
        bot.slack.is_black_hole = False


@settings(max_examples=8, deadline=None)
@given(st.permutations([(kind, attempt) for kind in ("app_mention", "message") for attempt in range(4)]))
def test_a_text_that_comes_up_to_eight_times_in_any_order_is_one_question(
    deliveries: list[tuple[str, int]],
) -> None:
    async def check() -> None:
        async with Setting().joined() as bot:
            message = bot.slack.write(f"<@{BOT}> {QUESTION}")
            payloads = {kind: bot.slack.event(kind, message) for kind in ("app_mention", "message")}
            for kind, attempt in deliveries:
                await bot.slack.deliver("events_api", payloads[kind], attempt=attempt)
            await settled(bot)

            assert len(bot.slack.thread(message.ts)) == 1
            assert len(bot.model.prompts) == 1

    asyncio.run(check())


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False))
def test_many_questions_delivered_four_times_in_any_order_get_one_answer_each(shuffler: object) -> None:
    async def check() -> None:
        async with Setting(slack=SlackServer()).joined() as bot:
            asked = [bot.slack.write(f"<@{BOT}> {QUESTION} {n}", channel=f"C{n + 2}") for n in range(5)]
            payloads = [bot.slack.event("app_mention", message) for message in asked]
            deliveries = [(payload, attempt) for payload in payloads for attempt in range(4)]
            shuffler.shuffle(deliveries)  # type: ignore[attr-defined] # Hypothesis names no public type
            for payload, attempt in deliveries:
                await bot.slack.deliver("events_api", payload, attempt=attempt)
            await settled(bot)

            assert [len(bot.slack.thread(message.ts, message.channel)) for message in asked] == [1] * 5

    asyncio.run(check())


async def test_a_retry_that_is_the_only_delivery_is_answered() -> None:
    async with Setting().joined() as bot:
        message = bot.slack.write(f"<@{BOT}> {QUESTION}")
        await bot.slack.deliver("events_api", bot.slack.event("app_mention", message), attempt=3)
        await settled(bot)

        assert len(bot.slack.thread(message.ts)) == 1


@pytest.mark.parametrize(
    "extra",
    [
        {"bot_id": "B7"},
        {"subtype": "message_changed"},
        {"subtype": "bot_message", "bot_id": "B7"},
        {"subtype": "channel_join"},
        {"user": BOT},
    ],
    ids="-".join,
)
async def test_bots_edits_and_its_own_messages_are_no_questions(extra: dict[str, object]) -> None:
    async with Setting().joined() as bot:
        message = bot.slack.write(f"<@{BOT}> {QUESTION}", channel="D1")
        await bot.slack.deliver("events_api", bot.slack.event("message", message, **extra))
        await settled(bot)

        assert not bot.model.prompts
        assert not bot.slack.called("chat.postMessage")


async def test_what_people_say_to_each_other_in_a_channel_is_no_question() -> None:
    async with Setting().joined() as bot:
        message = bot.slack.write(QUESTION)
        await bot.slack.deliver("events_api", bot.slack.event("message", message))
        await settled(bot)

        assert not bot.model.prompts


async def test_a_question_deleted_before_it_arrives_is_not_answered() -> None:
    async with Setting().joined() as bot:
        message = bot.slack.write(f"<@{BOT}> {QUESTION}")
        await bot.slack.delete(message)
        await bot.slack.deliver("events_api", bot.slack.event("app_mention", message))
        await settled(bot)

        assert not bot.model.prompts


@pytest.mark.parametrize("kind", ["reaction_added", "team_join", "something_new"])
async def test_events_that_nobody_waits_for_are_acknowledged(kind: str) -> None:
    async with Setting().joined() as bot:
        await bot.slack.deliver("events_api", bot.slack.callback({"type": kind, "user": "U1"}))


async def test_buttons_and_shortcuts_that_nobody_knows_are_acknowledged() -> None:
    async with Setting().joined() as bot:
        base = {"team": {"id": "T1"}, "user": {"id": "U1"}, "trigger_id": "t", "response_url": "u"}
        action = {"type": "button", "action_id": "from_an_older_version", "block_id": "b", "value": "v"}
        await bot.slack.deliver("interactive", {**base, "type": "block_actions", "actions": [action]})
        await bot.slack.deliver("interactive", {**base, "type": "shortcut", "callback_id": "older"})
        await bot.slack.deliver(
            "interactive",
            {**base, "type": "view_submission", "view": {"type": "modal", "callback_id": "older"}},
        )


@pytest.mark.parametrize("text", ["", " ", "🎉🎉🎉", "x" * 39_000, ":tada: <!here>"])
async def test_what_is_no_question_gets_one_clear_sentence(text: str) -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.direct(text)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts, "D1"))
        await bot.idle()

        (reply,) = bot.slack.thread(asked.ts, "D1")
        assert reply.shown
        assert "stop_answer" not in reply.buttons
        assert not bot.slack.called("chat.startStream")


async def test_after_stop_intake_questions_are_left_for_the_next_process_and_running_ones_go_on() -> None:
    pieces = [f"word{n} " for n in range(40)]
    async with Setting(pieces=pieces, pause_s=0.005).joined() as bot:
        running = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(running.ts))
        await bot.adapter.stop_intake()
        late = bot.slack.write(f"<@{BOT}> {QUESTION}")
        await bot.slack.deliver("events_api", bot.slack.event("app_mention", late), expect_ack=False)
        word = await bot.slack.command(QUESTION)
        n_acks = len(bot.slack.acks)
        await bot.idle()
        await asyncio.sleep(0.05)

        assert word["text"] == wording.RESTARTING
        assert len(bot.slack.acks) == n_acks
        assert not bot.slack.thread(late.ts)
        assert "word39" in bot.slack.thread(running.ts)[0].markdown


async def test_after_stop_intake_shortcuts_and_repetitions_are_told_to_come_again() -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        await bot.idle()
        await bot.adapter.stop_intake()
        await bot.slack.choose(asked)
        await bot.slack.press(bot.slack.thread(asked.ts)[0], "search_again")
        await bot.slack.until(lambda: len(bot.slack.responses) == 2)

        assert {response["text"] for response in bot.slack.responses} == {wording.RESTARTING}
        assert len(bot.model.prompts) == 1


@pytest.mark.parametrize("kind", ["drop", "ratelimited"])
async def test_a_command_that_slack_does_not_let_be_answered_at_once_is_not_forgotten(kind: str) -> None:
    async with Setting().joined() as bot:
        bot.slack.fail("chat.postMessage", kind)
        await bot.slack.command(QUESTION)
        await bot.slack.until(lambda: bot.slack.responses or bot.slack.messages)

        said = [response["text"] for response in bot.slack.responses]
        assert said == ([wording.TRY_AGAIN] if kind == "drop" else [])


async def test_hints_and_prompts_that_slack_refuses_leave_everything_else_as_it_is() -> None:
    async with Setting().joined() as bot:
        for method in ("chat.postEphemeral", "assistant.threads.setSuggestedPrompts"):
            bot.slack.fail(method, "internal_error", times=9)
        opened = {"type": "app_home_opened", "tab": "messages", "channel": "D1", "user": "U1"}
        await bot.slack.deliver("events_api", bot.slack.callback(opened))
        head = bot.slack.write("Something else.", user="U2")
        asked = await bot.slack.mention("What raises the tides, do you know?", thread_ts=head.ts)
        await bot.slack.until(lambda: bot.slack.thread(head.ts))
        await bot.idle()

        assert asked.thread_ts == head.ts
        assert "search_again" in bot.slack.thread(head.ts)[0].buttons


async def test_an_answer_that_slack_does_not_take_in_time_is_tried_until_it_stands() -> None:
    async with Setting(slack=SlackServer(rejects={"chat.startStream"})).joined() as bot:
        bot.slack.fail("chat.update", "internal_error", times=10_000)
        with capture_logs() as logs:
            asked = await bot.slack.mention(QUESTION)
            # The service has given up on it by then.
            await bot.slack.until(lambda: any(line["event"] == "answer.late" for line in logs))
            bot.slack.faults.clear()
            await bot.idle()

        assert "search_again" in bot.slack.thread(asked.ts)[0].buttons


async def test_a_restarted_slack_and_every_event_redelivered_make_one_answer_each() -> None:
    pieces = [f"word{n} " for n in range(60)]
    async with Setting(slack=SlackServer(), pieces=pieces, pause_s=0.005).joined() as bot:
        asked = [bot.slack.write(f"<@{BOT}> {QUESTION}", channel=f"C{n + 2}") for n in range(3)]
        payloads = [bot.slack.event("app_mention", message) for message in asked]
        for payload in payloads:
            await bot.slack.deliver("events_api", payload)
        await bot.slack.until(lambda: bot.model.prompts)
        bot.slack.cut()
        await bot.slack.stop()
        await asyncio.sleep(0.1)
        await bot.slack.start()
        for payload, attempt in itertools.product(payloads, range(1, 4)):
            await bot.slack.deliver("events_api", payload, attempt=attempt)
        await bot.idle()

        for message in asked:
            said = "".join(reply.markdown for reply in bot.slack.thread(message.ts, message.channel))
            assert [word for word in said.split() if word.startswith("word")] == [
                f"word{n}" for n in range(60)
            ]
