"""Everything the bot depends on, on loopback, each thing behind a proxy that can make it fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson
import platformdirs
from aiohttp import web

from bot.demo.search import DemoSearch
from bot.demo.web import DemoWeb
from bot.settings import APP_NAME, Settings, load_settings
from core.providers.embedding.export import export_path, packaged_model
from core.types import SearchHit
from tests.servers.loopback import serving
from tests.servers.openai_server import OpenAIServer, openai_server
from tests.servers.slack_server import APP_TOKEN, BOT_TOKEN, LEAST_SCOPES, SlackServer
from tests.servers.toxic_proxy import Dose, ToxicProxy, toxic_proxy

SCOPES: Final = f"{LEAST_SCOPES},channels:history"
"""The last is optional: with it the bot can look for what it posted without hearing so."""

FindHits = Callable[[str], Awaitable[Sequence[SearchHit]]]


class Dependency(StrEnum):
    SEARCH = "search"
    PAGE = "pages"
    MODEL = "model"
    EMBEDDING = "embeddings"
    REDIS = "redis"
    CHAT = "chat"


@dataclass(frozen=True, kw_only=True)
class LoopbackWorld:
    """proxies: all are well to begin with; those of what the bot does without are not there.

    slack: knows the bot as the agent that the manifest makes it, so that the Stop button is Slack's own.
    """

    search: SearchServer
    model: OpenAIServer
    slack: SlackServer
    proxies: Mapping[Dependency, ToxicProxy]

    @property
    def page_ports(self) -> frozenset[int]:
        return frozenset({self.proxies[Dependency.PAGE].port})

    def settings(self, cache: Path, **more: str) -> Settings:
        """For a bot that knows nothing but this world. cache: its CACHE_DIR. more: what else is set."""
        environ = {
            "CACHE_DIR": str(cache),
            "SEARCH_ORDER": "serper",
            "SERPER_API_KEY": "key",
            "SERPER_URL": self._url(Dependency.SEARCH),
            "LLM_BASE_URL": f"{self._url(Dependency.MODEL)}/v1",
            "LLM_MODEL": "loopback/model",
            "LLM_API_KEY": "key",
            "SLACK_API_URL": f"{self._url(Dependency.CHAT)}/api",
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
            "EXTRACTION_CHILDREN": "1",
            "QUESTIONS_PER_MINUTE": "1000",
        }
        if Dependency.REDIS in self.proxies:
            environ["REDIS_URL"] = f"redis://127.0.0.1:{self.proxies[Dependency.REDIS].port}/0"
        if Dependency.EMBEDDING in self.proxies:
            environ["EMBEDDING_API_URL"] = f"{self._url(Dependency.EMBEDDING)}/v1"
            environ["EMBEDDING_API_MODEL"] = "loopback/embedder"
        return load_settings({**environ, **more}, env_file=None)

    def _url(self, dependency: Dependency) -> str:
        return f"http://127.0.0.1:{self.proxies[dependency].port}"


@asynccontextmanager
async def loopback_world(
    *,
    redis_url: str = "",
    embedding_api: bool = False,
    doses: Mapping[Dependency, Dose] | None = None,
) -> AsyncIterator[LoopbackWorld]:
    """The demo's web, found by a search engine of its own.

    redis_url: of one that runs; empty for none. embedding_api: whether the bot embeds by one.
    """
    async with AsyncExitStack() as stack:
        proxies: dict[Dependency, ToxicProxy] = {}

        async def behind_proxy(dependency: Dependency, upstream: str | int) -> None:
            proxies[dependency] = await stack.enter_async_context(
                toxic_proxy(
                    upstream,
                    protocol="redis" if dependency is Dependency.REDIS else "http",
                    dose=(doses or {}).get(dependency),
                )
            )

        pages = await stack.enter_async_context(DemoWeb())
        await behind_proxy(Dependency.PAGE, pages.port)
        found = _found_through(pages, proxies[Dependency.PAGE].port)
        search = await stack.enter_async_context(search_server(found))
        await behind_proxy(Dependency.SEARCH, search.url)
        model = await stack.enter_async_context(openai_server())
        await behind_proxy(Dependency.MODEL, model.url)
        if embedding_api:
            await behind_proxy(Dependency.EMBEDDING, model.url)
        slack = await stack.enter_async_context(SlackServer(is_agent=True, scopes=SCOPES).serving())
        await behind_proxy(Dependency.CHAT, slack.url)
        if redis_url:
            await behind_proxy(Dependency.REDIS, urlsplit(redis_url).port or 6379)
        yield LoopbackWorld(search=search, model=model, slack=slack, proxies=proxies)


def empty_cache(directory: Path) -> Path:
    """A CACHE_DIR in it that holds nothing but the embedding model, where that was exported before."""
    cache = directory / "cache"
    cache.mkdir()
    exported = export_path(str(packaged_model()), platformdirs.user_cache_path(APP_NAME))
    if exported.exists():
        (cache / exported.name).symlink_to(exported)
    return cache


@dataclass(kw_only=True)
class SearchServer:
    """Answers as Serper does what is posted, and as SearXNG does what is not.

    out_of_credit: are all of Serper's keys?
    """

    find: FindHits
    out_of_credit: bool = False
    url: str = ""

    async def as_serper(self, request: web.Request) -> web.Response:
        if self.out_of_credit:
            return web.json_response({"message": "Not enough credits"}, status=400)
        asked = orjson.loads(await request.read())
        hits = (await self.find(asked["q"]))[: asked["num"]]
        organic = [
            {"link": hit.url, "title": hit.title, "snippet": hit.snippet, "date": hit.published}
            for hit in hits
        ]
        return web.json_response({"organic": organic})

    async def as_searxng(self, request: web.Request) -> web.Response:
        hits = await self.find(request.query["q"])
        results = [{"url": hit.url, "title": hit.title, "content": hit.snippet} for hit in hits]
        return web.json_response({"results": results})


@asynccontextmanager
async def search_server(find: FindHits) -> AsyncIterator[SearchServer]:
    server = SearchServer(find=find)
    app = web.Application()
    app.router.add_post("/search", server.as_serper)
    app.router.add_get("/search", server.as_searxng)
    async with serving(app) as server.url:
        yield server


def _found_through(pages: DemoWeb, proxy_port: int) -> FindHits:
    """The demo's search, with the pages' addresses as the proxy has them."""
    search = DemoSearch(pages)

    async def find(query: str) -> Sequence[SearchHit]:
        return [
            SearchHit(
                url=hit.url.replace(pages.base_url, f"http://127.0.0.1:{proxy_port}"),
                title=hit.title,
                snippet=hit.snippet,
                provider="Serper",
                published=hit.published,
            )
            for hit in await search.search(query, limit=20)
        ]

    return find
