"""A web without end on loopback: any question finds pages of its own, and a model that cites them.

Some of the pages can be hostile, and some of what is served can fail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from benchmarks.loopback_world import empty_cache, search_server
from benchmarks.soak_library import SyntheticWeb
from bot.limits import Limits
from core.providers.web.fetcher import FetchLimits
from core.types import AskerId, Question, SearchHit
from tests.hostile.html_forms import HTML_FORMS
from tests.hostile.pdf_forms import PDF_FORMS
from tests.servers.loopback import serving
from tests.servers.openai_server import openai_server
from tests.servers.toxic_proxy import ToxicProxy, toxic_proxy

PAGES_A_QUESTION: Final = 12
PAGE_SERVERS: Final = 25
"""The bot opens two connections to each at most; real pages lie on more."""

TOKENS_PER_S: Final = 60.0
TOKENS: Final = 120

LIMITS: Final = Limits(fetch=FetchLimits(max_hourly_per_address=1_000_000))
"""For a bot in this world, where all pages have one address."""

_WEB: Final = SyntheticWeb()
_PIECES: Final = tuple(
    word for number in range(TOKENS // 12) for word in (*(["word "] * 10), f"[{number % 5 + 1}]", ". ")
)


@dataclass(frozen=True, kw_only=True)
class SyntheticWorld:
    """pages, search, model: proxies, all well to begin with; those of pages are so many servers."""

    pages: Sequence[ToxicProxy]
    search: ToxicProxy
    model: ToxicProxy

    @property
    def page_ports(self) -> frozenset[int]:
        return frozenset(server.port for server in self.pages)

    def environ(self, directory: Path, *, children: int) -> Mapping[str, str]:
        """Settings for a bot that knows nothing but this world. directory: an empty one, for all it keeps."""
        return {
            "CACHE_DIR": str(empty_cache(directory)),
            "SEARCH_ORDER": "serper",
            "SERPER_API_KEY": "key",
            "SERPER_URL": f"http://127.0.0.1:{self.search.port}",
            "LLM_BASE_URL": f"http://127.0.0.1:{self.model.port}/v1",
            "LLM_MODEL": "loopback/model",
            "LLM_API_KEY": "key",
            "EXTRACTION_CHILDREN": str(children),
            "QUESTIONS_PER_MINUTE": "1000000",
            "LOG_LEVEL": "ERROR",
        }


def question(number: int) -> Question:
    """The same words for the same number; each number asks for itself."""
    return Question(
        id=str(number),
        text=_WEB.question(number),
        asker=AskerId(f"synthetic:{number}"),
        platform="synthetic",
        asked_at=datetime.now(UTC),
    )


@asynccontextmanager
async def synthetic_world(*, hostile_share: float = 0.0) -> AsyncIterator[SyntheticWorld]:
    """hostile_share: of the pages found, 0 to 1."""
    every = round(1 / hostile_share) if hostile_share else 0
    app = web.Application()
    app.router.add_get("/robots.txt", _no_robots)
    app.router.add_get("/{number}", _page)
    app.router.add_get("/hostile/{number}", _hostile)
    async with AsyncExitStack() as stack:
        root = await stack.enter_async_context(serving(app))
        pages = [await stack.enter_async_context(toxic_proxy(root)) for _ in range(PAGE_SERVERS)]

        async def find(query: str) -> Sequence[SearchHit]:
            digest = blake2b(query.encode(), digest_size=4).digest()
            first = int.from_bytes(digest) % 1_000_000 * PAGES_A_QUESTION
            return [
                _hit(pages[number % PAGE_SERVERS].port, number, is_hostile=every > 0 and number % every == 0)
                for number in range(first, first + PAGES_A_QUESTION)
            ]

        engine = await stack.enter_async_context(search_server(find))
        search = await stack.enter_async_context(toxic_proxy(engine.url))
        model = await stack.enter_async_context(openai_server(pieces=_PIECES))
        model.tokens_per_s = TOKENS_PER_S
        model_proxy = await stack.enter_async_context(toxic_proxy(urlsplit(model.url).port or 0))
        yield SyntheticWorld(pages=pages, search=search, model=model_proxy)


def _hit(port: int, number: int, *, is_hostile: bool) -> SearchHit:
    title, text = _WEB.page(number)
    folder = "hostile/" if is_hostile else ""
    return SearchHit(
        url=f"http://127.0.0.1:{port}/{folder}{number}",
        title=title,
        snippet=text[:150],
        provider="Serper",
    )


async def _no_robots(_: web.Request) -> web.Response:
    return web.Response(status=404)


async def _page(request: web.Request) -> web.Response:
    title, text = _WEB.page(int(request.match_info["number"]))
    body = f"<title>{title}</title><article><p>{text}</p></article>"
    return web.Response(text=body, content_type="text/html")


async def _hostile(request: web.Request) -> web.Response:
    media_type, body = _hostile_form(int(request.match_info["number"]) % (len(HTML_FORMS) + len(PDF_FORMS)))
    return web.Response(body=body, content_type=media_type)


@cache
def _hostile_form(number: int) -> tuple[str, bytes]:
    forms = [*(("text/html", make) for make in HTML_FORMS.values())]
    forms += [("application/pdf", make) for make in PDF_FORMS.values()]
    media_type, make = forms[number]
    return media_type, make()
