"""Speaks the search APIs that answer in JSON on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from core.types import SearchHit
from tests.servers.loopback import serving
from tests.servers.troubles import Trouble

Said = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Call:
    """headers: by their names in lower case. payload: None where there was no body."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    payload: Any

    @property
    def key(self) -> str:
        """Wherever this API has it."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        in_a_header = self.headers.get("x-api-key") or self.headers.get("x-subscription-token")
        return in_a_header or bearer or self.params.get("api_key", "")


@dataclass(kw_only=True)
class SearchApiServer:
    """What it says next, and what it was asked.

    said: as JSON, where there is no trouble. by_key: the trouble that comes of a key.
    delay_s: before it answers; `given_up` is set when the caller leaves meanwhile.
    """

    said: Said = field(default_factory=dict)
    trouble: Trouble | None = None
    by_key: Mapping[str, Trouble] = field(default_factory=dict)
    delay_s: float = 0
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        call = await _call(request)
        self.calls.append(call)
        self.asked.set()
        await self._wait(request)
        if trouble := self.by_key.get(call.key, self.trouble):
            return await trouble.act(request)
        return web.Response(body=orjson.dumps(self.said), content_type="application/json")

    async def _wait(self, request: web.Request) -> None:
        until_s = asyncio.get_running_loop().time() + self.delay_s
        while asyncio.get_running_loop().time() < until_s:
            if request.transport is None or request.transport.is_closing():
                self.given_up.set()
                return
            await asyncio.sleep(0.005)


async def _call(request: web.Request) -> Call:
    body = await request.read()
    return Call(
        method=request.method,
        path=request.path,
        params=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        payload=orjson.loads(body) if body else None,
    )


@asynccontextmanager
async def search_api_server(said: Said | None = None) -> AsyncIterator[SearchApiServer]:
    """Answers whatever path it is asked under."""
    server = SearchApiServer(said=said or {})
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server._answer)
    async with serving(app) as server.url:
        yield server


def serper_says(hits: Sequence[SearchHit]) -> Said:
    return {
        "searchParameters": {"type": "search", "engine": "google"},
        "organic": [{"link": hit.url, "title": hit.title, "snippet": hit.snippet} for hit in hits],
    }


def brave_says(hits: Sequence[SearchHit]) -> Said:
    results = [{"url": hit.url, "title": hit.title, "description": hit.snippet} for hit in hits]
    return {
        "type": "search",
        "query": {},
        **({"web": {"type": "search", "results": results}} if hits else {}),
    }


def tavily_says(hits: Sequence[SearchHit]) -> Said:
    results = [{"url": hit.url, "title": hit.title, "content": hit.snippet, "score": 0.9} for hit in hits]
    return {"query": "", "answer": None, "images": [], "results": results, "response_time": 1.2}


def serpapi_says(hits: Sequence[SearchHit]) -> Said:
    metadata = {"search_metadata": {"status": "Success"}}
    if not hits:
        return {**metadata, "error": "Google hasn't returned any results for this query."}
    return {
        **metadata,
        "organic_results": [{"link": hit.url, "title": hit.title, "snippet": hit.snippet} for hit in hits],
    }


def searxng_says(hits: Sequence[SearchHit]) -> Said:
    results = [{"url": hit.url, "title": hit.title, "content": hit.snippet, "engine": "x"} for hit in hits]
    return {"query": "", "results": results, "unresponsive_engines": [], "suggestions": []}
