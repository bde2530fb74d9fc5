"""Speaks DuckDuckGo's page without scripts on loopback: a form is posted, a page of results comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Final

from aiohttp import web

from core.types import SearchHit
from tests.servers.loopback import serving
from tests.servers.troubles import Trouble

CHALLENGE_PAGE: Final = """<html><body><form id="challenge-form" action="/anomaly.js?sv=html" method="POST">
<div class="anomaly-modal__title">Unfortunately, bots use DuckDuckGo too.</div></form></body></html>"""

_PAGE: Final = """<!DOCTYPE html><html><body class="body--html">
<form name="x" id="search_form" action="/html/" method="post"><input name="q" type="text"></form>
<div id="links" class="results">{results}</div></body></html>"""

_RESULT: Final = """<div class="result results_links results_links_deep web-result ">
<div class="links_main links_deep result__body">
<h2 class="result__title"><a rel="nofollow" class="result__a" href="{url}">{title}</a></h2>
<a class="result__snippet" href="{url}">{snippet}</a></div></div>"""


def results_page(hits: Sequence[SearchHit]) -> str:
    return _PAGE.format(
        results="\n".join(
            _RESULT.format(url=escape(hit.url), title=escape(hit.title), snippet=escape(hit.snippet))
            for hit in hits
        )
    )


@dataclass(kw_only=True)
class DuckDuckGoServer:
    """What it says next, and what it was asked.

    trouble: what comes in place of the page.
    delay_s: before it answers.
    most_at_once: requests that it held open at the same time.
    """

    page: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    trouble: Trouble | None = None
    delay_s: float = 0
    url: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)
    cookies: list[dict[str, str]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0
    most_at_once: int = 0

    async def _search(self, request: web.Request) -> web.StreamResponse:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        self.cookies.append(dict(request.cookies))
        self.asked.set()
        self.open += 1
        self.most_at_once = max(self.most_at_once, self.open)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.open -= 1
        if self.trouble is not None:
            return await self.trouble.act(request)
        return web.Response(
            status=self.status, text=self.page, headers=self.headers, content_type="text/html"
        )


@asynccontextmanager
async def duckduckgo_server(*, hits: Sequence[SearchHit] = ()) -> AsyncIterator[DuckDuckGoServer]:
    server = DuckDuckGoServer(page=results_page(hits))
    app = web.Application()
    app.router.add_post("/html/", server._search)
    async with serving(app) as base_url:
        server.url = f"{base_url}/html/"
        yield server
