"""The Slack adapter: joins a workspace, listens, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.answers import Answers
from adapters.slack.connection import Connection, Patience, bolt, identify
from adapters.slack.desk import Desk
from adapters.slack.listener import Listener
from adapters.slack.pacing import RATES, Pacer, Rate
from adapters.slack.reopening import Reopening
from adapters.slack.reply import SlackReply
from adapters.slack.taken import PLATFORM, Recent
from adapters.slack.web import SlackWeb
from adapters.slack.workspace import Workspace
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.asking.seen import Seen
from core.delivering.journal import Journal, ReplyRecord
from core.delivering.running import RunningAnswers
from core.ports import Clock, Store
from core.service import QuestionService

log = structlog.get_logger(__name__)

API_URL: Final = "https://slack.com/api/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackConfig:
    """bot_token: xoxb-…; app_token: xapp-…, with the scope connections:write.

    call_s: for each call of the Web API, in seconds.
    settle_s: how long the last state of an answer is tried before it is given up.
    """

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    api_url: str = API_URL
    rates: Mapping[str, Rate] = field(default_factory=lambda: RATES)
    patience: Patience = field(default_factory=Patience)
    call_s: float = 10.0
    settle_s: float = 120.0


class SlackAdapter:
    """A core.delivering.recovery.Reopener of its own replies."""

    name = "slack"
    platform = PLATFORM

    def __init__(
        self,
        *,
        service: QuestionService,
        running: RunningAnswers,
        conversations: Conversations,
        policy: Policy,
        journal: Journal,
        store: Store,
        clock: Clock,
        config: SlackConfig,
    ) -> None:
        self._service = service
        self._running = running
        self._conversations = conversations
        self._policy = policy
        self._journal = journal
        self._store = store
        self._seen = Seen(store, clock)
        self._clock = clock
        self._config = config
        self._closed = asyncio.Event()
        self._joined = asyncio.Event()
        self._reopening: Reopening | None = None

    async def run(self) -> None:
        """Until cancelled. Raises PlatformFailed for a wrong token or a missing scope."""
        config = self._config
        timeout = aiohttp.ClientTimeout(total=config.call_s)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            client = AsyncWebClient(
                token=config.bot_token,
                base_url=config.api_url.rstrip("/") + "/",
                session=session,
                # A second attempt of the SDK's own could say the same words twice.
                retry_handlers=[],
            )
            web = SlackWeb(client, session)
            me = await identify(web, self._clock, config.patience)
            app = bolt(me, client)
            log.info("slack.identified", team=me.team, user=me.user)
            workspace = Workspace(me=me, web=web, pacer=Pacer(self._clock, config.rates), clock=self._clock)
            desk = self._desk(workspace)
            Listener(desk, workspace, seen=self._seen, closed=self._closed).listen(app)
            self._reopening = Reopening(desk, workspace, self._seen)
            self._joined.set()
            try:
                await Connection(app, web, self._clock, config.patience, config.app_token).hold()
            finally:
                log.info("slack.left")

    async def stop_intake(self) -> None:
        """Questions are left for Slack to deliver again, to whoever is there then; what runs goes on."""
        self._closed.set()
        log.info("slack.intake_stopped")

    async def opened(self) -> None:
        await self._joined.wait()

    async def reopen(self, record: ReplyRecord) -> SlackReply | None:
        return await self._reopening.reopen(record) if self._reopening else None

    async def repeat(self, record: ReplyRecord) -> None:
        if self._reopening:
            await self._reopening.repeat(record)

    def _desk(self, workspace: Workspace) -> Desk:
        answers = Answers(
            service=self._service,
            conversations=self._conversations,
            workspace=workspace,
            journal=self._journal,
            recent=Recent(self._store),
            running=self._running,
            settle_s=self._config.settle_s,
        )
        return Desk(answers, self._policy)
