from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from bot.check import _search
from bot.limits import NORMAL
from bot.search_engines import open_providers
from bot.settings import load_settings
from core.errors import SearchFailed
from core.resilience.deadline import Deadline
from core.searching.engines import Engine
from tests.fakes import FakeClock, FakeSearchProvider
from tests.servers.search_api_server import SearchApiServer, search_api_server
from tests.servers.troubles import TROUBLES, Trouble

ENGINES = ("serper", "brave", "tavily", "serpapi", "searxng")


@pytest.fixture
async def server() -> AsyncIterator[SearchApiServer]:
    async with search_api_server() as server:
        yield server


def environ(server: SearchApiServer, *, order: str = ",".join(ENGINES)) -> dict[str, str]:
    urls = {f"{name.upper()}_URL": server.url for name in ENGINES}
    keys = {f"{name.upper()}_API_KEY": f"{name}-key-1,{name}-key-2" for name in ENGINES[:-1]}
    return {**urls, **keys, "SEARCH_ORDER": order, "SERPAPI_ENGINE": "bing"}


async def test_each_engine_is_asked_where_the_settings_say_with_its_own_keys(server: SearchApiServer) -> None:
    server.trouble = TROUBLES["401"]
    settings = load_settings(environ(server), env_file=None)
    async with AsyncExitStack() as stack:
        for provider in await open_providers(settings, NORMAL, FakeClock(), stack):
            with capture_logs(), pytest.raises(SearchFailed, match=f"{provider.name} refused the API key"):
                await provider.search("q", limit=3)
    assert [call.key for call in server.calls] == [
        "serper-key-1", "serper-key-2", "brave-key-1", "brave-key-2", "tavily-key-1", "tavily-key-2",
        "serpapi-key-1", "serpapi-key-2", "",
    ]  # fmt: skip
    assert server.calls[6].params["engine"] == "bing"


async def test_the_engines_come_in_the_order_of_the_settings(server: SearchApiServer) -> None:
    settings = load_settings(environ(server, order="duckduckgo,searxng,brave"), env_file=None)
    async with AsyncExitStack() as stack:
        providers = await open_providers(settings, NORMAL, FakeClock(), stack)
    assert [provider.name for provider in providers] == ["DuckDuckGo", "SearXNG", "Brave"]


async def test_no_cookie_connects_two_searches(server: SearchApiServer) -> None:
    server.trouble = Trouble(status=500, headers={"Set-Cookie": "asker=1; Path=/"})
    # aiohttp keeps none of an address in any case.
    named = {"TAVILY_URL": server.url.replace("127.0.0.1", "localhost")}
    settings = load_settings(environ(server, order="tavily") | named, env_file=None)
    async with AsyncExitStack() as stack:
        (provider,) = await open_providers(settings, NORMAL, FakeClock(), stack)
        for _ in range(2):
            with pytest.raises(SearchFailed):
                await provider.search("q", limit=3)
    assert ["cookie" in call.headers for call in server.calls] == [False, False]


# What `check` says of an engine


async def test_check_says_how_many_keys_rest(server: SearchApiServer) -> None:
    server.said = {"results": []}
    server.by_key = {"tavily-key-1": TROUBLES["402"]}
    settings = load_settings(environ(server, order="tavily"), env_file=None)
    async with AsyncExitStack() as stack:
        (provider,) = await open_providers(settings, NORMAL, FakeClock(), stack)
        with capture_logs():
            assert await _search(Engine.guarded(provider, FakeClock())) == "0 hits, 1 of 2 keys resting"


async def test_check_says_of_a_breaker_only_that_it_is_not_closed() -> None:
    clock = FakeClock()
    broken = FakeSearchProvider(fails_with="is failing", name="Broken")
    engine = Engine.guarded(broken, clock)
    with capture_logs():
        with pytest.raises(SearchFailed, match=r"^Broken is failing$"):
            await _search(engine)
        for _ in range(9):
            with pytest.raises(SearchFailed):
                await engine.search("q", limit=3, deadline=Deadline.after(5))
        with pytest.raises(SearchFailed, match=r"^Broken is resting after failures, circuit breaker open$"):
            await _search(engine)
        clock.elapsed_s, broken.fails_with = 60, ""
        assert await _search(engine) == "0 hits, circuit breaker half open"
