"""Each engine's own ways: how it is asked, how it writes a result, how it refuses."""

from collections.abc import Mapping
from dataclasses import replace

import aiohttp
import pytest
from structlog.testing import capture_logs

from core.errors import Fault, SearchFailed
from core.providers.search.brave import Brave
from core.providers.search.json_api import ApiReply, JsonSearch, SearchApi
from core.providers.search.refusals import Refusal
from core.providers.search.searxng import SearXNG
from core.providers.search.serpapi import SerpApi
from core.providers.search.serper import Serper
from core.providers.search.tavily import Tavily
from core.types import SearchHit
from tests.fakes import FakeClock
from tests.servers.search_api_server import Said, search_api_server
from tests.servers.troubles import TROUBLES


async def asked(api: SearchApi, query: str = "why is the sky blue", limit: int = 3) -> None:
    async with aiohttp.ClientSession() as session:
        provider = JsonSearch(api, session, keys=["a-key"], clock=FakeClock())
        await provider.search(query, limit=limit)


async def test_serper_is_asked_with_the_key_in_a_header() -> None:
    async with search_api_server({"organic": []}) as server:
        await asked(Serper(url=server.url))
    (call,) = server.calls
    assert (call.method, call.path, call.headers["x-api-key"]) == ("POST", "/search", "a-key")
    assert call.payload == {"q": "why is the sky blue", "num": 3}


async def test_brave_is_asked_within_its_limits() -> None:
    async with search_api_server({"type": "search"}) as server:
        await asked(Brave(url=server.url), query="a b " * 100, limit=40)
        await asked(Brave(url=server.url), query="a" * 1000)
    first, second = server.calls
    assert (first.method, first.path) == ("GET", "/res/v1/web/search")
    assert first.headers["x-subscription-token"] == "a-key"
    assert (first.params["q"].count(" "), first.params["count"]) == (49, "20")
    assert (len(second.params["q"]), second.params["count"]) == (400, "3")


async def test_tavily_is_asked_within_its_limits() -> None:
    async with search_api_server({"results": []}) as server:
        await asked(Tavily(url=server.url), query="a" * 1000, limit=40)
    (call,) = server.calls
    assert (call.method, call.path, call.headers["authorization"]) == ("POST", "/search", "Bearer a-key")
    assert call.payload == {"query": "a" * 400, "max_results": 20, "search_depth": "basic"}


@pytest.mark.parametrize(
    ("api", "count"),
    [(SerpApi(), "num"), (SerpApi(engine="google"), "num"), (SerpApi(engine="bing"), "count")],
)
async def test_serpapi_is_asked_for_either_engine_s_results(api: SerpApi, count: str) -> None:
    async with search_api_server({"organic_results": []}) as server:
        await asked(SerpApi(url=server.url, engine=api.engine), query="a&b=c")
    (call,) = server.calls
    assert (call.method, call.path) == ("GET", "/search.json")
    assert call.params == {"engine": api.engine, "q": "a&b=c", count: "3", "api_key": "a-key"}


async def test_searxng_is_asked_for_json_and_given_no_key() -> None:
    async with search_api_server({"results": []}) as server:
        await asked(SearXNG(url=server.url))
    (call,) = server.calls
    assert (call.method, call.path) == ("GET", "/search")
    assert call.params == {"q": "why is the sky blue", "format": "json"}
    assert "a-key" not in str(call)


URL = "https://example.com/"


@pytest.mark.parametrize(
    ("api", "said", "snippet"),
    [
        (Serper(), {"organic": [{"link": URL, "title": "T", "snippet": "<b>", "date": "3 days ago"}]}, "<b>"),
        (
            Brave(),
            {
                "web": {
                    "results": [
                        {
                            "url": URL,
                            "title": "<strong>T</strong>",
                            "description": "Tom &amp; <strong>Jerry</strong>",
                            "page_age": "2025-12-29T08:00:00",
                            "extra_snippets": ["More.", 7, "Still <b>more</b>."],
                        }
                    ]
                }
            },
            "Tom & Jerry More. Still more.",
        ),
        (
            Brave(),
            {"web": {"results": [{"url": URL, "title": "T", "page_age": None, "age": "December 29, 2025"}]}},
            "",
        ),
        (
            Tavily(),
            {
                "results": [
                    {
                        "url": URL,
                        "title": "T",
                        "content": "A <strong>cat</strong>",
                        "published_date": "Mon, 29 Dec 2025 10:00:00 GMT",
                    }
                ]
            },
            "A cat",
        ),
        (
            SerpApi(),
            {"organic_results": [{"link": URL, "title": "T", "snippet": "S", "date": "Dec 29, 2025"}]},
            "S",
        ),
        (
            SearXNG(url="http://127.0.0.1"),
            {"results": [{"url": URL, "title": "T", "content": "S", "publishedDate": "2025-12-29T00:00:00"}]},
            "S",
        ),
    ],
)
async def test_a_result_becomes_a_hit_with_its_date(
    api: Serper | Brave | Tavily | SerpApi | SearXNG, said: Said, snippet: str
) -> None:
    async with search_api_server(said) as server, aiohttp.ClientSession() as session:
        api = replace(api, url=server.url)
        hits = await JsonSearch(api, session, clock=FakeClock()).search("q", limit=3)
    assert hits == (
        SearchHit(url=URL, title="T", snippet=snippet, provider=api.name, published="2025-12-29"),
    )


SEARXNG = SearXNG(url="http://127.0.0.1")


@pytest.mark.parametrize(
    ("api", "status", "said", "fault"),
    [
        (Serper(), 400, {"message": "Not enough credits", "statusCode": 400}, Fault.OUT_OF_CREDIT),
        (Serper(), 403, {"message": "Monthly quota exceeded"}, Fault.OUT_OF_CREDIT),
        (Serper(), 403, {"message": "Unauthorized."}, None),
        (Serper(), 200, {"message": "credit"}, None),
        (Brave(), 422, {"error": {"code": "SUBSCRIPTION_TOKEN_INVALID"}}, Fault.KEY_REFUSED),
        (Brave(), 429, {"error": {"code": "QUOTA_LIMITED"}}, Fault.OUT_OF_CREDIT),
        (Brave(), 429, {"error": {"code": ["RATE_LIMITED"]}}, None),
        (Tavily(), 432, {"detail": {"error": "exceeds your plan's set usage limit"}}, Fault.OUT_OF_CREDIT),
        (Tavily(), 433, {}, Fault.OUT_OF_CREDIT),
        (Tavily(), 401, {}, None),
        (SerpApi(), 429, {"error": "Your account has run out of searches."}, Fault.OUT_OF_CREDIT),
        (SerpApi(), 429, {"error": "exceeded the hourly throughput limit"}, None),
        (SerpApi(), 200, {"search_metadata": {"status": "Error"}, "error": "timed out"}, Fault.FAILING),
        (SEARXNG, 403, {}, Fault.REFUSED),
        (SEARXNG, 200, {"results": [], "unresponsive_engines": [["google", "timeout"]]}, Fault.FAILING),
        (SEARXNG, 200, {"results": [], "unresponsive_engines": []}, None),
    ],
)
def test_what_http_alone_would_not_tell_is_understood(
    api: SearchApi, status: int, said: Said, fault: Fault | None
) -> None:
    refusal = api.refusal(ApiReply(status=status, said=said))
    assert (refusal.fault if refusal else None) is fault


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"x-ratelimit-remaining": "0, 1850", "x-ratelimit-reset": "1, 1209600"}, 1.0),
        ({"x-ratelimit-remaining": "0, 0", "x-ratelimit-reset": "1, 1209600"}, 1_209_600.0),
        ({"x-ratelimit-remaining": "3, 1850", "x-ratelimit-reset": "1, 1209600"}, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-remaining": "x" * 9000, "x-ratelimit-reset": "9" * 9000}, None),
        ({}, None),
    ],
)
def test_brave_says_in_headers_of_its_own_when_its_window_begins_anew(
    headers: Mapping[str, str], wait_s: float | None
) -> None:
    refusal = Brave().refusal(ApiReply(status=429, said={}, headers=headers))
    expected = Refusal(fault=Fault.RATE_LIMITED, retry_after_s=wait_s)
    assert refusal == (expected if wait_s is not None else None)


@pytest.mark.parametrize("api_class", [Serper, Brave, Tavily, SerpApi])
async def test_every_key_is_tried_before_the_engine_is_given_up(
    api_class: type[Serper | Brave | Tavily | SerpApi],
) -> None:
    async with search_api_server() as server, aiohttp.ClientSession() as session:
        server.trouble = TROUBLES["401"]
        provider = JsonSearch(api_class(url=server.url), session, keys=["one", "two"], clock=FakeClock())
        with capture_logs(), pytest.raises(SearchFailed, match="refused the API key"):
            await provider.search("q", limit=3)
    assert [call.key for call in server.calls] == ["one", "two"]
