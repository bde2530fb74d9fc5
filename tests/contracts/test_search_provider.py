"""What every SearchProvider keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

import aiohttp
import pytest
from structlog.testing import capture_logs

from core.errors import Fault, SearchFailed
from core.ports import SearchProvider
from core.providers.search.brave import Brave
from core.providers.search.duckduckgo import DuckDuckGoSearch
from core.providers.search.json_api import JsonSearch, SearchApi
from core.providers.search.searxng import SearXNG
from core.providers.search.serpapi import SerpApi
from core.providers.search.serper import Serper
from core.providers.search.tavily import Tavily
from core.types import SearchHit
from tests.fakes import FakeClock, FakeSearchProvider
from tests.servers.duckduckgo_server import duckduckgo_server, results_page
from tests.servers.search_api_server import (
    Said,
    brave_says,
    search_api_server,
    searxng_says,
    serpapi_says,
    serper_says,
    tavily_says,
)
from tests.servers.troubles import TROUBLES, Trouble

Setup = Callable[[Sequence[SearchHit] | Trouble], AbstractAsyncContextManager[SearchProvider]]
"""A provider whose engine finds these, or is in such trouble."""


@asynccontextmanager
async def fake(scene: Sequence[SearchHit] | Trouble) -> AsyncIterator[SearchProvider]:
    if isinstance(scene, Trouble):
        yield FakeSearchProvider(fails_with="is failing")
    else:
        yield FakeSearchProvider(hits=scene)


@asynccontextmanager
async def json_engine(
    api_at: Callable[[str], SearchApi],
    say: Callable[[Sequence[SearchHit]], Said],
    scene: Sequence[SearchHit] | Trouble,
) -> AsyncIterator[SearchProvider]:
    async with search_api_server() as server, aiohttp.ClientSession() as session:
        if isinstance(scene, Trouble):
            server.trouble = scene
        else:
            server.said = say(scene)
        yield JsonSearch(api_at(server.url), session, keys=["a-key"], clock=FakeClock(), timeout_s=0.3)


@asynccontextmanager
async def duckduckgo(scene: Sequence[SearchHit] | Trouble) -> AsyncIterator[SearchProvider]:
    async with duckduckgo_server() as server:
        if isinstance(scene, Trouble):
            server.trouble = scene
        else:
            server.page = results_page(scene)
        yield DuckDuckGoSearch(url=server.url, clock=FakeClock(), timeout_s=0.3)


REAL: Final[Mapping[str, Setup]] = {
    "Serper": partial(json_engine, lambda url: Serper(url=url), serper_says),
    "Brave": partial(json_engine, lambda url: Brave(url=url), brave_says),
    "Tavily": partial(json_engine, lambda url: Tavily(url=url), tavily_says),
    "SerpApi": partial(json_engine, lambda url: SerpApi(url=url), serpapi_says),
    "SearXNG": partial(json_engine, lambda url: SearXNG(url=url), searxng_says),
    "DuckDuckGo": duckduckgo,
}


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(params=["Fake", *REAL])
def setup(request: pytest.FixtureRequest) -> Setup:
    return {"Fake": fake, **REAL}[request.param]


def found(*names: str) -> list[SearchHit]:
    return [
        SearchHit(
            url=f"https://example.com/{name}", title=f"Title {name}", snippet=f"About {name}.", provider="x"
        )
        for name in names
    ]


async def failure(provider: SearchProvider) -> SearchFailed:
    with capture_logs(), pytest.raises(SearchFailed) as caught:
        await provider.search("anything", limit=5)
    return caught.value


async def test_hits_come_best_first_with_their_texts(setup: Setup) -> None:
    async with setup(found("a", "b", "c")) as provider:
        hits = await provider.search("anything", limit=10)
    assert [(hit.url, hit.title, hit.snippet) for hit in hits] == [
        (f"https://example.com/{name}", f"Title {name}", f"About {name}.") for name in "abc"
    ]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_no_more_hits_than_asked_for(setup: Setup, limit: int) -> None:
    async with setup(found("a", "b", "c")) as provider:
        assert len(await provider.search("anything", limit=limit)) == min(limit, 3)


async def test_each_url_comes_once_at_its_best_place(setup: Setup) -> None:
    async with setup(found("a", "b", "a", "c", "b")) as provider:
        hits = await provider.search("anything", limit=3)
    assert [hit.url[-1] for hit in hits] == ["a", "b", "c"]


async def test_finding_nothing_is_not_a_failure(setup: Setup) -> None:
    async with setup([]) as provider:
        assert list(await provider.search("anything", limit=5)) == []


async def test_a_failure_names_the_provider_a_plain_reason_and_the_fault(setup: Setup) -> None:
    async with setup(TROUBLES["500"]) as provider:
        failed = await failure(provider)
    assert (failed.provider, failed.reason, failed.fault) == (provider.name, "is failing", Fault.FAILING)


async def test_a_provider_serves_one_search_after_the_other(setup: Setup) -> None:
    async with setup(found("a")) as provider:
        first = await provider.search("one", limit=5)
        assert first == await provider.search("another", limit=5)


@pytest.mark.parametrize("query", ["a&b=c#d?\n\x00", "что такое", "a" * 5000])
async def test_no_query_is_too_strange(setup: Setup, query: str) -> None:
    async with setup(found("a")) as provider:
        assert len(await provider.search(query, limit=5)) == 1


FAULTS: Final[Mapping[str, Fault]] = {
    "401": Fault.KEY_REFUSED,
    "402": Fault.OUT_OF_CREDIT,
    "403": Fault.KEY_REFUSED,
    "404": Fault.REFUSED,
    "429": Fault.RATE_LIMITED,
    "500": Fault.FAILING,
    "503": Fault.OVERLOADED,
    "reset": Fault.UNREACHABLE,
    "stall": Fault.TIMED_OUT,
    "stall midway": Fault.TIMED_OUT,
    "nothing": Fault.FAILING,
    "garbage": Fault.FAILING,
    "another page": Fault.FAILING,
    "gzip junk": Fault.FAILING,
    "long header": Fault.FAILING,
    "redirect": Fault.FAILING,
    "no content": Fault.FAILING,
}
OWN_FAULTS: Final[Mapping[tuple[str, str], Fault]] = {
    ("SearXNG", "403"): Fault.REFUSED,  # it serves no JSON
    ("DuckDuckGo", "403"): Fault.RATE_LIMITED,  # it has no keys to refuse
    ("DuckDuckGo", "redirect"): Fault.REFUSED,  # followed, for it has none to lose either
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("engine", REAL)
async def test_every_trouble_is_a_failed_search_of_its_fault(engine: str, trouble: str) -> None:
    async with REAL[engine](TROUBLES[trouble]) as provider:
        failed = await failure(provider)
    assert failed.provider == engine
    assert failed.fault is OWN_FAULTS.get((engine, trouble), FAULTS[trouble])
    assert failed.reason.split(" ")[0] in {"answered", "broke", "could", "did", "is", "refused", "serves"}


@pytest.mark.parametrize(("trouble", "wait_s"), [("429", 7.0), ("503", 9.0)])
@pytest.mark.parametrize("engine", REAL)
async def test_how_long_an_engine_asks_to_be_left_alone_is_known(
    engine: str, trouble: str, wait_s: float
) -> None:
    async with REAL[engine](TROUBLES[trouble]) as provider:
        assert (await failure(provider)).retry_after_s == wait_s


async def test_a_cancelled_search_ends_at_once() -> None:
    for setup in REAL.values():
        async with setup(TROUBLES["stall"]) as provider, asyncio.timeout(1):
            async with asyncio.TaskGroup() as tasks:
                search = tasks.create_task(provider.search("q", limit=3))
                await asyncio.sleep(0.05)
                search.cancel()
            assert search.cancelled()
