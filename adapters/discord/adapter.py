"""Discord as a platform: connects, stays connected, and says what a person has to mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord.answers import Answers
from adapters.discord.asks import PLATFORM
from adapters.discord.client import BotClient
from adapters.discord.desk import Desk
from adapters.discord.faults import NETWORK_FAULTS
from adapters.discord.pace import MIN_GAP_S, Pace
from adapters.discord.reopening import Reopening
from adapters.discord.reply import Reply
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.asking.seen import Seen
from core.delivering.journal import Journal, ReplyRecord
from core.delivering.running import RunningAnswers
from core.errors import PlatformFailed
from core.ports import Clock
from core.service import QuestionService

log = structlog.get_logger(__name__)

API_URL: Final = "https://discord.com/api/v10"
GATEWAY_URL: Final = "wss://gateway.discord.gg"

FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 60.0

_FIXES: Final = {
    4004: "the gateway refused DISCORD_TOKEN. Reset it under Bot > Reset Token and set the new one.",
    4010: "the gateway refused the shard it was asked for. Update discord.py.",
    4011: "the bot is in too many servers for the number of shards it was given. Restart it.",
    4012: "the gateway no longer speaks this version of its API. Update discord.py.",
    4013: "the gateway does not know an intent. Update discord.py.",
    4014: "the gateway refused an intent. Tick it under Bot > Privileged Gateway Intents.",
}
"""By close codes after which connecting again is useless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordConfig:
    """message_content: ask for the intent of that name, for follow-ups without a mention.

    min_edit_gap_s: between two edits of one reply, however many Discord would take.
    """

    token: str
    message_content: bool = False
    api_url: str = API_URL
    gateway_url: str = GATEWAY_URL
    min_edit_gap_s: float = MIN_GAP_S


class DiscordAdapter:
    """A core.delivering.recovery.Reopener of its own replies."""

    name = PLATFORM
    platform = PLATFORM

    def __init__(
        self,
        *,
        config: DiscordConfig,
        service: QuestionService,
        running: RunningAnswers,
        conversations: Conversations,
        policy: Policy,
        seen: Seen,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._config = config
        self._clock = clock
        self._pace = Pace(min_gap_s=config.min_edit_gap_s)
        answers = Answers(
            service=service,
            running=running,
            conversations=conversations,
            journal=journal,
            clock=clock,
            pace=self._pace,
        )
        self._desk = Desk(
            answers=answers,
            running=running,
            conversations=conversations,
            policy=policy,
            seen=seen,
            clock=clock,
        )
        self._reopening = Reopening(answers, clock)

    def client(self, *, message_content: bool) -> BotClient:
        """A connection that has not been opened: discord.py's can be opened once only."""
        return BotClient(
            self._desk,
            pace=self._pace,
            message_content=message_content,
            joined=self._reopening.joined,
        )

    async def stop_intake(self) -> None:
        """From now on nothing new is taken; what runs goes on."""
        self._desk.close()

    async def opened(self) -> None:
        await self._reopening.opened()

    async def reopen(self, record: ReplyRecord) -> Reply | None:
        return await self._reopening.reopen(record)

    async def repeat(self, record: ReplyRecord) -> None:
        await self._reopening.repeat(record)

    async def run(self) -> None:
        """Connects and listens until cancelled. Raises PlatformFailed."""
        self._point_to_server()
        message_content = self._config.message_content
        retry_s = FIRST_RETRY_S
        while True:
            client = self.client(message_content=message_content)
            try:
                async with client:
                    await client.start(self._config.token)
            except discord.PrivilegedIntentsRequired:
                message_content = self._without_intent(message_content)
                continue
            except discord.LoginFailure:
                raise PlatformFailed(
                    "Discord refused DISCORD_TOKEN. Reset it under Bot > Reset Token and set the new one."
                ) from None
            except discord.ConnectionClosed as closed:
                if closed.code in _FIXES:
                    raise PlatformFailed(f"Discord: {_FIXES[closed.code]}") from None
                log.warning("discord.closed", code=closed.code)
            except (discord.HTTPException, discord.GatewayNotFound, *NETWORK_FAULTS) as fault:
                log.warning("discord.unreachable", fault=type(fault).__name__, retry_s=retry_s)
            retry_s = FIRST_RETRY_S if client.was_ready else min(2 * retry_s, MAX_RETRY_S)
            await self._clock.sleep(retry_s)

    def _without_intent(self, message_content: bool) -> bool:
        """Mentions, direct messages and commands work without it."""
        if not message_content:
            raise PlatformFailed(f"Discord: {_FIXES[4014]}")
        log.warning(
            "discord.intent_missing",
            intent="Message Content",
            fix="tick it under Bot > Privileged Gateway Intents, or set DISCORD_MESSAGE_CONTENT=false",
        )
        return False

    def _point_to_server(self) -> None:
        # discord.py keeps both as class attributes, and has no other way in.
        if self._config.api_url != Route.BASE:
            Route.BASE = self._config.api_url
        if yarl.URL(self._config.gateway_url) != DiscordWebSocket.DEFAULT_GATEWAY:
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self._config.gateway_url)
