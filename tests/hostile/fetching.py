"""The real fetcher, allowed to reach its test's own loopback servers and nothing else there."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

from core.providers.web.fetcher import FetchLimits, WebFetcher
from core.providers.web.resolver import LookUp
from core.reading.urls import AddressPolicy
from tests.hostile.web_server import HostileServer

# A fraction of the real limits, so that running into one is quick.
QUICK = FetchLimits(
    total_s=0.6,
    connect_s=0.3,
    read_s=0.2,
    look_up_s=0.1,
    robots_s=0.3,
    max_html_bytes=200_000,
    max_pdf_bytes=400_000,
)


class StubLookUp:
    """Names from a table: each look-up of one takes its next answer, and the last answer stays."""

    def __init__(self, table: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._table = table
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        turns = self._table.get(host, [[]])
        answer = turns[min(self.asked.count(host), len(turns)) - 1]
        if not answer:
            raise OSError("no such name")
        return answer


@asynccontextmanager
async def loopback_fetcher(
    *servers: HostileServer,
    look_up: LookUp | None = None,
    limits: FetchLimits = QUICK,
    respect_robots: bool = False,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[WebFetcher]:
    """look_up: by default no name resolves."""
    fetcher = WebFetcher(
        user_agent="RelevanceSearch/0.1 (+https://example.org/bot)",
        policy=AddressPolicy(loopback_ports=frozenset(server.port for server in servers)),
        limits=limits,
        respect_robots=respect_robots,
        look_up=look_up or StubLookUp({}),
        monotonic=monotonic,
    )
    async with aclosing(fetcher):
        yield fetcher
