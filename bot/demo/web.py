"""The demo web: a dozen pages of different kinds, and four that misbehave, served on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import resources
from types import TracebackType
from typing import Self

from aiohttp import hdrs, web

from bot.demo.catalogue import FORBIDDEN_PATH, HANGING_PATH, HUGE_PATH, PAGES, DemoPage

HUGE_BYTES = 30_000_000
ROBOTS = "User-agent: *\nAllow: /\n"


class DemoWeb:
    """`async with DemoWeb() as web:` serves the pages on 127.0.0.1, on a free port, until the block ends."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
        self.pages = PAGES
        self.port = 0

    @property
    def base_url(self) -> str:
        """Without a slash at the end; a page's path begins with one."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of whoever waits for the page that hangs. Closing twice does no harm."""
        self._closing.set()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/robots.txt", _robots)
        application.router.add_get(HANGING_PATH, self._hang)
        application.router.add_get(FORBIDDEN_PATH, _forbid)
        application.router.add_get(HUGE_PATH, _pour)
        for page in PAGES:
            if page.file:
                application.router.add_get(page.path, _bundled(page))
        return application

    async def _hang(self, _request: web.Request) -> web.Response:
        await self._closing.wait()
        return web.Response(status=503)


def _bundled(page: DemoPage) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = (resources.files("bot.demo") / "pages" / page.file).read_bytes()
    charset = "utf-8" if page.media_type == "text/html" else None

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=page.media_type, charset=charset)

    return serve


async def _robots(_request: web.Request) -> web.Response:
    return web.Response(text=ROBOTS)


async def _forbid(_request: web.Request) -> web.Response:
    return web.Response(
        status=403,
        text="<!doctype html><title>Members only</title><h1>403</h1><p>Please sign in.</p>",
        content_type="text/html",
    )


async def _pour(request: web.Request) -> web.StreamResponse:
    """A page without a declared length, so that only counting what arrives can stop it."""
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/html; charset=utf-8"})
    await response.prepare(request)
    rows = b"<tr><td>house 17</td><td>-20.4</td><td>38.5</td><td>2.1</td></tr>\n" * 1_000
    await response.write(b"<!doctype html><title>Raw data</title><table>\n")
    # A reader that has had enough hangs up.
    with suppress(ConnectionError):
        for _ in range(HUGE_BYTES // len(rows)):
            await response.write(rows)
    return response
