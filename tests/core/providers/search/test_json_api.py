"""What the engines that answer in JSON have in common, tried on one of them."""

import asyncio
import gzip
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic

import aiohttp
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.errors import Fault, SearchFailed
from core.providers.search.json_api import MAX_BODY_BYTES, MAX_RESULTS, JsonSearch, SearchApi
from core.providers.search.serpapi import SerpApi
from core.providers.search.tavily import Tavily
from core.types import SearchHit
from tests.fakes import FakeClock
from tests.servers.search_api_server import SearchApiServer, search_api_server, tavily_says
from tests.servers.troubles import TROUBLES, Doing, Trouble

KEY = "canary-search-key"
HIT = SearchHit(url="https://example.com/", title="T", snippet="S", provider="Tavily")


@pytest.fixture
async def server() -> AsyncIterator[SearchApiServer]:
    async with search_api_server(tavily_says([HIT])) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def tavily(
    server: SearchApiServer, session: aiohttp.ClientSession, *keys: str, timeout_s: float = 5
) -> JsonSearch:
    api = Tavily(url=server.url)
    return JsonSearch(api, session, keys=keys or [KEY], clock=FakeClock(), timeout_s=timeout_s)


async def failure(provider: JsonSearch) -> SearchFailed:
    with capture_logs(), pytest.raises(SearchFailed) as caught:
        await provider.search("why is the sky blue", limit=3)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"results"',
        b"{}",
        b'{"results": null}',
        b'{"results": {"url": "https://example.com/"}}',
        b'{"results": [1, null, "https://example.com/"]}',
        b'{"results": [{"url": 7}]}',
        b'{"results": [{"url": "https://example.com/\\ud800"}]}',
        b'{"results": ' + b"[" * 100_000,
        b'{"results": [' + b"1," * 900_000 + b"1]}",
    ],
)
async def test_a_garbled_answer_is_a_failure(
    server: SearchApiServer, session: aiohttp.ClientSession, body: bytes
) -> None:
    server.trouble = Trouble(body=body)
    failed = await failure(tavily(server, session))
    assert (failed.reason, failed.fault) == ("answered in a form that could not be read", Fault.FAILING)


async def test_one_garbled_hit_does_not_lose_the_others(
    server: SearchApiServer, session: aiohttp.ClientSession
) -> None:
    server.said = {
        "results": [
            {"url": None},
            {"url": "javascript:alert(1)", "title": "x"},
            {"url": "https://example.com/a", "title": ["no text"], "content": None, "published_date": 7},
        ]
    }
    (hit,) = await tavily(server, session).search("q", limit=3)
    assert hit == SearchHit(url="https://example.com/a", title="", snippet="", provider="Tavily")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["results", "url", "title", "content", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(said=st.fixed_dictionaries({"results": st.lists(json_values, max_size=4) | json_values}))
async def test_whatever_is_said_gives_clean_hits_or_a_failed_search(
    server: SearchApiServer, session: aiohttp.ClientSession, said: dict[str, object]
) -> None:
    server.said = said
    with suppress(SearchFailed):
        hits = await tavily(server, session).search("q", limit=3)
        assert all(hit.url.startswith("http") for hit in hits)


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_that_does_not_end_is_given_up(
    server: SearchApiServer, session: aiohttp.ClientSession, compressed: bool
) -> None:
    body = orjson.dumps({"results": [], "padding": "a" * (10 * MAX_BODY_BYTES)})
    server.trouble = Trouble(
        body=gzip.compress(body, mtime=0) if compressed else body,
        headers={"Content-Encoding": "gzip"} if compressed else {},
    )
    assert (await failure(tavily(server, session))).reason == "answered with too much data"


async def test_of_a_million_results_only_the_first_are_looked_at(
    server: SearchApiServer, session: aiohttp.ClientSession
) -> None:
    at = [b'{"url": "https://example.com/%d"}' % number for number in range(2)]
    results = b",".join([at[0], *[b"{}"] * MAX_RESULTS, at[1], *[b"{}"] * 600_000])
    server.trouble = Trouble(body=b'{"results": [' + results + b"]}")
    hits = await tavily(server, session).search("q", limit=3)
    assert [hit.url for hit in hits] == ["https://example.com/0"]


async def test_the_key_does_not_follow_a_redirect(
    server: SearchApiServer, session: aiohttp.ClientSession
) -> None:
    async with search_api_server() as elsewhere:
        server.trouble = Trouble(status=307, headers={"Location": f"{elsewhere.url}/search"})
        assert (await failure(tavily(server, session))).reason == "answered with status 307"
        assert elsewhere.calls == []


async def test_an_engine_that_is_not_there_could_not_be_reached(session: aiohttp.ClientSession) -> None:
    async with search_api_server() as gone:
        pass
    assert str(await failure(tavily(gone, session))) == "Tavily could not be reached"


@pytest.mark.parametrize("refused", ["401", "402", "403", "429"])
async def test_a_refused_key_gives_way_to_the_next_at_once(
    server: SearchApiServer, session: aiohttp.ClientSession, refused: str
) -> None:
    server.by_key = {"canary-one": TROUBLES[refused]}
    provider = tavily(server, session, "canary-one", "canary-two")
    with capture_logs() as lines:
        assert len(await provider.search("q", limit=3)) == 1
        assert len(await provider.search("q", limit=3)) == 1
    assert [call.key for call in server.calls] == ["canary-one", "canary-two", "canary-two"]
    assert provider.keys.resting == 1
    assert "canary" not in str(lines)


@pytest.mark.parametrize("trouble", ["500", "reset", "garbage"])
async def test_another_key_is_not_spent_on_what_it_would_not_mend(
    server: SearchApiServer, session: aiohttp.ClientSession, trouble: str
) -> None:
    server.trouble = TROUBLES[trouble]
    await failure(tavily(server, session, "canary-one", "canary-two"))
    assert {call.key for call in server.calls} == {"canary-one"}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("api_class", [SerpApi, Tavily])
async def test_no_fault_and_no_log_holds_a_key(
    server: SearchApiServer, session: aiohttp.ClientSession, api_class: type[SerpApi | Tavily], trouble: str
) -> None:
    api: SearchApi = api_class(url=server.url)
    provider = JsonSearch(api, session, keys=[KEY], clock=FakeClock(), timeout_s=0.05)
    server.trouble = TROUBLES[trouble]
    with capture_logs() as lines, pytest.raises(SearchFailed) as caught:
        await provider.search("q", limit=3)
    fault = caught.value
    shown = "".join(traceback.format_exception(fault))
    assert KEY not in f"{shown}{fault!r}{fault.__cause__!r}{fault.__context__!r}{provider!r}{lines}"
    assert KEY in str(server.calls)


async def test_no_key_is_in_the_fault_of_a_url_that_can_t_be_asked(session: aiohttp.ClientSession) -> None:
    provider = JsonSearch(SerpApi(url="http://[::1"), session, keys=[KEY], clock=FakeClock())
    fault = await failure(provider)
    assert KEY not in "".join(traceback.format_exception(fault)) + repr(fault.__context__)


async def test_a_cancelled_search_closes_its_request(
    server: SearchApiServer, session: aiohttp.ClientSession
) -> None:
    server.delay_s = 30
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        search = tasks.create_task(tavily(server, session).search("q", limit=3))
        await server.asked.wait()
        search.cancel()
        await server.given_up.wait()
    assert search.cancelled()


async def test_an_engine_that_stalls_is_given_up_in_time(
    server: SearchApiServer, session: aiohttp.ClientSession
) -> None:
    server.trouble = Trouble(does=Doing.STALLS_MIDWAY)
    started_s = monotonic()
    failed = await failure(tavily(server, session, timeout_s=0.05))
    assert (failed.reason, failed.fault) == ("did not answer in time", Fault.TIMED_OUT)
    assert monotonic() - started_s < 1
