"""The demo web: what it serves, and how four of its pages misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from ipaddress import ip_address

import aiohttp
import pytest

from bot.demo.catalogue import FORBIDDEN_PATH, HANGING_PATH, HUGE_PATH, MISSING_PATH, PAGES, DemoPage
from bot.demo.web import DemoWeb

SERVED = [page for page in PAGES if page.file]


@asynccontextmanager
async def browser() -> AsyncIterator[tuple[DemoWeb, aiohttp.ClientSession]]:
    async with DemoWeb() as web, aiohttp.ClientSession(base_url=web.base_url) as session:
        yield web, session


@pytest.mark.parametrize("page", SERVED, ids=lambda page: page.file)
async def test_each_page_is_served_as_what_it_is(page: DemoPage) -> None:
    async with browser() as (_, session), session.get(page.path) as response:
        body = await response.read()
        assert response.status == 200
        assert response.content_type == page.media_type
    if page.media_type == "application/pdf":
        assert body.startswith(b"%PDF-")
    else:
        assert response.charset == "utf-8"
        assert b"<title>" in body


async def test_the_web_is_served_on_loopback_only() -> None:
    async with DemoWeb() as web:
        host, port = web.base_url.removeprefix("http://").split(":")
        assert ip_address(host).is_loopback
        assert int(port) == web.port


async def test_robots_may_read_everything() -> None:
    async with browser() as (_, session), session.get("/robots.txt") as response:
        assert await response.text() == "User-agent: *\nAllow: /\n"


@pytest.mark.parametrize(("path", "status"), [(MISSING_PATH, 404), (FORBIDDEN_PATH, 403)])
async def test_pages_that_refuse_say_so(path: str, status: int) -> None:
    async with browser() as (_, session), session.get(path) as response:
        assert response.status == status


async def test_a_page_hangs_until_the_web_closes_and_does_not_hold_that_up() -> None:
    async with browser() as (web, session), asyncio.TaskGroup() as group:
        answer = group.create_task(_status(session, HANGING_PATH))
        done, _ = await asyncio.wait([answer], timeout=0.05)
        assert not done
        async with asyncio.timeout(1):
            await web.close()
        assert await answer == 503


async def _status(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(path) as response:
        return response.status


async def test_a_page_goes_on_without_having_said_how_long_it_is() -> None:
    async with browser() as (_, session), session.get(HUGE_PATH) as response:
        assert response.content_length is None
        assert len(await response.content.readexactly(12_000_000)) == 12_000_000


def test_every_file_is_a_page_and_every_page_has_its_own_path() -> None:
    files = {file.name for file in (resources.files("bot.demo") / "pages").iterdir()}
    assert files - {"README.md"} == {page.file for page in SERVED}
    assert len({page.path for page in PAGES}) == len(PAGES)


def test_a_page_says_the_date_that_the_search_gives() -> None:
    for page in SERVED:
        if page.published and page.media_type == "text/html":
            assert page.published in _body(page)


def test_running_costs_follow_from_the_prices_that_the_pages_name() -> None:
    costs = _body(next(page for page in PAGES if page.path == "/guides/heat-pump-costs"))
    for factor in (2.9, 2.2, 3.6):
        assert f"<td>{15_000 / factor * 0.24:,.0f}</td>" in costs
    assert f"<td>{15_000 / 0.9 * 0.11:,.0f}</td>" in costs
    assert f"above {0.24 / (0.11 / 0.9):.2f}" in costs


def _body(page: DemoPage) -> str:
    return (resources.files("bot.demo") / "pages" / page.file).read_text("utf-8")
