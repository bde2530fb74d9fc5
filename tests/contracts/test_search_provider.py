"""What every SearchProvider keeps."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest

from core.errors import SearchFailed
from core.ports import SearchProvider
from core.providers.search.duckduckgo import DuckDuckGoSearch
from core.providers.search.serper import SerperSearch
from core.types import SearchHit
from tests.fakes import FakeClock, FakeSearchProvider
from tests.servers.duckduckgo_server import duckduckgo_server, results_page
from tests.servers.serper_server import serper_server

Setup = Callable[[Sequence[SearchHit] | None], AbstractAsyncContextManager[SearchProvider]]
"""A provider whose engine finds these, or, with None, is failing."""


@asynccontextmanager
async def fake(hits: Sequence[SearchHit] | None) -> AsyncIterator[SearchProvider]:
    yield FakeSearchProvider(hits=hits or (), fails_with="is failing" if hits is None else "")


@asynccontextmanager
async def serper(hits: Sequence[SearchHit] | None) -> AsyncIterator[SearchProvider]:
    async with serper_server() as server, aiohttp.ClientSession() as session:
        server.status = 500 if hits is None else 200
        server.organic = [{"link": hit.url, "title": hit.title, "snippet": hit.snippet} for hit in hits or ()]
        yield SerperSearch(session, api_key="a-key", clock=FakeClock(), url=server.url)


@asynccontextmanager
async def duckduckgo(hits: Sequence[SearchHit] | None) -> AsyncIterator[SearchProvider]:
    async with duckduckgo_server() as server:
        server.status = 500 if hits is None else 200
        server.page = results_page(hits or ())
        yield DuckDuckGoSearch(url=server.url)


@pytest.fixture(params=[fake, serper, duckduckgo])
def setup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Setup:
    # DuckDuckGo's client would go through a proxy of the machine the tests run on.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    chosen: Setup = request.param
    return chosen


def found(*names: str) -> list[SearchHit]:
    return [
        SearchHit(
            url=f"https://example.com/{name}", title=f"Title {name}", snippet=f"About {name}.", provider="x"
        )
        for name in names
    ]


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


async def test_a_failure_names_the_provider_and_a_plain_reason(setup: Setup) -> None:
    async with setup(None) as provider:
        with pytest.raises(SearchFailed) as caught:
            await provider.search("anything", limit=5)
        assert (caught.value.provider, caught.value.reason) == (provider.name, "is failing")


async def test_a_provider_serves_one_search_after_the_other(setup: Setup) -> None:
    async with setup(found("a")) as provider:
        first = await provider.search("one", limit=5)
        assert first == await provider.search("another", limit=5)
