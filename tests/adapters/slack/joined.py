"""The real adapter, SDK and socket before a Slack on loopback; behind it the real service over fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from adapters.slack.adapter import SlackAdapter, SlackConfig
from adapters.slack.connection import Patience
from adapters.slack.pacing import RATES
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.delivering.journal import Journal, JournalLimits
from core.delivering.recovery import Recovery, RecoveryLimits
from core.delivering.running import RunningAnswers
from core.providers.system_clock import SystemClock
from tests.core.test_service import World
from tests.fakes import FakeLanguageModel, FakeStore
from tests.servers.slack_server import APP_TOKEN, BOT_TOKEN, LIMITS, SlackServer

FASTER = 100.0
"""Slack's minutes last 0.6 s here, for the bot's pace and for the server that enforces it."""

PATIENCE = Patience(first_retry_s=0.02, max_retry_s=0.1, ping_s=0.1, watch_s=0.05, deaf_s=0.3, connect_s=2.0)

JOURNAL = JournalLimits(lease_s=0.3, heartbeat_s=0.1)
RECOVERY = RecoveryLimits(every_s=0.05)


@dataclass
class Joined:
    """A bot in a workspace."""

    slack: SlackServer
    adapter: SlackAdapter
    running: RunningAnswers
    conversations: Conversations
    model: FakeLanguageModel
    store: FakeStore
    journal: Journal
    task: asyncio.Task[None]

    async def idle(self) -> None:
        """Until no answer is in work."""
        await self.slack.until(lambda: not len(self.running))


@dataclass
class Setting:
    """What is to be bent before the bot joins."""

    slack: SlackServer = field(default_factory=lambda: SlackServer(faster=FASTER, limits=LIMITS))
    pieces: Sequence[str] = ("The moon raises", " them [1", "]. The end.")
    pause_s: float = 0.0
    faster: float = FASTER
    policy: Policy = field(default_factory=Policy)
    world: World = field(default_factory=World)
    store: FakeStore = field(default_factory=lambda: FakeStore(clock=SystemClock()))
    app_token: str = APP_TOKEN
    bot_token: str = BOT_TOKEN

    def adapter(
        self, model: FakeLanguageModel, running: RunningAnswers, kept: Conversations, journal: Journal
    ) -> SlackAdapter:
        clock = SystemClock()
        self.world.model = model
        self.world.clock = clock
        return SlackAdapter(
            service=self.world.service(),
            running=running,
            conversations=kept,
            policy=self.policy,
            journal=journal,
            store=self.store,
            clock=clock,
            config=SlackConfig(
                bot_token=self.bot_token,
                app_token=self.app_token,
                api_url=f"{self.slack.url}/api/",
                rates={method: rate.times(self.faster) for method, rate in RATES.items()},
                patience=PATIENCE,
                call_s=1.0,
                settle_s=5.0,
            ),
        )

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[Joined]:
        model = FakeLanguageModel(self.pieces, pause_s=self.pause_s)
        running = RunningAnswers()
        kept = Conversations(SystemClock())
        async with self.slack.serving():
            journal = Journal(self.store, SystemClock(), JOURNAL, on_stop=running.stop)
            adapter = self.adapter(model, running, kept, journal)
            recovery = Recovery(journal, SystemClock(), [adapter], running=running, limits=RECOVERY)
            loop = asyncio.get_running_loop()
            task, *beside = map(loop.create_task, (adapter.run(), journal.run(), recovery.run()))
            try:
                await self.slack.until(lambda: self.slack.sockets or task.done())
                yield Joined(self.slack, adapter, running, kept, model, self.store, journal, task)
                await running.drain(finish_s=2.0, mark_s=1.0, interrupt=lambda: None)
            finally:
                for each in (task, *beside):
                    each.cancel()
                await asyncio.wait([task, *beside])
