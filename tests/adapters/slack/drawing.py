"""One reply of the real adapter before a Slack on loopback, drawn by hand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.asks import Identity
from adapters.slack.pacing import RATES, Pacer, Rate
from adapters.slack.reply import SlackReply
from adapters.slack.stream import Recipient
from adapters.slack.web import SlackWeb
from adapters.slack.workspace import Abilities, Workspace
from core.errors import SurfaceFailed
from core.ports import Clock
from core.providers.system_clock import SystemClock
from core.types import Answer, AnswerEvent
from tests.adapters.canonical import solid
from tests.fakes import FakeClock
from tests.servers.slack_server import BOT, BOT_TOKEN, Message, SlackServer

THREAD = "1.0"
FAST = {method: rate.times(10_000) for method, rate in RATES.items()}

_FENCE = re.compile(r"^[ \t>]*`{3,}[^`\n]*$", re.MULTILINE)


@dataclass
class Drawing:
    slack: SlackServer
    reply: SlackReply
    abilities: Abilities
    clock: Clock

    @property
    def messages(self) -> list[Message]:
        return self.slack.thread(THREAD)

    @property
    def joined(self) -> str:
        return "\n".join(message.markdown for message in self.messages)

    async def frame(self, event: AnswerEvent) -> None:
        """Drawn, or dropped: the next one says it too."""
        try:
            await self.reply.draw(event)
        except SurfaceFailed as failure:
            if failure.lost:
                raise

    async def finish(self, answer: Answer) -> None:
        """As the delivery does: however often it takes."""
        for _ in range(100):
            try:
                deferred = await self.reply.draw(answer)
            except SurfaceFailed as failure:
                if failure.lost:
                    raise
            else:
                if deferred is None:
                    return
                await self._wait(deferred.after_s)
        raise AssertionError("the answer never landed")

    async def _wait(self, for_s: float) -> None:
        if isinstance(self.clock, FakeClock):
            await self.clock.sleep(for_s)
        else:
            await asyncio.sleep(min(for_s, 0.01))


@asynccontextmanager
async def drawing(
    slack: SlackServer,
    *,
    streaming: bool = True,
    rates: Mapping[str, Rate] | None = None,
    clock: Clock | None = None,
    channel: str = "C1",
) -> AsyncIterator[Drawing]:
    clock = clock or SystemClock()
    timeout = aiohttp.ClientTimeout(total=1.0)
    async with slack.serving(), aiohttp.ClientSession(timeout=timeout) as session:
        client = AsyncWebClient(
            token=BOT_TOKEN, base_url=f"{slack.url}/api/", session=session, retry_handlers=[]
        )
        abilities = Abilities(streaming=streaming)
        workspace = Workspace(
            me=Identity(team="T1", user=BOT, bot="B1"),
            web=SlackWeb(client, session),
            pacer=Pacer(clock, rates or FAST),
            clock=clock,
            abilities=abilities,
        )
        reply = SlackReply(
            workspace,
            Recipient(channel=channel, thread_ts=THREAD, asked_ts=THREAD, user="U1", team="T1"),
            key="slack:C1:1.0",
        )
        yield Drawing(slack, reply, abilities, clock)


def bare(markdown: str) -> str:
    """Without what pages may lose or repeat: white space, and the fences of code."""
    return solid(_FENCE.sub("", markdown))
