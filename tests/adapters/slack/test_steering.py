"""Stop, search again, feedback: pressed in Slack, through the real SDK and socket."""

from __future__ import annotations

import time

import pytest
from structlog.testing import capture_logs

from adapters import wording
from core.asking.policy import Policy
from core.types import AskerId
from tests.adapters.slack.joined import Joined, Setting
from tests.servers.slack_server import BOT, Message, SlackServer

QUESTION = "What raises the tides?"
SLOW = [f"word{n} " for n in range(400)]


async def next_call(bot: Joined) -> None:
    """Until the bot has called Slack once more, or has nothing more to do."""
    n_calls = len(bot.slack.calls)
    await bot.slack.until(lambda: len(bot.slack.calls) > n_calls or not len(bot.running))


async def begun(bot: Joined, asked: Message) -> Message:
    """The reply, once there is text in it."""
    await bot.slack.until(lambda: any("word3" in reply.markdown for reply in bot.slack.thread(asked.ts)))
    return bot.slack.thread(asked.ts)[0]


@pytest.mark.parametrize("rejects", [set(), {"chat.startStream"}], ids=["stream", "edits"])
async def test_stop_ends_search_fetches_and_model_within_a_second_and_keeps_what_was_shown(
    rejects: set[str],
) -> None:
    async with Setting(slack=SlackServer(rejects=rejects), pieces=SLOW, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        reply = await begun(bot, asked)
        pressed_s = time.monotonic()
        await bot.slack.press(reply, "stop_answer")
        await bot.idle()

        assert time.monotonic() - pressed_s < 1
        assert bot.model.closed == 1
        (reply,) = bot.slack.thread(asked.ts)
        assert "word3" in reply.markdown
        assert wording.NOTICES["stopped"] in reply.shown  # type: ignore[index] # a StrEnum is its value


@pytest.mark.parametrize("is_agent", [False, True], ids=["app", "agent"])
@pytest.mark.parametrize("rejects", [set(), {"chat.startStream"}], ids=["stream", "edits"])
async def test_no_running_reply_is_ever_without_a_stop(rejects: set[str], is_agent: bool) -> None:
    long = [f"{'word ' * 400}\n\n" for _ in range(20)]
    slack = SlackServer(rejects=rejects, is_agent=is_agent)
    async with Setting(slack=slack, pieces=long, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        stops = []
        while len(bot.running):
            pressable = any("stop_answer" in reply.buttons for reply in bot.slack.thread(asked.ts))
            stops.append(pressable or "processing" in bot.slack.sessions.values())
            await next_call(bot)

        drawn_after = stops.index(True)
        ended_before = bot.slack.called("agents.sessions.setStatus") if is_agent else []
        assert all(stops[drawn_after : -1 - len(ended_before)])
        assert len(stops) > 5


async def test_only_the_asker_and_admins_may_stop() -> None:
    admin = Policy(admins=frozenset({AskerId("slack:T1:UADMIN")}))
    async with Setting(policy=admin, pieces=SLOW, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        reply = await begun(bot, asked)

        await bot.slack.press(reply, "stop_answer", user="U2")
        await bot.slack.until(lambda: bot.slack.responses)
        assert bot.slack.responses[0]["text"] == wording.NOT_YOURS_TO_STOP
        assert len(bot.running) == 1

        await bot.slack.press(reply, "stop_answer", user="UADMIN")
        await bot.idle()
        assert len(bot.slack.responses) == 1


async def test_a_stop_whose_answer_has_ended_says_so() -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        await bot.idle()
        await bot.slack.press(bot.slack.thread(asked.ts)[0], "stop_answer")
        await bot.slack.until(lambda: bot.slack.responses)

        assert bot.slack.responses[0]["text"] == wording.STOPPED_ALREADY


async def test_search_again_answers_the_same_question_once_more() -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        await bot.idle()
        reply = bot.slack.thread(asked.ts)[0]
        await bot.slack.press(reply, "search_again", user="U2")
        await bot.slack.until(lambda: bot.slack.responses)
        assert bot.slack.responses[0]["text"] == wording.NOT_YOURS_TO_REPEAT

        await bot.slack.press(reply, "search_again")
        await bot.slack.until(lambda: len(bot.slack.thread(asked.ts)) == 2)
        await bot.idle()

        first, second = bot.slack.thread(asked.ts)
        assert first.markdown == second.markdown
        assert bot.model.prompts[0].messages[-1].content.count(QUESTION) == 1
        assert QUESTION in bot.model.prompts[-1].messages[-1].content


async def test_a_question_that_is_no_longer_known_is_said_to_be() -> None:
    async with Setting().joined() as bot:
        old = bot.slack.write("An answer from before the restart", user=BOT)
        old.blocks = [
            {
                "type": "actions",
                "elements": [{"type": "button", "action_id": "search_again", "value": "slack:C1:0.1"}],
            }
        ]
        await bot.slack.press(old, "search_again")
        await bot.slack.until(lambda: bot.slack.responses)

        assert bot.slack.responses[0]["text"] == wording.NO_LONGER_KNOWN


@pytest.mark.parametrize(
    ("rejects", "buttons"),
    [(set(), ["feedback"]), ({"context_actions"}, ["feedback:good", "feedback:bad"])],
    ids=["native", "plain"],
)
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "edits"])
async def test_feedback_is_thanked_logged_and_counted_without_a_word_of_the_question(
    rejects: set[str], buttons: list[str], streaming: bool
) -> None:
    rejected = rejects | (set() if streaming else {"chat.startStream"})
    async with Setting(slack=SlackServer(rejects=rejected)).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        await bot.idle()
        *_, reply = bot.slack.thread(asked.ts)
        with capture_logs() as logs:
            for button in buttons:
                await bot.slack.press(reply, button)
            await bot.slack.until(lambda: len(bot.slack.responses) == len(buttons))

        given = [line for line in logs if line["event"] == "feedback.given"]
        assert [line["verdict"] for line in given] == ["good", "bad"][: len(buttons)]
        assert given[-1]["so_far"] == dict.fromkeys(["good", "bad"][: len(buttons)], 1)
        assert QUESTION not in str(given)
        assert {response["text"] for response in bot.slack.responses} == {wording.THANKS}
        assert "search_again" in reply.buttons


async def test_where_slack_has_a_stop_button_of_its_own_that_one_stops_and_no_other_is_shown() -> None:
    async with Setting(slack=SlackServer(is_agent=True), pieces=SLOW, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        reply = await begun(bot, asked)
        assert "stop_answer" not in reply.buttons
        await bot.slack.stop_natively("C1", asked.ts)
        await bot.idle()

        assert bot.model.closed == 1
        assert wording.NOTICES["stopped"] in bot.slack.thread(asked.ts)[-1].shown  # type: ignore[index] # as above
        assert bot.slack.sessions == {("C1", asked.ts): "active"}


async def test_slacks_own_stop_button_pressed_by_another_ends_the_stream_but_not_the_answer() -> None:
    async with Setting(slack=SlackServer(is_agent=True), pieces=SLOW[:60], pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await begun(bot, asked)
        await bot.slack.stop_natively("C1", asked.ts, user="U2")
        await bot.idle()

        said = " ".join(reply.markdown for reply in bot.slack.thread(asked.ts))
        assert said.split() == [word.strip() for word in SLOW[:60]]


async def test_a_session_ends_with_its_answer_and_leaves_no_button_that_does_nothing() -> None:
    async with Setting(slack=SlackServer(is_agent=True)).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        await bot.idle()

        (reply,) = bot.slack.thread(asked.ts)
        assert set(reply.buttons) == {"feedback", "search_again"}
        assert bot.slack.sessions == {("C1", asked.ts): "active"}


async def test_deleting_the_question_cancels_its_answer() -> None:
    async with Setting(pieces=SLOW, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await begun(bot, asked)
        await bot.slack.delete(asked)
        await bot.idle()

        assert bot.model.closed == 1


async def test_deleting_the_reply_ends_the_work_for_it() -> None:
    async with Setting(pieces=SLOW, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        reply = await begun(bot, asked)
        reply.is_deleted = True
        await bot.idle()

        assert bot.model.closed == 1
        assert not bot.slack.thread(asked.ts)
