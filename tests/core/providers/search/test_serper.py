import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import orjson
import pytest

from core.errors import SearchFailed
from core.providers.search.serper import MAX_BODY_BYTES, SerperSearch
from core.types import SearchHit
from tests.fakes import FakeClock
from tests.servers.serper_server import SerperServer, serper_server

KEY = "canary-serper-key"


@pytest.fixture
async def server() -> AsyncIterator[SerperServer]:
    async with serper_server() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def provider(server: SerperServer, session: aiohttp.ClientSession, *, timeout_s: float = 5) -> SerperSearch:
    return SerperSearch(session, api_key=KEY, clock=FakeClock(), url=server.url, timeout_s=timeout_s)


async def failure(provider: SerperSearch) -> SearchFailed:
    with pytest.raises(SearchFailed) as caught:
        await provider.search("why is the sky blue", limit=3)
    return caught.value


async def test_asks_with_the_key_in_its_header_and_the_query_in_the_body(
    server: SerperServer, session: aiohttp.ClientSession
) -> None:
    await provider(server, session).search("why is the sky blue", limit=3)
    (request,) = server.requests
    assert request.api_key == KEY
    assert request.payload == {"q": "why is the sky blue", "num": 3}


async def test_a_hit_carries_its_date_counted_from_the_clock(
    server: SerperServer, session: aiohttp.ClientSession
) -> None:
    assert FakeClock().now() == datetime(2026, 1, 1, tzinfo=UTC)
    server.organic = [{"link": "https://example.com/", "title": "T", "snippet": "S", "date": "3 days ago"}]
    assert await provider(server, session).search("q", limit=3) == (
        SearchHit(
            url="https://example.com/", title="T", snippet="S", provider="Serper", published="2025-12-29"
        ),
    )


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, b'{"message":"Not enough credits","statusCode":400}', "is over its quota"),
        (401, b"", "refused the API key"),
        (402, b"", "is over its quota"),
        (403, b'{"message":"Unauthorized.","statusCode":403}', "refused the API key"),
        (403, b'{"message":"Monthly quota exceeded"}', "is over its quota"),
        (429, b"[]", "is over its rate limit"),
        (500, b"\xff\xfe", "is failing"),
        (503, b"<html>", "is failing"),
        (404, b"null", "answered with status 404"),
        (204, b"", "answered with status 204"),
    ],
)
async def test_a_refusal_is_told_in_plain_words(
    server: SerperServer, session: aiohttp.ClientSession, status: int, body: bytes, reason: str
) -> None:
    server.status, server.body = status, body
    assert (await failure(provider(server, session))).reason == reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>a captive portal</html>",
        b"null",
        b"[]",
        b'"organic"',
        b"{}",
        b'{"organic": null}',
        b'{"organic": {"link": "https://example.com/"}}',
        b'{"organic": [1, null, "https://example.com/"]}',
        b'{"organic": [{"link": 7}]}',
        b'{"organic": [{"link": "https://example.com/\\ud800"}]}',
        b'{"organic": ' + b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
async def test_a_garbled_answer_is_a_failure(
    server: SerperServer, session: aiohttp.ClientSession, body: bytes
) -> None:
    server.body = body
    assert (await failure(provider(server, session))).reason == "answered in a form that could not be read"


async def test_one_garbled_hit_does_not_lose_the_others(
    server: SerperServer, session: aiohttp.ClientSession
) -> None:
    server.organic = [
        {"link": None},
        {"link": "javascript:alert(1)", "title": "x"},
        {"link": "https://example.com/a", "title": ["no text"], "snippet": None, "date": 7},
    ]
    (hit,) = await provider(server, session).search("q", limit=3)
    assert hit == SearchHit(url="https://example.com/a", title="", snippet="", provider="Serper")


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_that_does_not_end_is_given_up(
    server: SerperServer, session: aiohttp.ClientSession, compressed: bool
) -> None:
    body = orjson.dumps({"organic": [], "padding": "a" * (10 * MAX_BODY_BYTES)})
    server.body = gzip.compress(body, mtime=0) if compressed else body
    server.headers = {"Content-Encoding": "gzip"} if compressed else {}
    assert (await failure(provider(server, session))).reason == "answered with too much data"


async def test_the_key_does_not_follow_a_redirect(
    server: SerperServer, session: aiohttp.ClientSession
) -> None:
    async with serper_server() as elsewhere:
        server.status, server.headers = 307, {"Location": f"{elsewhere.url}/search"}
        assert (await failure(provider(server, session))).reason == "answered with status 307"
        assert elsewhere.requests == []


async def test_an_engine_that_does_not_answer_is_given_up_in_time(
    server: SerperServer, session: aiohttp.ClientSession
) -> None:
    server.delay_s = 30
    assert (await failure(provider(server, session, timeout_s=0.05))).reason == "did not answer in time"


async def test_an_engine_that_is_not_there_could_not_be_reached(session: aiohttp.ClientSession) -> None:
    async with serper_server() as gone:
        pass
    assert (await failure(provider(gone, session))).reason == "could not be reached"


async def test_no_fault_holds_the_key(server: SerperServer, session: aiohttp.ClientSession) -> None:
    server.status, server.body = 403, f'{{"message": "{KEY}"}}'.encode()
    fault = await failure(provider(server, session))
    assert KEY not in f"{fault!r}{fault.__cause__!r}{fault.__context__!r}{provider(server, session)!r}"


async def test_a_cancelled_search_ends_at_once(server: SerperServer, session: aiohttp.ClientSession) -> None:
    server.delay_s = 30
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        search = tasks.create_task(provider(server, session).search("q", limit=3))
        await server.asked.wait()
        search.cancel()
    assert search.cancelled()
