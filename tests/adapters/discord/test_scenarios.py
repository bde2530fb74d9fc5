"""Each way in and each button, played through in a simulated Discord."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
import pytest
import simcord
from simcord.actors import MemberActor
from simcord.builders import ChannelHandle, GuildHandle
from structlog.testing import capture_logs

from adapters import wording
from adapters.discord.client import BotClient
from core.asking.policy import Policy
from core.types import AskerId
from tests.adapters.discord.harness import Bot, buttons
from tests.core.test_service import World
from tests.fakes import FakeClock, FakeLanguageModel, FakeRateLimiter

QUESTION = "What raises the tides?"
ANSWER = "The moon raises them"
DONE = ["Search again", "Good answer", "Bad answer"]


class Scene:
    """A guild with a channel and somebody in it."""

    def __init__(self, bot: Bot, client: BotClient, env: simcord.Env, topic: str | None = None) -> None:
        self.bot = bot
        self.client = client
        self.env = env
        self.guild: GuildHandle = env.create_guild()
        self.channel: ChannelHandle = self.guild.create_text_channel("general", topic=topic)
        self.ann = self.join("ann")

    def join(self, name: str) -> MemberActor:
        return self.guild.add_member(self.env.create_user(name))

    @property
    def me(self) -> str:
        assert self.client.user
        return self.client.user.mention

    async def ask(self, text: str = QUESTION) -> ChannelHandle:
        """The thread in which a mention in the channel was answered."""
        await self.ann.send(self.channel, f"{self.me} {text}")
        return self.channel.threads[-1]

    def answers(self, channel: ChannelHandle) -> list[discord.Message]:
        """The bot's messages, without Discord's own on its behalf ("started a thread")."""
        kinds = discord.MessageType
        written = {kinds.default, kinds.reply, kinds.chat_input_command, kinds.context_menu_command}
        return [
            message
            for message in channel.history()
            if message.author == self.client.user and message.type in written
        ]


@asynccontextmanager
async def scene(
    bot: Bot | None = None, *, message_content: bool = False, topic: str | None = None
) -> AsyncIterator[Scene]:
    bot = bot or Bot()
    bot.clock = FakeClock()
    client = bot.adapter().client(message_content=message_content)
    async with simcord.run(client, shard_count=1) as env:
        yield Scene(bot, client, env, topic)


async def test_a_mention_in_a_channel_is_answered_in_a_thread_named_after_the_question() -> None:
    async with scene() as at:
        thread = await at.ask()

        opening, answer = at.answers(thread)
        assert thread.name == QUESTION
        assert opening.content == f"> {QUESTION}"
        assert buttons(opening) == DONE
        assert answer.content.startswith(ANSWER)
        assert len(at.answers(at.channel)) == 0


async def test_a_mention_in_a_thread_is_answered_there_as_a_reply() -> None:
    async with scene() as at:
        thread = await at.ask()
        await at.ann.send(thread, f"And the sun? {at.me}")

        opening, answer = at.answers(thread)[2:]
        assert opening.content == "> And the sun?"
        assert opening.reference
        assert answer.content.startswith(ANSWER)


async def test_a_direct_message_is_answered_there_as_a_reply() -> None:
    async with scene() as at:
        await at.ann.send_dm(QUESTION)

        opening, answer = at.answers(at.ann.user.dm_channel)
        assert (opening.content, bool(opening.reference)) == (f"> {QUESTION}", True)
        assert answer.content.startswith(ANSWER)


async def test_a_command_is_answered_in_a_thread_under_the_question_it_shows() -> None:
    async with scene() as at:
        result = await at.ann.slash(at.channel, "search", question=QUESTION)

        (thread,) = at.channel.threads
        opening, answer = at.answers(thread)
        assert result.response is not None
        assert result.response.content == f"> {QUESTION}"
        assert buttons(opening) == DONE
        assert answer.content.startswith(ANSWER)


async def test_a_command_in_a_thread_is_answered_there() -> None:
    async with scene() as at:
        thread = await at.ask()
        await at.ann.slash(thread, "search", question="And the sun?")

        opening, answer = at.answers(thread)[2:]
        assert opening.content == "> And the sun?"
        assert buttons(opening) == DONE
        assert answer.content.startswith(ANSWER)


async def test_a_command_in_a_direct_message_is_answered_there() -> None:
    async with scene() as at:
        await at.ann.user.slash("search", question=QUESTION)

        opening, answer = at.answers(at.ann.user.dm_channel)
        assert opening.content == f"> {QUESTION}"
        assert answer.content.startswith(ANSWER)


async def test_a_private_command_is_answered_to_the_asker_alone() -> None:
    async with scene() as at:
        result = await at.ann.slash(at.channel, "search", question=QUESTION, private=True)

        assert result.ephemeral
        assert result.response is not None
        assert result.response.content == f"> {QUESTION}"
        assert [message.content[: len(ANSWER)] for message in result.followups] == [ANSWER]
        assert all(message.ephemeral for message in result.followups)
        assert at.channel.threads == []
        assert at.channel.history(viewer=at.join("bob")) == []


async def test_the_menu_entry_answers_the_message_it_was_chosen_on() -> None:
    async with scene() as at:
        message = await at.join("bob").send(at.channel, QUESTION)
        await at.ann.context_menu(at.channel, "Answer this", message)

        opening, answer = at.answers(at.channel.threads[0])
        assert opening.content == f"> {QUESTION}"
        assert answer.content.startswith(ANSWER)


async def test_a_message_without_words_is_refused_in_one_sentence_and_gets_no_thread() -> None:
    async with scene() as at:
        picture = await at.join("bob").send(at.channel, attachments=[("tides.png", b"")])
        result = await at.ann.context_menu(at.channel, "Answer this", picture)
        await at.ann.send(at.channel, at.me)

        assert result.response is not None
        assert (result.ephemeral, result.response.content) == (True, wording.FILES_UNREAD)
        (note,) = at.answers(at.ann.user.dm_channel)
        assert note.content.startswith("There is no question in that.")
        assert at.channel.threads == []


async def test_a_mention_that_replies_to_a_message_takes_it_into_the_question() -> None:
    async with scene(message_content=True) as at:
        claim = await at.join("bob").send(at.channel, "The sun raises the tides.")
        await at.ann.send(at.channel, f"{at.me} Is that so?", reply_to=claim)

        opening, _ = at.answers(at.channel.threads[0])
        assert opening.content == "> Is that so?\n-# About: The sun raises the tides."


async def test_a_bare_mention_under_a_message_asks_that_message() -> None:
    async with scene(message_content=True) as at:
        asked = await at.join("bob").send(at.channel, QUESTION)
        await at.ann.send(at.channel, at.me, reply_to=asked)

        assert at.answers(at.channel.threads[0])[0].content == f"> {QUESTION}"


async def test_without_the_intent_a_quoted_message_that_cannot_be_read_is_said() -> None:
    async with scene() as at:
        claim = await at.join("bob").send(at.channel, "The sun raises the tides.")
        await at.ann.send(at.channel, f"{at.me} Is that so?", reply_to=claim)

        assert wording.QUOTED_UNREAD in at.answers(at.channel.threads[0])[0].content


async def test_a_follow_up_knows_what_was_asked_before() -> None:
    model = FakeLanguageModel(["The moon raises them [1]."])
    async with scene(Bot(world=World(model=model))) as at:
        thread = await at.ask()
        await at.ann.send(thread, f"{at.me} And in spring?")

        assert len(at.answers(thread)) == 4
        assert QUESTION in str(model.prompts[-1])


async def test_a_follow_up_needs_no_mention_where_the_intent_is_on() -> None:
    async with scene(message_content=True) as at:
        thread = await at.ask()
        await at.ann.send(thread, "And the sun?")
        await at.ann.send(thread, "And why?", reply_to=at.answers(thread)[1])

        assert [message.content for message in at.answers(thread)[2::2]] == ["> And the sun?", "> And why?"]


async def test_people_talking_to_each_other_in_the_thread_are_left_alone() -> None:
    async with scene(message_content=True) as at:
        bob = at.join("bob")
        thread = await at.ask()
        said = await at.ann.send(thread, f"{bob.mention} what do you think?")
        await bob.send(thread, "I think so too.", reply_to=said)

        assert len(at.answers(thread)) == 2


@pytest.mark.parametrize(
    ("message_content", "topic"), [(False, None), (True, "News. [Mentions only]")], ids=["no intent", "topic"]
)
async def test_a_follow_up_needs_a_mention_where_the_intent_or_the_channel_says_so(
    message_content: bool, topic: str | None
) -> None:
    async with scene(message_content=message_content, topic=topic) as at:
        thread = await at.ask()
        await at.ann.send(thread, "And the sun?")
        assert len(at.answers(thread)) == 2

        await at.ann.send(thread, f"{at.me} And the sun?")
        assert len(at.answers(thread)) == 4


async def test_what_does_not_ask_the_bot_is_left_alone() -> None:
    async with scene(message_content=True) as at:
        other = at.guild.add_member(at.env.create_user("robot", bot=True))
        await at.ann.send(at.channel, "What raises the tides, anybody?")
        await other.send(at.channel, f"{at.me} {QUESTION}")

        assert at.channel.threads == []


def channel_denying(at: Scene, *permissions: str) -> ChannelHandle:
    """One in which the bot lacks these, and everybody else doesn't."""
    overwrite = discord.PermissionOverwrite(**dict.fromkeys(permissions, False))
    assert at.client.user
    return at.guild.create_text_channel("narrow", overwrites={at.client.user: overwrite})


async def test_without_the_permission_for_threads_the_reply_stands_in_place() -> None:
    async with scene() as at:
        narrow = channel_denying(at, "create_public_threads")
        await at.ann.send(narrow, f"{at.me} {QUESTION}")

        opening, answer = at.answers(narrow)
        assert opening.reference
        assert answer.content.startswith(ANSWER)


async def test_without_the_permission_to_send_a_mention_gets_a_direct_message_that_names_it() -> None:
    async with scene() as at:
        narrow = channel_denying(at, "send_messages", "create_public_threads")
        await at.ann.send(narrow, f"{at.me} {QUESTION}")

        (note,) = at.answers(at.ann.user.dm_channel)
        assert "“Send Messages”" in note.content
        assert at.answers(narrow) == []


async def test_without_the_permission_to_send_a_command_gets_a_note_that_names_it() -> None:
    async with scene() as at:
        narrow = channel_denying(at, "send_messages", "create_public_threads")
        result = await at.ann.slash(narrow, "search", question=QUESTION)

        assert result.ephemeral
        assert result.response is not None
        assert "“Send Messages”" in result.response.content


@pytest.mark.parametrize("kind", ["guild", "channel", "role"])
async def test_who_may_not_ask_is_told_so_alone(kind: str) -> None:
    policies = {
        "guild": Policy(workspaces=frozenset({"1"})),
        "channel": Policy(channels=frozenset({"1"})),
        "role": Policy(roles=frozenset({"1"})),
    }
    async with scene(Bot(policy=policies[kind])) as at:
        result = await at.ann.slash(at.channel, "search", question=QUESTION)
        for _ in range(3):
            await at.ann.send(at.channel, f"{at.me} {QUESTION}")

        (note,) = at.answers(at.ann.user.dm_channel)
        assert result.ephemeral
        assert result.response is not None
        assert result.response.content == note.content == wording.NOT_ALLOWED_HERE
        assert at.channel.threads == []


async def test_a_role_on_the_list_may_ask() -> None:
    async with scene() as at:
        role = at.guild.create_role("askers")
        bob = at.guild.add_member(at.env.create_user("bob"), roles=[role])
        at.client.desk._policy = Policy(roles=frozenset({str(role.id)}))
        await bob.send(at.channel, f"{at.me} {QUESTION}")

        assert at.channel.threads


async def test_once_intake_has_stopped_new_questions_are_refused_in_one_sentence() -> None:
    async with scene() as at:
        at.client.desk.close()
        result = await at.ann.slash(at.channel, "search", question=QUESTION)

        assert result.response is not None
        assert result.response.content == wording.RESTARTING


def at_the_limit() -> World:
    return World(limiter=FakeRateLimiter(refuses_for_s=12))


async def test_who_asks_too_often_by_command_is_told_alone_and_the_channel_shows_nothing() -> None:
    async with scene(Bot(world=at_the_limit())) as at:
        result = await at.ann.slash(at.channel, "search", question=QUESTION)

        assert result.ephemeral
        assert result.response is not None
        assert "12 seconds" in result.response.content
        assert at.channel.threads == []
        assert at.channel.history(viewer=at.join("bob")) == []


async def test_who_asks_too_often_by_mention_is_told_by_direct_message() -> None:
    async with scene(Bot(world=at_the_limit())) as at:
        await at.ann.send(at.channel, f"{at.me} {QUESTION}")

        (note,) = at.answers(at.ann.user.dm_channel)
        assert "12 seconds" in note.content
        assert at.answers(at.channel) == []
        assert at.channel.threads == []


async def test_search_again_over_the_limit_is_refused_to_whoever_pressed_alone() -> None:
    bot = Bot()
    async with scene(bot) as at:
        thread = await at.ask()
        bot.world.limiter.refuses_for_s = 12
        result = await at.ann.click(at.answers(thread)[0], label="Search again")

        assert result.ephemeral
        assert result.response is not None
        assert "12 seconds" in result.response.content
        assert len(at.answers(thread)) == 2


async def test_search_again_after_a_restart_repeats_the_question_from_the_message_alone() -> None:
    async with scene() as at:
        thread = await at.ask()
        opening = at.answers(thread)[0]
        fresh = Bot(clock=FakeClock())
        await at.env.restart_bot(fresh.adapter().client(message_content=False))
        await at.ann.click(opening, label="Search again")

        first, _, again, answer = thread.history()[-4:]
        assert first.content == again.content == f"> {QUESTION}"
        assert answer.content.startswith(ANSWER)


@pytest.mark.parametrize("where", ["thread", "direct message"])
async def test_search_again_after_a_restart_works_on_replies_that_stand_in_place(where: str) -> None:
    async with scene() as at:
        if where == "thread":
            thread = await at.ask("What is baked?")
            await at.ann.send(thread, f"{at.me} {QUESTION}")
        else:
            await at.ann.send_dm(QUESTION)
        place = thread if where == "thread" else at.ann.user.dm_channel
        opening = at.answers(place)[-2]
        await at.env.restart_bot(Bot(clock=FakeClock()).adapter().client(message_content=False))
        await (at.ann if where == "thread" else at.ann.user).click(opening, label="Search again")

        again, answer = at.answers(place)[-2:]
        assert again.id != opening.id
        assert again.content == f"> {QUESTION}"
        assert answer.content.startswith(ANSWER)


async def test_feedback_is_logged_without_words_and_thanked_for_after_a_restart_too() -> None:
    async with scene() as at:
        opening = at.answers(await at.ask())[0]
        await at.env.restart_bot(Bot(clock=FakeClock()).adapter().client(message_content=False))
        with capture_logs() as logs:
            results = [await at.ann.click(opening, label=label) for label in ("Good answer", "Bad answer")]

        given = [entry for entry in logs if entry["event"] == "feedback.given"]
        assert [entry["helpful"] for entry in given] == [True, False]
        assert "tides" not in str(given)
        assert [(r.ephemeral, r.response and r.response.content) for r in results] == [
            (True, wording.THANKS)
        ] * 2


async def test_only_the_asker_and_admins_may_search_again() -> None:
    async with scene() as at:
        bob, admin = at.join("bob"), at.join("admin")
        admin_id = AskerId(f"discord:{at.guild.id}:{admin.id}")
        at.client.desk._policy = Policy(admins=frozenset({admin_id}))
        thread = await at.ask()
        refused = await bob.click(at.answers(thread)[0], label="Search again")
        assert refused.response is not None
        assert (refused.ephemeral, refused.response.content) == (True, wording.NOT_YOURS_TO_REPEAT)
        assert len(at.answers(thread)) == 2

        await admin.click(at.answers(thread)[0], label="Search again")
        assert len(at.answers(thread)) == 4
