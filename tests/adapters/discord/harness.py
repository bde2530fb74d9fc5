"""The adapter over fakes of everything but Discord."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord.adapter import DiscordAdapter, DiscordConfig
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.asking.seen import Seen
from core.delivering.journal import Journal, JournalLimits
from core.delivering.recovery import Recovery, RecoveryLimits
from core.delivering.running import RunningAnswers
from core.ports import Clock, Store
from core.providers.storage.memory_store import MemoryStore
from core.providers.system_clock import SystemClock
from core.types import Answer, AskerId, Footnote, Outcome, PageKind
from tests.core.test_service import World
from tests.fakes import FakeLanguageModel
from tests.servers.discord_server import TOKEN, DiscordServer, discord_server

GAP_S = 0.02
"""Between edits, in place of a second."""

SHORT_LEASES = JournalLimits(lease_s=0.3, heartbeat_s=0.1)
SOON = RecoveryLimits(every_s=0.05)


class CountedAnswers(RunningAnswers):
    """started: notes by direct message count as well."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 0

    def start(self, key: str, asker: AskerId, work: Coroutine[Any, Any, Any]) -> None:
        self.started += 1
        super().start(key, asker, work)


@dataclass
class Bot:
    """An adapter with its world; `world` is to be bent before `adapter()` is called.

    store: of a bot that is to know what another one has left; by default one of its own.
    """

    clock: Clock = field(default_factory=SystemClock)
    world: World = field(default_factory=lambda: World(question_s=30))
    policy: Policy = field(default_factory=Policy)
    running: CountedAnswers = field(default_factory=CountedAnswers)
    token: str = TOKEN
    message_content: bool = False
    min_edit_gap_s: float = GAP_S
    store: Store | None = None

    def adapter(self, server_url: str = "") -> DiscordAdapter:
        self.world.clock = self.clock
        self.store = self.store or MemoryStore(self.clock)
        self.journal = Journal(self.store, self.clock, SHORT_LEASES, on_stop=self.running.stop)
        urls = {"api_url": f"{server_url}/api/v10", "gateway_url": f"{server_url.replace('http', 'ws')}/gw"}
        config = DiscordConfig(
            token=self.token,
            message_content=self.message_content,
            min_edit_gap_s=self.min_edit_gap_s,
            **(urls if server_url else {}),
        )
        return DiscordAdapter(
            config=config,
            service=self.world.service(),
            running=self.running,
            conversations=Conversations(self.clock),
            policy=self.policy,
            seen=Seen(self.store, self.clock),
            journal=self.journal,
            clock=self.clock,
        )

    async def ended(self, answers: int) -> None:
        """Once so many answers were begun, and none is being worked on."""
        await until(lambda: self.running.started >= answers and not len(self.running))


@asynccontextmanager
async def connected(bot: Bot, **state: Any) -> AsyncIterator[DiscordServer]:
    """Over the wire: discord.py's own client against a server on loopback. state: the server's."""
    async with discord_server(**state) as server, running(bot, server.url):
        await server.ready()
        yield server


@asynccontextmanager
async def running(bot: Bot, server_url: str) -> AsyncIterator[asyncio.Task[None]]:
    """The adapter's `run`; what discord.py knows of servers is as before at the end."""
    base, gateway = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    adapter = bot.adapter(server_url)
    recovery = Recovery(bot.journal, bot.clock, [adapter], running=bot.running, limits=SOON)
    task, *beside = map(asyncio.create_task, (adapter.run(), bot.journal.run(), recovery.run()))
    try:
        yield task
    finally:
        await bot.running.drain(finish_s=0, mark_s=1, interrupt=lambda: None)
        for each in (task, *beside):
            each.cancel()
        await asyncio.wait([task, *beside])
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = base, gateway


async def until(is_so: Callable[[], Any], *, limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not is_so():  # noqa: ASYNC110 # the server is told of nothing but requests
            await asyncio.sleep(0.005)


def buttons(message: discord.Message | dict[str, Any]) -> list[str]:
    """Labels."""
    if isinstance(message, discord.Message):
        rows: list[Any] = [component.to_dict() for component in message.components]
    else:
        rows = message["components"]
    return [button["label"] for row in rows for button in row["components"]]


def slow_model(words: int = 200, *, pause_s: float = 0.005) -> FakeLanguageModel:
    pieces = ["The moon raises them [1]. ", *(f"word{number} " for number in range(words))]
    return FakeLanguageModel(pieces, pause_s=pause_s)


def long_answer(chars: int = 30_000) -> Answer:
    """Prose, lists and code in turn, with marks."""
    paragraphs = itertools.cycle(
        [
            "The moon raises the tides[^1]. " * 12,
            "```python\n" + "print('a line of code')\n" * 20 + "```",
            "\n".join(f"- point {number} of the list[^1]" for number in range(15)),
        ]
    )
    text = ""
    while len(text) < chars:
        text += next(paragraphs).strip() + "\n\n"
    url = "https://a.example/tides"
    note = Footnote(number=1, title="Tides", url=url, host="a.example", kind=PageKind.HTML)
    return Answer(outcome=Outcome.ANSWERED, text=text.strip(), footnotes=(note,))


class FastClock(SystemClock):
    """Time runs 20 times as fast for whoever reads this clock."""

    FACTOR = 20

    def monotonic(self) -> float:
        return super().monotonic() * self.FACTOR

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s / self.FACTOR)
