"""What every Fetcher promises, shown on the fake and on the real one over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from core.errors import PageFailed, PageFailure
from core.ports import Fetcher
from core.types import Document, KeptPage, Page, PageKind, Validators
from tests.fakes import FakeClock, FakeFetcher
from tests.hostile.fetching import loopback_fetcher
from tests.hostile.web_server import Exchange, hostile_server, respond

BODY = b"<p>Plovers run and stop."


@dataclass
class Web:
    """A fetcher and the web it sees: "/page" is HTML, "/slow" takes its time, all else is missing.

    "/dated" has the entity tag "1" and "/renewed" by now "2".
    """

    fetcher: Fetcher
    base: str


@asynccontextmanager
async def fake_web() -> AsyncGenerator[Web]:
    base = "https://example.org"
    documents = {
        base + path: Document(url=base + path, media_type="text/html", body=BODY, charset="utf-8")
        for path in ("/page", "/slow")
    }
    for path, etag in (("/dated", '"1"'), ("/renewed", '"2"')):
        documents[base + path] = Document(
            url=base + path,
            media_type="text/html",
            body=BODY,
            charset="utf-8",
            validators=Validators(etag=etag),
        )
    yield Web(FakeFetcher(documents, delays_s={base + "/slow": 0.1}), base)


@asynccontextmanager
async def real_web() -> AsyncGenerator[Web]:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        await respond(BODY)(exchange)

    async def dated(exchange: Exchange) -> None:
        unchanged = exchange.headers.get("If-None-Match") == '"1"'
        fresh = respond(BODY, headers=['ETag: "1"'])
        await (respond(status="304 Not Modified") if unchanged else fresh)(exchange)

    renewed = respond(BODY, headers=['ETag: "2"'])
    behaviours = {"/page": respond(BODY), "/slow": slow, "/dated": dated, "/renewed": renewed}
    async with hostile_server(behaviours) as server, loopback_fetcher(server) as fetcher:
        yield Web(fetcher, server.url(""))


@pytest.fixture(params=[fake_web, real_web], ids=["fake", "real"])
async def web(request: pytest.FixtureRequest) -> AsyncGenerator[Web]:
    async with request.param() as made:
        yield made


async def test_a_document_is_fetched(web: Web) -> None:
    url = web.base + "/page"
    document = Document(url=url, media_type="text/html", body=BODY, charset="utf-8")
    assert await web.fetcher.fetch(url) == document


async def test_a_missing_page_is_a_failed_page(web: Web) -> None:
    with pytest.raises(PageFailed) as raised:
        await web.fetcher.fetch(web.base + "/missing")
    assert raised.value.reason is PageFailure.STATUS


async def test_a_failed_page_fails_no_other(web: Web) -> None:
    with pytest.raises(PageFailed):
        await web.fetcher.fetch(web.base + "/missing")
    assert (await web.fetcher.fetch(web.base + "/page")).body == BODY


async def test_pages_are_fetched_side_by_side(web: Web) -> None:
    async with asyncio.timeout(0.19), asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(web.fetcher.fetch(web.base + "/slow"))


async def test_a_time_limit_of_the_caller_ends_a_fetch_at_once(web: Web) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await web.fetcher.fetch(web.base + "/slow")


def kept_before(url: str) -> KeptPage:
    page = Page(url=url, title="", text="Plovers.", kind=PageKind.HTML)
    return KeptPage(
        page=page, requested_url=url, read_at=FakeClock().now(), validators=Validators(etag='"1"')
    )


async def test_what_has_not_changed_is_not_sent_again(web: Web) -> None:
    assert await web.fetcher.refetch(kept_before(web.base + "/dated")) is None


async def test_what_has_changed_is_sent_with_its_new_validators(web: Web) -> None:
    document = await web.fetcher.refetch(kept_before(web.base + "/renewed"))
    assert document is not None
    assert (document.body, document.validators.etag) == (BODY, '"2"')


async def test_a_page_that_is_gone_is_a_failed_page_though_it_is_kept(web: Web) -> None:
    with pytest.raises(PageFailed):
        await web.fetcher.refetch(kept_before(web.base + "/missing"))
