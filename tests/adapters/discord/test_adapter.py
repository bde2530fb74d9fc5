"""Connecting: what a person has to mend is named, what passes is waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import discord
import pytest
from structlog.testing import capture_logs

from core.errors import PlatformFailed
from tests.adapters.discord.harness import Bot, FastClock, running, until
from tests.servers.discord_server import Fault, discord_server

MESSAGE_CONTENT = 1 << 15


async def test_a_refused_token_is_named_with_the_fix() -> None:
    async with discord_server(token="another") as server, running(Bot(), server.url) as run:
        with pytest.raises(PlatformFailed, match=r"DISCORD_TOKEN.*Reset Token"):
            await run


async def test_a_token_refused_by_the_gateway_is_named_with_the_fix() -> None:
    async with discord_server(refused_identifies=[4004]) as server, running(Bot(), server.url) as run:
        with pytest.raises(PlatformFailed, match=r"DISCORD_TOKEN.*Reset Token"):
            await run


async def test_an_unticked_intent_is_named_with_the_switch_and_mentions_go_on_without_it() -> None:
    bot = Bot(message_content=True)
    with capture_logs() as logs:
        async with discord_server(refused_identifies=[4014]) as server, running(bot, server.url):
            await server.ready()
            asked = await server.mention("What raises the tides?")
            await bot.ended(1)
            assert len(server.thread_messages(asked)) == 2

    (missing,) = [entry for entry in logs if entry["event"] == "discord.intent_missing"]
    assert "Privileged Gateway Intents" in missing["fix"]
    assert [bool(identify["intents"] & MESSAGE_CONTENT) for identify in server.identifies] == [True, False]


async def test_only_the_least_intents_are_asked_for() -> None:
    async with discord_server() as server, running(Bot(), server.url):
        await server.ready()

    assert server.identifies[0]["intents"] == 1 << 0 | 1 << 9 | 1 << 12  # guilds, their messages, direct ones


@pytest.mark.parametrize("status", [0, 503, 429])
async def test_trouble_that_passes_is_waited_for_and_never_raised(status: int) -> None:
    trouble = Fault(method="GET", path="/gateway/bot|/users/@me", status=status, headers={}, times=3)
    with capture_logs() as logs:
        async with discord_server(faults=[trouble]) as server, running(Bot(clock=FastClock()), server.url):
            await server.ready()

    assert trouble.times == 0
    assert "discord.unreachable" in [entry["event"] for entry in logs]


@pytest.mark.parametrize("code", [1000, 1001, 4008, 4009])
async def test_a_closed_connection_is_opened_again(code: int) -> None:
    bot = Bot(clock=FastClock())
    async with discord_server() as server, running(bot, server.url):
        await server.ready()
        await server.drop(code)
        await until(lambda: len(server.identifies) + len(server.resumes) == 2)
        asked = await server.mention("What raises the tides?")
        await bot.ended(1)

        assert len(server.thread_messages(asked)) == 2


async def test_cancelled_it_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    async with discord_server() as server, running(Bot(), server.url):
        await server.ready()
    await asyncio.sleep(0)

    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_the_token_never_stands_in_a_log_line() -> None:
    with capture_logs() as logs:
        async with discord_server() as server, running(Bot(token="token"), server.url):
            await server.ready()

    assert "'token'" not in str(logs)


def test_the_invite_in_the_manual_asks_for_exactly_the_permissions_that_are_used() -> None:
    permissions = discord.Permissions(
        view_channel=True,
        send_messages=True,
        create_public_threads=True,
        send_messages_in_threads=True,
        read_message_history=True,
    )
    manual = (Path(__file__).parents[3] / "docs" / "discord.md").read_text()

    assert f"permissions={permissions.value}" in manual
    assert "scope=bot+applications.commands" in manual
