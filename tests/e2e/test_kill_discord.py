"""Processes killed at every request they make to Discord: the next one leaves one reply, and it is whole."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.discord.harness import buttons, until
from tests.e2e.discord_process import BotProcesses, Recipe, bot_processes, opened_store
from tests.servers.discord_server import LOADING, DiscordServer, Trap, discord_server
from tests.servers.redis_server import running_redis

QUESTION = "What raises the tides?"
DONE = ["Search again", "Good answer", "Bad answer"]
N_WORDS = 400
"""Of the answer, which takes two messages."""
RESTARTED = "I was restarted"

Meant = Callable[[str, str, Any], bool]


def request(method: str, path: str, says: str = "") -> Meant:
    """says: what stands in its body."""

    def is_meant(its_method: str, its_path: str, body: Any) -> bool:
        return its_method == method and bool(re.fullmatch(path, its_path)) and says in str(body)

    return is_meant


OPENED = request("POST", r"/channels/\d+/messages/\d+/threads")
POINTS = {
    "mention": {
        "thread": OPENED,
        "opening": request("POST", r"/channels/\d+/messages", "'> What"),
        "progress": request("PATCH", r"/channels/.*", "-# "),
        "first page": request("POST", r"/channels/\d+/messages", "'The moon"),
        "draft": request("PATCH", r"/channels/.*", "'The moon"),
        "second page": request("POST", r"/channels/\d+/messages", "'word"),
        "last page": request("PATCH", r"/channels/.*", f"word{N_WORDS - 1}"),
        "end of the opening": request("PATCH", r"/channels/.*", "again:"),
    },
    "command": {
        "callback": request("POST", r"/interactions/.*"),
        "response": request("PATCH", r"/webhooks/.*"),
        "thread": OPENED,
        "opening": request("POST", r"/channels/\d+/messages", "'> What"),
        "end of the opening": request("PATCH", r"/channels/.*", "again:"),
    },
    "private": {
        "callback": request("POST", r"/interactions/.*"),
        "opening": request("PATCH", r"/webhooks/.*", "'> What"),
        "progress": request("PATCH", r"/webhooks/.*", "-# Writing"),
        "end of the opening": request("PATCH", r"/webhooks/.*", "again:"),
    },
}
KILLS = [
    pytest.param(way, meant, takes_effect, id=f"{way}-{'after' if takes_effect else 'before'}-{point}")
    for way, points in POINTS.items()
    for point, meant in points.items()
    for takes_effect in (False, True)
]


@asynccontextmanager
async def bot(kept_in: str | Path, **state: Any) -> AsyncIterator[tuple[DiscordServer, BotProcesses]]:
    async with discord_server(**state) as server:
        with bot_processes(Recipe(server_url=server.url, kept_in=str(kept_in), words=N_WORDS)) as processes:
            processes.start()
            await server.ready()
            yield server, processes


async def ask(server: DiscordServer, way: str) -> None:
    if way == "mention":
        await server.mention(QUESTION)
    else:
        await server.search(QUESTION, private=way == "private")


async def all_ended(kept_in: str | Path) -> None:
    """Once nothing stands in the journal any more."""
    async with opened_store(str(kept_in)) as store, asyncio.timeout(15):
        while await store.keys("journal:"):  # noqa: ASYNC110 # a store tells nobody of its changes
            await asyncio.sleep(0.02)


def own(server: DiscordServer) -> list[dict[str, Any]]:
    """The bot's messages as they stand, oldest first."""
    return [message for message in server.messages.values() if message["author"]["bot"]]


def assert_one_whole_reply(server: DiscordServer) -> None:
    openings = [message for message in own(server) if message["content"].startswith(">")]
    text = "\n".join(message["content"] for message in own(server) if message not in openings)
    words = [int(number) for number in re.findall(r"\bword(\d+)", text)]

    assert {message["content"] for message in openings} == {f"> {QUESTION}"}
    assert [buttons(message) for message in own(server) if message["components"]] == [DONE]
    assert not any(message["flags"] & LOADING for message in own(server))
    assert words == list(range(len(words)))
    assert text.count(RESTARTED) == (0 if len(words) == N_WORDS else 1)


@pytest.mark.parametrize(("way", "is_meant", "takes_effect"), KILLS)
async def test_killed_at_any_request_it_leaves_one_reply_that_the_next_process_ends(
    way: str, is_meant: Meant, takes_effect: bool, tmp_path: Path
) -> None:
    async with bot(tmp_path) as (server, processes):
        server.trap = Trap(is_meant=is_meant, takes_effect=takes_effect, spring=processes.kill)
        await ask(server, way)
        await until(lambda: server.trap and server.trap.is_sprung)
        processes.start()
        await all_ended(tmp_path)

        if way == "private" and not own(server):
            assert is_meant is POINTS["private"]["callback"], (
                "only an interaction that was never taken may end so"
            )
        else:
            assert_one_whole_reply(server)


async def test_killed_again_and_again_it_ends_the_reply_and_is_not_tried_for_ever(tmp_path: Path) -> None:
    async with bot(tmp_path) as (server, processes):
        for point in ("opening", "progress", "end of the opening"):
            server.trap = Trap(is_meant=POINTS["mention"][point], takes_effect=True, spring=processes.kill)
            if point == "opening":
                await ask(server, "mention")
            await until(lambda: server.trap and server.trap.is_sprung)
            processes.start()
        await all_ended(tmp_path)

        assert_one_whole_reply(server)


async def test_search_again_on_a_reply_that_was_interrupted_answers_it(tmp_path: Path) -> None:
    async with bot(tmp_path) as (server, processes):
        draft = POINTS["mention"]["draft"]
        server.trap = Trap(is_meant=draft, takes_effect=True, spring=processes.kill)
        await ask(server, "mention")
        await until(lambda: server.trap and server.trap.is_sprung)
        processes.start()
        await all_ended(tmp_path)
        (interrupted,) = [message for message in own(server) if message["components"]]
        assert RESTARTED in own(server)[-1]["content"]

        await server.press(interrupted, "Search again")
        await until(lambda: f"word{N_WORDS - 1}" in own(server)[-1]["content"])


async def test_two_processes_on_one_redis_that_hear_the_same_give_one_answer(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        async with bot(redis.url) as (server, processes):
            processes.start()
            await until(lambda: len(server.sockets) == 2)
            for _ in range(5):
                await ask(server, "mention")
            await ask(server, "command")
            await until(lambda: sum(buttons(message) == DONE for message in own(server)) == 6)
            await all_ended(redis.url)

            answers = [m for m in own(server) if m["content"].startswith("The moon")]
            callbacks = [r for r in server.requests if r.path.endswith("/callback")]
            assert len(answers) == 6
            assert len(callbacks) == 1
            assert sum(buttons(message) == DONE for message in own(server)) == 6
