"""Speaks Serper's search API on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from tests.servers.loopback import serving


@dataclass(frozen=True, kw_only=True)
class SerperRequest:
    api_key: str
    payload: Mapping[str, object]


@dataclass(kw_only=True)
class SerperServer:
    """What it says next, and what it was asked.

    organic: the results, as Serper writes them: link, title, snippet, date.
    body: said in place of the results.
    delay_s: before it answers.
    """

    organic: Sequence[Mapping[str, object]] = ()
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0
    url: str = ""
    requests: list[SerperRequest] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def _search(self, request: web.Request) -> web.Response:
        payload = orjson.loads(await request.read())
        self.requests.append(SerperRequest(api_key=request.headers.get("X-API-KEY", ""), payload=payload))
        self.asked.set()
        await asyncio.sleep(self.delay_s)
        said = {
            "searchParameters": {**payload, "type": "search", "engine": "google"},
            "organic": self.organic,
        }
        body = orjson.dumps(said) if self.body is None else self.body
        return web.Response(
            status=self.status, body=body, headers=self.headers, content_type="application/json"
        )


@asynccontextmanager
async def serper_server(*, organic: Sequence[Mapping[str, object]] = ()) -> AsyncIterator[SerperServer]:
    server = SerperServer(organic=organic)
    app = web.Application()
    app.router.add_post("/search", server._search)
    async with serving(app) as server.url:
        yield server
