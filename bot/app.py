"""The composition root: settings in, a service that answers questions out.

Everything that holds a connection, a thread or a child is opened here, once, and closed by one exit stack.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from importlib.metadata import version

import aiohttp
import structlog

from bot.demo.search import DemoSearch
from bot.demo.web import DemoWeb
from bot.settings import APP_NAME, Settings
from core.answering.answering import Answering
from core.answering.extractive import ExtractiveAnswer
from core.answering.writing import Writing
from core.asking.limits import Admission
from core.asking.planning import Planning
from core.errors import DependencyError
from core.ports import Clock, LanguageModel, SearchProvider
from core.providers.embedding.local import LocalEmbedder
from core.providers.rate_limiter import InProcessRateLimiter
from core.providers.search.duckduckgo import DuckDuckGoSearch
from core.providers.search.serper import SerperSearch
from core.providers.storage.lance import LanceLibrary
from core.providers.storage.lance_pages import LancePageStore
from core.providers.storage.memory import MemoryLibrary
from core.providers.system_clock import SystemClock
from core.providers.web.extractor import ChildExtractor
from core.providers.web.fetcher import WebFetcher
from core.ranking.ranking import Ranking
from core.ranking.recalling import RecallingEmbedder
from core.reading.keeping import Keeping
from core.reading.reading import ClosedWeb, Reading
from core.reading.urls import AddressPolicy
from core.searching.library import LibrarySearch
from core.searching.search import Search
from core.service import QuestionService

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the commands use. providers: the search engines, in the order they are asked.

    recalling: the same embedder, that asks the library first.
    """

    service: QuestionService
    clock: Clock
    providers: Sequence[SearchProvider]
    model: LanguageModel | None
    embedder: LocalEmbedder
    recalling: RecallingEmbedder
    scoring: LanceLibrary
    pages: LancePageStore
    keeping: Keeping
    fetcher: WebFetcher
    extractor: ChildExtractor


@asynccontextmanager
async def open_app(
    settings: Settings, *, demo: bool = False, library_only: bool = False
) -> AsyncIterator[App]:
    """Everything a question needs; over the bundled web where `demo` is set, over none for the library's."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(DemoWeb()) if demo else None
        engines = [DemoSearch(web)] if web else await _search_providers(settings, clock, stack)
        providers = [] if library_only else engines
        model = _language_model(settings, stack)
        policy = AddressPolicy(loopback_ports=frozenset({web.port})) if web else AddressPolicy()
        fetcher = WebFetcher(
            user_agent=_user_agent(settings), policy=policy, respect_robots=settings.respect_robots
        )
        stack.push_async_callback(fetcher.aclose)
        extractor = await stack.enter_async_context(
            ChildExtractor(children=settings.extraction_child_count())
        )
        local = stack.enter_context(closing(_embedder(settings)))
        # Apart from the pages: it is broken more easily, and it has to be fast wherever those are.
        scoring = stack.enter_context(closing(LanceLibrary(settings.cache_dir / "scoring")))
        pages = stack.enter_context(
            closing(LancePageStore(settings.library_uri, model=local.model, clock=clock))
        )
        embedder = RecallingEmbedder(local, pages)
        keeping = Keeping(pages, embedder, clock)
        stack.push_async_callback(keeping.flush)
        # The first question's search and reading take longer than preparing does.
        preparing = (_warmed(what.prepare()) for what in (scoring, local, pages))
        await stack.enter_async_context(_beside(*preparing, keeping.run()))
        answering = Answering(
            planning=Planning(model),
            search=Search(providers, library=LibrarySearch(pages, embedder)),
            reading=Reading(ClosedWeb() if library_only else fetcher, extractor, keeping, clock),
            embedder=embedder,
            ranking=Ranking(library=scoring, fallback=MemoryLibrary(), embedder=embedder),
            writing=Writing(model, ExtractiveAnswer(embedder)),
        )
        admission = Admission(
            InProcessRateLimiter(per_minute=settings.questions_per_minute),
            max_question_chars=settings.max_question_chars,
        )
        yield App(
            service=QuestionService(admission=admission, answering=answering, clock=clock),
            clock=clock,
            providers=providers,
            model=model,
            embedder=local,
            recalling=embedder,
            scoring=scoring,
            pages=pages,
            keeping=keeping,
            fetcher=fetcher,
            extractor=extractor,
        )


async def prepare_embedding(settings: Settings) -> None:
    """Raises EmbeddingFailed."""
    with closing(_embedder(settings)) as embedder:
        await embedder.prepare()


@asynccontextmanager
async def _beside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs what may last longer than the block, and ends it with the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _warmed(preparing: Awaitable[None]) -> None:
    try:
        await preparing
    except DependencyError as failure:
        log.warning("preparation.failed", reason=str(failure))


def _embedder(settings: Settings) -> LocalEmbedder:
    return LocalEmbedder(cache_dir=settings.cache_dir, model=settings.embedding_model or None)


async def _search_providers(settings: Settings, clock: Clock, stack: AsyncExitStack) -> list[SearchProvider]:
    """Serper where there is a key for it; DuckDuckGo, which needs none, in any case."""
    providers: list[SearchProvider] = []
    if key := settings.serper_api_key.get_secret_value():
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        providers.append(SerperSearch(session, api_key=key, clock=clock, url=settings.serper_url))
    providers.append(DuckDuckGoSearch(backend=settings.duckduckgo_backend))
    return providers


def _language_model(settings: Settings, stack: AsyncExitStack) -> LanguageModel | None:
    if not settings.model_configured:
        return None
    from core.providers.openai_model import OpenAIModel

    model = OpenAIModel(
        base_url=settings.llm_base_url,
        api_key=settings.model_api_key.get_secret_value(),
        model=settings.llm_model,
    )
    stack.push_async_callback(model.aclose)
    return model


def _user_agent(settings: Settings) -> str:
    contact = settings.user_agent_contact
    return f"RelevanceSearch/{version(APP_NAME)}" + (f" (+{contact})" if contact else "")
