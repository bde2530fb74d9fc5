"""The search engines that are set up, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final, assert_never

import aiohttp
from pydantic import SecretStr

from bot.limits import Limits
from bot.settings import SearchEngine, Settings, keys_of
from core.ports import Clock, SearchProvider
from core.providers.search.brave import Brave
from core.providers.search.duckduckgo import DuckDuckGoSearch
from core.providers.search.json_api import JsonSearch, SearchApi
from core.providers.search.searxng import SearXNG
from core.providers.search.serpapi import SerpApi
from core.providers.search.serper import Serper
from core.providers.search.tavily import Tavily

NO_KEYS: Final = SecretStr("")


async def open_providers(
    settings: Settings, limits: Limits, clock: Clock, stack: AsyncExitStack
) -> Sequence[SearchProvider]:
    # No cookies: they would connect one asker's searches with another's.
    session = await stack.enter_async_context(
        aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
    )
    return [
        _provider(name, settings, session, clock, timeout_s=limits.engine_attempt_s)
        for name in settings.search_engines
    ]


def _provider(
    name: SearchEngine, settings: Settings, session: aiohttp.ClientSession, clock: Clock, *, timeout_s: float
) -> SearchProvider:
    def asked(api: SearchApi, keys: SecretStr = NO_KEYS) -> SearchProvider:
        return JsonSearch(api, session, keys=keys_of(keys), clock=clock, timeout_s=timeout_s)

    match name:
        case "serper":
            return asked(Serper(url=settings.serper_url), settings.serper_api_key)
        case "brave":
            return asked(Brave(url=settings.brave_url), settings.brave_api_key)
        case "tavily":
            return asked(Tavily(url=settings.tavily_url), settings.tavily_api_key)
        case "serpapi":
            api = SerpApi(url=settings.serpapi_url, engine=settings.serpapi_engine)
            return asked(api, settings.serpapi_api_key)
        case "searxng":
            return asked(SearXNG(url=settings.searxng_url))
        case "duckduckgo":
            backend = settings.duckduckgo_backend
            return DuckDuckGoSearch(clock=clock, backend=backend, timeout_s=timeout_s)
        case _:
            assert_never(name)
