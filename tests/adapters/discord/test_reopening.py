"""What one process left is taken up by the next: over the wire, on a store that both know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from adapters.discord.asks import TOKEN_LIVES_S, Ask, Token, ask_of, without_token
from adapters.discord.opening import Asked
from bot.redaction import Redactor
from core.delivering.journal import ReplyRecord
from core.providers.storage.memory_store import MemoryStore
from core.providers.system_clock import SystemClock
from core.types import Turn
from tests.adapters.discord.harness import Bot, buttons, connected, slow_model, until
from tests.servers.discord_server import ASKER_ID, CHANNEL_ID, GUILD_ID, DiscordServer, Fault

SECRET = "aW50ZXJhY3Rpb246MTIzNDU2Nzg5OmFiY2RlZg"
DONE = ["Search again", "Good answer", "Bad answer"]


def ask(token: Token | None = None, **changed: object) -> Ask:
    known = Ask(
        event_id=5_000,
        asked=Asked(text="And in spring?"),
        user_id=ASKER_ID,
        guild_id=GUILD_ID,
        channel_id=CHANNEL_ID,
        parent_id=CHANNEL_ID,
        token=token,
    )
    return replace(known, **changed)  # type: ignore[arg-type] # named by each test


def token(lives_s: float = 60) -> Token:
    until_then = datetime.now(UTC) + timedelta(seconds=lives_s)
    return Token(application_id=100, value=SECRET, until=until_then)


def left(asked: Ask, *, hours_ago: float = 0, **changed: object) -> ReplyRecord:
    """As another process began it."""
    record = asked.record(datetime.now(UTC) - timedelta(hours=hours_ago))
    return replace(record, kept_s=None, **changed)  # type: ignore[arg-type] # named by each test


@asynccontextmanager
async def found_by_next(bot: Bot, record: ReplyRecord) -> AsyncIterator[DiscordServer]:
    """The server, once nothing is left in the journal."""
    store = bot.store = MemoryStore(SystemClock())
    data = orjson.dumps(
        {
            "key": record.key,
            "platform": record.platform,
            "ask": record.ask,
            "begun_at": record.begun_at,
            "place": record.place,
            "attempt": record.attempt,
            "shown": record.shown,
        }
    )
    await store.put({f"journal:{record.key}": data}, ttl_s=60)
    async with connected(bot) as server:
        yield server


async def all_ended(bot: Bot) -> None:
    """Once nothing stands in the journal any more."""
    assert bot.store
    async with asyncio.timeout(10):
        while await bot.store.keys("journal:"):  # noqa: ASYNC110 # a store tells nobody of its changes
            await asyncio.sleep(0.01)


def test_an_interactions_token_is_printed_and_logged_nowhere() -> None:
    record = ask(token()).record(datetime.now(UTC))
    logged = Redactor().mapping(
        {"record": record, "ask": record.ask, "url": f"/webhooks/1/{SECRET}/messages"}
    )

    assert SECRET not in repr(ask(token()))
    assert SECRET not in repr(record)
    assert SECRET not in str(logged)


def test_a_record_with_a_token_is_kept_for_as_long_as_it_lives_and_without_it_for_longer() -> None:
    with_token = ask(token()).record(datetime.now(UTC))
    without = without_token(with_token, ask(token()))

    assert with_token.kept_s == TOKEN_LIVES_S < 15 * 60
    assert without.kept_s is None
    assert SECRET not in str(without.ask)


def test_what_was_asked_is_read_back_and_a_strange_record_is_none() -> None:
    asked = ask(token(), turns=(Turn(question="What raises the tides?", answer="The moon."),))

    assert ask_of(asked.record(datetime.now(UTC))) == asked
    assert ask_of(replace(asked.record(datetime.now(UTC)), ask={"text": "?"})) is None


async def test_a_command_s_token_leaves_the_store_once_the_response_shows_the_question() -> None:
    bot = Bot()
    bot.world.model = slow_model(2_000)
    async with connected(bot) as server:
        interaction = await server.search("What raises the tides?")
        assert bot.store
        store = bot.store
        await until(lambda: len(server.thread_messages(server_thread(server, interaction))) == 2)
        (key,) = await store.keys("journal:")
        (data,) = await store.get([key])

    assert data is not None
    assert b"What raises the tides?" in data
    assert interaction.encode() not in data


def server_thread(server: DiscordServer, interaction: str) -> int:
    shown = server.responses.get(interaction, {}).get("@original", {})
    return int(shown.get("id", 0))


async def test_a_follow_up_that_is_asked_again_still_knows_what_came_before() -> None:
    bot = Bot()
    model = bot.world.model = slow_model(5)
    turns = (Turn(question="What raises the tides?", answer="The moon."),)
    async with found_by_next(bot, left(ask(turns=turns))) as server:
        await until(lambda: any(buttons(m) == DONE for m in server.thread_messages(CHANNEL_ID)))

    assert "What raises the tides?" in str(model.prompts[-1])


async def test_what_nobody_answered_for_long_is_marked_with_search_again_and_not_asked_again() -> None:
    bot = Bot()
    async with found_by_next(bot, left(ask(), hours_ago=2)) as server:
        await until(lambda: len(server.thread_messages(CHANNEL_ID)) == 2)
        opening, note = server.thread_messages(CHANNEL_ID)
        await until(lambda: buttons(opening) == DONE)

    assert opening["content"] == "> And in spring?"
    assert "I was restarted" in note["content"]


@pytest.mark.parametrize(
    "dead", [ask(private=True), ask(token(lives_s=-1), private=True)], ids=["none", "expired"]
)
async def test_a_private_reply_whose_token_is_dead_is_left_alone(dead: Ask) -> None:
    bot = Bot()
    async with found_by_next(bot, left(dead)) as server:
        await all_ended(bot)

        assert server.writes() == []


async def test_a_place_that_is_gone_ends_it_without_a_word() -> None:
    bot = Bot()
    async with found_by_next(bot, left(ask(channel_id=1), hours_ago=2)) as server:
        await all_ended(bot)

        assert server.writes() == []


async def test_a_record_that_cannot_be_read_is_dropped() -> None:
    bot = Bot()
    async with found_by_next(bot, replace(left(ask()), ask={"text": "?"})) as server:
        await all_ended(bot)

        assert server.writes() == []


async def test_a_private_answer_that_was_dismissed_ends_the_work_and_the_bot_goes_on() -> None:
    bot = Bot()
    model = bot.world.model = slow_model(2_000)
    async with connected(bot) as server:
        interaction = await server.search("What raises the tides?", private=True)
        await until(lambda: len(server.responses.get(interaction, {})) == 2)
        gone = Fault(method="PATCH", path="/webhooks/.*", status=404, body={"code": 10008}, times=99)
        server.faults.append(gone)
        await bot.ended(1)
        server.faults.remove(gone)
        assert bot.store
        assert await bot.store.keys("journal:") == []

        model.pieces = ["The moon [1]."]
        again = await server.search("What raises the tides?", private=True)
        await bot.ended(2)
        assert len(server.responses[again]) == 2
    assert 0 < 99 - gone.times <= 3


async def test_an_answer_whose_connection_is_given_up_is_ended_by_the_next_one() -> None:
    bot = Bot(message_content=True)
    bot.world.model = slow_model(300)
    async with connected(bot) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        await server.drop(4014)  # somebody unticked the intent: it takes another client
        await until(lambda: len(server.identifies) == 2)
        await all_ended(bot)

        opening, *answers = server.thread_messages(asked)
        assert buttons(opening) == DONE
        assert "word299" in answers[-1]["content"]
