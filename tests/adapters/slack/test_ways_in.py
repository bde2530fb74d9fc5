"""Each way to ask in Slack, through the real SDK and socket."""

from __future__ import annotations

import pytest

from adapters import wording
from core.asking.policy import Policy
from tests.adapters.slack.joined import Joined, Setting
from tests.servers.slack_server import BOT, LEAST_SCOPES, Message, SlackServer

ANSWER = "The moon raises them[[1](https://a.example/tides#:~:text="
QUESTION = "What raises the tides?"


async def replies(bot: Joined, thread_ts: str, channel: str = "C1") -> list[Message]:
    """Once the answer stands."""
    await bot.slack.until(lambda: bot.slack.thread(thread_ts, channel))
    await bot.idle()
    return bot.slack.thread(thread_ts, channel)


async def test_a_mention_is_answered_in_the_thread_of_its_message() -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.mention(QUESTION)

        (reply,) = await replies(bot, asked.ts)

        assert reply.markdown.startswith(ANSWER)
        assert wording.SOURCES in reply.shown
        assert {"feedback", "search_again"} <= set(reply.buttons)
        assert bot.model.prompts[0].messages[-1].content.count(QUESTION) == 1


async def test_a_direct_message_is_answered_in_its_thread() -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.direct(QUESTION)

        (reply,) = await replies(bot, asked.ts, "D1")

        assert reply.markdown.startswith(ANSWER)


async def test_a_command_is_acknowledged_and_answered_under_a_message_that_says_who_asked_what() -> None:
    async with Setting().joined() as bot:
        word = await bot.slack.command("What raises the tides & <!channel>?")
        await bot.slack.until(lambda: bot.slack.messages)
        parent = bot.slack.messages[0]

        (reply,) = await replies(bot, parent.ts)

        assert word["text"] == wording.ACCEPTED
        assert parent.text == "<@U1> asked: What raises the tides &amp; @channel?"
        assert parent.thread_ts == ""
        assert reply.markdown.startswith(ANSWER)


@pytest.mark.parametrize("text", ["help", " Help ", ""])
async def test_help_is_told_to_the_asker_alone(text: str) -> None:
    async with Setting().joined() as bot:
        word = await bot.slack.command(text)
        await bot.slack.mention("help")
        await bot.slack.until(lambda: bot.slack.ephemerals)

        assert word["text"] == bot.slack.ephemerals[0]["text"] == wording.HELP
        assert not [message for message in bot.slack.messages if message.user == BOT]


async def test_the_shortcut_asks_what_the_chosen_message_asks() -> None:
    async with Setting().joined() as bot:
        chosen = bot.slack.write("Does anybody know what raises the tides?", user="U2")
        await bot.slack.choose(chosen)

        (reply,) = await replies(bot, chosen.ts)

        assert reply.markdown.startswith(ANSWER)
        assert "Does anybody know what raises the tides?" in bot.model.prompts[0].messages[-1].content


async def test_the_shortcut_where_the_bot_may_not_write_says_how_to_invite_it() -> None:
    async with Setting().joined() as bot:
        chosen = bot.slack.write(QUESTION, channel="C99")
        await bot.slack.choose(chosen)
        await bot.slack.until(lambda: bot.slack.responses)

        assert "/invite" in bot.slack.responses[0]["text"]
        assert bot.slack.responses[0]["response_type"] == "ephemeral"


async def test_a_command_where_the_bot_may_not_write_says_how_to_invite_it() -> None:
    async with Setting().joined() as bot:
        await bot.slack.command(QUESTION, channel="C99")
        await bot.slack.until(lambda: bot.slack.responses)

        assert "/invite" in bot.slack.responses[0]["text"]
        assert not bot.model.prompts


async def test_a_follow_up_in_the_thread_knows_what_was_asked_before() -> None:
    async with Setting().joined() as bot:
        first = await bot.slack.mention(QUESTION)
        await replies(bot, first.ts)
        await bot.slack.mention("And what follows them?", thread_ts=first.ts)
        await bot.slack.until(lambda: len(bot.slack.thread(first.ts)) == 2)
        await bot.idle()

        assert QUESTION in str(bot.model.prompts[-1].messages)


async def test_after_a_restart_the_thread_is_read_again_but_never_the_channel() -> None:
    slack = SlackServer(scopes=f"{LEAST_SCOPES},channels:history")
    async with Setting(slack=slack).joined() as bot:
        bot.slack.write("Something else entirely, said in the channel.")
        head = bot.slack.write(f"<@{BOT}> {QUESTION}")
        bot.slack.write("The moon does.", user=BOT, thread_ts=head.ts)
        bot.slack.write("A stranger's remark.", user="U7", thread_ts=head.ts)
        await bot.slack.mention("And what follows them?", thread_ts=head.ts)
        await bot.slack.until(lambda: len(bot.slack.thread(head.ts)) == 2)
        await bot.idle()

        prompt = str(bot.model.prompts[-1].messages)
        assert QUESTION in prompt
        assert "entirely" not in prompt
        assert "remark" not in prompt
        (read,) = bot.slack.called("conversations.replies")
        assert read.arguments["limit"] == "15"


async def test_the_message_under_which_the_bot_is_mentioned_is_part_of_the_question() -> None:
    slack = SlackServer(scopes=f"{LEAST_SCOPES},channels:history")
    async with Setting(slack=slack).joined() as bot:
        head = bot.slack.write("The moon raises the tides.", user="U2")
        await bot.slack.mention("is this true?", thread_ts=head.ts)
        await replies(bot, head.ts)

        assert "The moon raises the tides." in str(bot.model.prompts[-1].messages)
        assert not bot.slack.ephemerals


async def test_a_message_that_cannot_be_read_is_said_with_the_way_round_it() -> None:
    async with Setting().joined() as bot:
        head = bot.slack.write("The moon raises the tides.", user="U2")
        await bot.slack.mention("is it true that the moon raises tides?", thread_ts=head.ts)
        await replies(bot, head.ts)

        (said,) = bot.slack.ephemerals
        assert (said["text"], said["user"], said["thread_ts"]) == (wording.QUOTED_UNREAD, "U1", head.ts)
        assert wording.ANSWER_THIS in wording.QUOTED_UNREAD


async def test_attachments_are_said_to_be_unread() -> None:
    async with Setting().joined() as bot:
        asked = await bot.slack.direct(QUESTION, subtype="file_share", files=[{"id": "F1"}])
        sent = await replies(bot, asked.ts, "D1")

        assert sent[0].text == wording.FILES_UNREAD
        assert sent[1].markdown.startswith(ANSWER)


@pytest.mark.parametrize("thread", [{}, {"thread_ts": "1.1"}])
async def test_prompts_are_offered_where_a_conversation_begins(thread: dict[str, str]) -> None:
    async with Setting().joined() as bot:
        opened: dict[str, object] = {
            "type": "app_home_opened",
            "tab": "messages",
            "channel": "D1",
            "user": "U1",
        }
        if thread:
            opened = {"type": "assistant_thread_started", "assistant_thread": {"channel_id": "D1", **thread}}
        await bot.slack.deliver("events_api", bot.slack.callback(opened))
        await bot.slack.until(lambda: bot.slack.prompts)

        (offered,) = bot.slack.prompts
        assert offered["channel_id"] == "D1"
        assert [prompt["title"] for prompt in offered["prompts"]] == [title for title, _ in wording.PROMPTS]


async def test_links_and_mentions_in_a_question_are_read_as_a_person_reads_them() -> None:
    async with Setting().joined() as bot:
        await bot.slack.direct(
            "Does <https://a.example/tides|that page> say why <@U2|ann> &amp; <#C1|sea> like &lt;tides&gt;?"
        )
        await bot.slack.until(lambda: bot.model.prompts)

        asked = bot.model.prompts[-1].messages[-1].content
        assert "https://a.example/tides" in asked
        assert "why @ann & #sea like <tides>?" in asked


@pytest.mark.parametrize("allowed", [False, True])
async def test_strangers_from_shared_channels_are_refused_unless_they_are_allowed(allowed: bool) -> None:
    async with Setting(policy=Policy(allow_strangers=allowed)).joined() as bot:
        message = bot.slack.write(f"<@{BOT}> {QUESTION}", user="U9")
        await bot.slack.deliver("events_api", bot.slack.event("app_mention", message, user_team="T9"))
        await bot.slack.until(lambda: bot.slack.ephemerals or bot.model.prompts)
        await bot.idle()

        assert bool(bot.slack.thread(message.ts)) is allowed
        assert [said["text"] for said in bot.slack.ephemerals] == (
            [] if allowed else [wording.NOT_ALLOWED_HERE]
        )


@pytest.mark.parametrize(
    "policy",
    [Policy(workspaces=frozenset({"T2"})), Policy(channels=frozenset({"C2"}))],
    ids=["team", "channel"],
)
async def test_who_is_not_on_an_allow_list_is_told_so_once_and_nothing_is_searched(policy: Policy) -> None:
    async with Setting(policy=policy).joined() as bot:
        await bot.slack.mention(QUESTION)
        word = await bot.slack.command(QUESTION)
        chosen = bot.slack.write(QUESTION)
        await bot.slack.choose(chosen)
        await bot.slack.until(lambda: bot.slack.responses and bot.slack.ephemerals)

        assert word["text"] == bot.slack.ephemerals[0]["text"] == wording.NOT_ALLOWED_HERE
        assert bot.slack.responses[0]["text"] == wording.NOT_ALLOWED_HERE
        assert not bot.model.prompts


async def test_after_a_restart_the_question_of_a_command_is_found_in_the_message_that_stands_for_it() -> None:
    slack = SlackServer(scopes=f"{LEAST_SCOPES},channels:history")
    async with Setting(slack=slack).joined() as bot:
        parent = bot.slack.write(f"<@U1> asked: {QUESTION}", user=BOT)
        bot.slack.write("The moon does.", user=BOT, thread_ts=parent.ts)
        await bot.slack.mention("And what follows them?", thread_ts=parent.ts)
        await bot.slack.until(lambda: len(bot.slack.thread(parent.ts)) == 2)
        await bot.idle()

        assert QUESTION in str(bot.model.prompts[-1].messages)
        assert not bot.slack.ephemerals


async def test_a_direct_thread_is_read_again_after_a_restart_without_any_optional_scope() -> None:
    async with Setting().joined() as bot:
        first = bot.slack.write(QUESTION, channel="D1")
        bot.slack.write("The moon does.", user=BOT, channel="D1", thread_ts=first.ts)
        await bot.slack.direct("And what follows them?", thread_ts=first.ts)
        await bot.slack.until(lambda: len(bot.slack.thread(first.ts, "D1")) == 2)
        await bot.idle()

        prompt = str(bot.model.prompts[-1].messages)
        assert QUESTION in prompt
        assert "The moon does." in prompt
