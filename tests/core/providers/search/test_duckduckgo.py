import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from ddgs.engines import ENGINES
from ddgs.engines.duckduckgo import Duckduckgo
from structlog.testing import capture_logs

from core.errors import SearchFailed, SettingsError
from core.providers.search.duckduckgo import MAX_BODY_BYTES, DuckDuckGoSearch
from core.types import SearchHit
from tests.fakes import FakeClock
from tests.servers.duckduckgo_server import (
    CHALLENGE_PAGE,
    DuckDuckGoServer,
    duckduckgo_server,
    results_page,
)


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def server() -> AsyncIterator[DuckDuckGoServer]:
    async with duckduckgo_server() as server:
        yield server


def hit(url: str) -> SearchHit:
    return SearchHit(url=url, title="A title", snippet="A snippet.", provider="DuckDuckGo")


async def failure(provider: DuckDuckGoSearch) -> str:
    with capture_logs(), pytest.raises(SearchFailed) as caught:
        await provider.search("why is the sky blue", limit=3)
    assert caught.value.provider == "DuckDuckGo"
    return caught.value.reason


async def test_the_query_is_posted_as_the_form_would(server: DuckDuckGoServer) -> None:
    await DuckDuckGoSearch(clock=FakeClock(), url=server.url).search("why is the sky blue? & so on", limit=3)
    assert [form["q"] for form in server.forms] == ["why is the sky blue? & so on"]


async def test_after_a_challenge_it_is_left_alone_for_a_minute(server: DuckDuckGoServer) -> None:
    clock, server.page = FakeClock(), CHALLENGE_PAGE
    provider = DuckDuckGoSearch(clock=clock, url=server.url)
    for _ in range(3):
        assert await failure(provider) == "is over its rate limit"
    assert len(server.forms) == 1
    clock.elapsed_s, server.page = 60, results_page([hit("https://example.com/")])
    assert len(await provider.search("q", limit=3)) == 1


async def test_an_advertisement_is_no_hit(server: DuckDuckGoServer) -> None:
    server.page = results_page([hit("https://duckduckgo.com/y.js?ad_domain=x"), hit("https://example.com/")])
    assert await DuckDuckGoSearch(clock=FakeClock(), url=server.url).search("q", limit=3) == (
        hit("https://example.com/"),
    )


@pytest.mark.parametrize("tail", ["", "&rut=0a1b"])
async def test_a_hit_leads_to_the_page_and_not_through_duckduckgo(
    server: DuckDuckGoServer, tail: str
) -> None:
    redirect = f"//duckduckgo.com/l/?uddg=https%3A%2F%2Fexample.com%2F%3Fa%3D1%26b%3D2{tail}"
    server.page = results_page([hit(redirect)])
    assert await DuckDuckGoSearch(clock=FakeClock(), url=server.url).search("q", limit=3) == (
        hit("https://example.com/?a=1&b=2"),
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (202, "is over its rate limit"),
        (403, "is over its rate limit"),
        (429, "is over its rate limit"),
        (500, "is failing"),
        (503, "is failing"),
        (404, "answered with status 404"),
    ],
)
async def test_a_refusal_is_told_in_plain_words(server: DuckDuckGoServer, status: int, reason: str) -> None:
    server.status = status
    assert await failure(DuckDuckGoSearch(clock=FakeClock(), url=server.url)) == reason


async def test_a_challenge_is_not_taken_for_no_results(server: DuckDuckGoServer) -> None:
    server.page = CHALLENGE_PAGE
    assert await failure(DuckDuckGoSearch(clock=FakeClock(), url=server.url)) == "is over its rate limit"


@pytest.mark.parametrize(
    "page", ["", " ", "<html><p>Welcome to the hotel</p>", "\x00\ufffd", "<?xml version='1.0'?>"]
)
async def test_a_page_of_something_else_is_a_failure(server: DuckDuckGoServer, page: str) -> None:
    server.page = page
    assert (
        await failure(DuckDuckGoSearch(clock=FakeClock(), url=server.url))
        == "answered in a form that could not be read"
    )


async def test_an_answer_that_does_not_end_is_given_up(server: DuckDuckGoServer) -> None:
    server.page = results_page([]) + " " * MAX_BODY_BYTES
    assert await failure(DuckDuckGoSearch(clock=FakeClock(), url=server.url)) == "answered with too much data"


async def test_an_engine_that_does_not_answer_is_given_up_in_time(server: DuckDuckGoServer) -> None:
    server.delay_s = 30
    started = monotonic()
    assert (
        await failure(DuckDuckGoSearch(clock=FakeClock(), url=server.url, timeout_s=0.05))
        == "did not answer in time"
    )
    assert monotonic() - started < 1


async def test_an_engine_that_is_not_there_could_not_be_reached() -> None:
    async with duckduckgo_server() as gone:
        pass
    assert await failure(DuckDuckGoSearch(clock=FakeClock(), url=gone.url)) == "could not be reached"


async def test_a_cancelled_search_ends_at_once(server: DuckDuckGoServer) -> None:
    server.delay_s = 30
    started = monotonic()
    async with asyncio.TaskGroup() as tasks:
        search = tasks.create_task(
            DuckDuckGoSearch(clock=FakeClock(), url=server.url, timeout_s=1).search("q", limit=3)
        )
        await server.asked.wait()
        search.cancel()
    assert search.cancelled()
    assert monotonic() - started < 1


async def test_no_more_searches_run_at_a_time_than_there_are_threads(server: DuckDuckGoServer) -> None:
    server.page, server.delay_s = results_page([hit("https://example.com/")]), 0.03
    provider = DuckDuckGoSearch(clock=FakeClock(), url=server.url, max_threads=2)
    async with asyncio.TaskGroup() as tasks:
        searches = [tasks.create_task(provider.search("q", limit=3)) for _ in range(6)]
    assert [len(search.result()) for search in searches] == [1] * 6
    assert server.most_at_once == 2


async def test_a_search_that_finds_no_free_thread_is_given_up_in_time(server: DuckDuckGoServer) -> None:
    server.delay_s = 30
    provider = DuckDuckGoSearch(clock=FakeClock(), url=server.url, timeout_s=0.1, max_threads=1)
    assert await failure(provider) == "did not answer in time"
    assert await failure(provider) == "did not answer in time"
    assert len(server.forms) == 1


async def test_no_cookie_connects_two_searches(server: DuckDuckGoServer) -> None:
    server.headers = {"Set-Cookie": "asker=1; Path=/"}
    provider = DuckDuckGoSearch(clock=FakeClock(), url=server.url)
    await provider.search("one", limit=3)
    await provider.search("another", limit=3)
    assert server.cookies == [{}, {}]


async def test_the_proxy_of_the_ddgs_command_is_not_used(
    server: DuckDuckGoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed_port = nobody.getsockname()[1]
    monkeypatch.setenv("DDGS_PROXY", f"http://127.0.0.1:{closed_port}")
    await DuckDuckGoSearch(clock=FakeClock(), url=server.url).search("q", limit=3)
    assert len(server.forms) == 1


@pytest.mark.parametrize("backend", ["google", "nonsense", "auto", "duckduckgo,brave"])
def test_a_backend_that_is_switched_off_is_refused_at_once(backend: str) -> None:
    with pytest.raises(SettingsError, match=r"^DUCKDUCKGO_BACKEND must name an engine .* duckduckgo"):
        DuckDuckGoSearch(clock=FakeClock(), backend=backend)


def test_the_default_backend_is_switched_on_in_the_installed_package() -> None:
    assert ENGINES["text"]["duckduckgo"] is Duckduckgo
    assert DuckDuckGoSearch(clock=FakeClock()).name == "DuckDuckGo"


def test_another_backend_goes_by_its_own_name() -> None:
    assert DuckDuckGoSearch(clock=FakeClock(), backend="brave").name == "Brave"


_GIVE_UP_AND_LEAVE = """
import asyncio, contextlib, sys
from core.providers.search.duckduckgo import DuckDuckGoSearch
from core.providers.system_clock import SystemClock

async def main():
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await DuckDuckGoSearch(clock=SystemClock(), url=sys.argv[1], timeout_s=60).search("q", limit=3)
    print("leaving", flush=True)

asyncio.run(main())
"""


async def test_an_unanswered_search_does_not_hold_up_the_exit(server: DuckDuckGoServer) -> None:
    server.delay_s = 60
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _GIVE_UP_AND_LEAVE, server.url, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    async with asyncio.timeout(20):
        said, complaints = await process.communicate()
    assert (said, complaints, process.returncode) == (b"leaving\n", b"", 0)
    assert len(server.forms) == 1
