"""The composition root: settings in, a service that answers questions out.

Everything that holds a connection, a thread or a child is opened here, once, and closed by one exit stack.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from bot.demo.search import DemoSearch
from bot.demo.web import DemoWeb
from bot.embedders import Embedders, local_embedder, open_embedders
from bot.limits import NORMAL, Limits
from bot.models import Models, open_models
from bot.search_engines import open_providers
from bot.settings import APP_NAME, Settings
from bot.stores import Stores, open_stores
from core.answering.answering import Answering
from core.answering.extractive import ExtractiveAnswer
from core.answering.writing import Writing
from core.asking.limits import Admission, QuotaRules
from core.asking.line import Line
from core.asking.planning import Planning
from core.errors import DependencyError
from core.ports import Clock
from core.providers.storage.lance import LanceLibrary
from core.providers.storage.memory import MemoryLibrary
from core.providers.storage.memory_store import MemoryStore
from core.providers.system_clock import SystemClock
from core.providers.web.extractor import ChildExtractor
from core.providers.web.fetcher import WebFetcher
from core.ranking.ranking import Ranking
from core.reading.ageing import FRESH
from core.reading.keeping import Keeping
from core.reading.reading import ClosedWeb, Reading
from core.reading.shared_pages import SharedPages
from core.reading.urls import AddressPolicy
from core.searching.engines import Engine
from core.searching.library import LibrarySearch
from core.searching.remembering import SearchMemory
from core.searching.search import Search
from core.service import QuestionService
from core.types import AskerId

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the commands use. line: before the service. engines: in the order they are asked."""

    service: QuestionService
    clock: Clock
    line: Line
    stores: Stores
    engines: Sequence[Engine]
    models: Models
    embedders: Embedders
    scoring: LanceLibrary
    keeping: Keeping
    fetcher: WebFetcher
    extractor: ChildExtractor


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    demo: bool = False,
    library_only: bool = False,
    limits: Limits = NORMAL,
    loopback_ports: frozenset[int] = frozenset(),
) -> AsyncIterator[App]:
    """Everything a question needs; over the bundled web where `demo` is set, over none for the library's.

    loopback_ports: where pages of this machine may be read, which only tests ask for.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(DemoWeb()) if demo else None
        providers = [DemoSearch(web)] if web else await open_providers(settings, limits, clock, stack)
        engines = [] if library_only else [Engine.guarded(provider, clock) for provider in providers]
        stores = await stack.enter_async_context(open_stores(settings, clock))
        # What the bundled web answers is not for the real one's questions.
        cache = MemoryStore(clock) if demo else stores.cache
        models = open_models(settings, limits, clock, stores.lasting, stack)
        fetcher = _fetcher(settings, limits, loopback_ports | ({web.port} if web else set()), stack)
        extractor = await stack.enter_async_context(
            ChildExtractor(children=settings.extraction_child_count())
        )
        embedders = open_embedders(settings, limits, clock, cache, stack)
        # Apart from the pages: it is broken more easily, and it has to be fast wherever those are.
        scoring = LanceLibrary(settings.cache_dir / "scoring")
        stack.push_async_callback(scoring.aclose)
        keeping = Keeping(
            embedders.pages, embedders.recalling, clock, shared=None if demo else _shared_pages(stores)
        )
        stack.push_async_callback(keeping.flush)
        # The first question's search and reading take longer than preparing does.
        preparing = (_warmed(what.prepare) for what in (scoring, embedders.pages))
        await stack.enter_async_context(_beside(*preparing, _local_prepared(embedders), keeping.run()))
        reading = Reading(ClosedWeb() if library_only else fetcher, extractor, keeping, clock, limits.reading)
        answering = _answering(
            engines, reading, embedders, scoring, models, SearchMemory(cache, clock), limits
        )
        line = Line()
        yield App(
            service=_service(settings, limits, answering, stores, models, line, clock),
            clock=clock,
            line=line,
            stores=stores,
            engines=engines,
            models=models,
            embedders=embedders,
            scoring=scoring,
            keeping=keeping,
            fetcher=fetcher,
            extractor=extractor,
        )


def _shared_pages(stores: Stores) -> SharedPages | None:
    return SharedPages(stores.shared, fresh_s=FRESH.total_seconds()) if stores.shared else None


def _answering(
    engines: Sequence[Engine],
    reading: Reading,
    embedders: Embedders,
    scoring: LanceLibrary,
    models: Models,
    memory: SearchMemory,
    limits: Limits,
) -> Answering:
    search = Search(
        engines,
        memory=memory,
        library=LibrarySearch(embedders.pages, embedders.recalling),
        provider_s=limits.engine_s,
    )
    return Answering(
        planning=Planning(models.model, limit_s=limits.query_s),
        search=search,
        reading=reading,
        embedder=embedders.recalling,
        ranking=Ranking(library=scoring, fallback=MemoryLibrary(), embedder=embedders.comparing),
        writing=Writing(models.model, ExtractiveAnswer(*embedders.in_turn)),
    )


def _service(
    settings: Settings,
    limits: Limits,
    answering: Answering,
    stores: Stores,
    models: Models,
    line: Line,
    clock: Clock,
) -> QuestionService:
    admission = Admission(
        stores.rate_limiter,
        max_question_chars=settings.max_question_chars,
        rules=QuotaRules(
            per_minute=settings.questions_per_minute,
            per_day=settings.questions_per_day,
            channel_per_hour=settings.channel_questions_per_hour,
            workspace_per_day=settings.workspace_questions_per_day,
        ),
        exempt=frozenset(map(AskerId, settings.admins)),
        budget_left=lambda: _budget_left(models, settings),
    )
    return QuestionService(
        admission=admission,
        answering=answering,
        clock=clock,
        line=line,
        question_s=limits.question_s,
        final_draw_s=limits.final_draw_s,
    )


async def _budget_left(models: Models, settings: Settings) -> float | None:
    """As in Allowance: of tokens or dollars, whichever is scarcer."""
    left = await models.budget.left()
    if left is None:
        return None
    per_day = ((left.tokens, settings.llm_tokens_per_day), (left.usd, settings.llm_usd_per_day))
    return min(amount / limit for amount, limit in per_day if amount is not None)


async def prepare_embedding(settings: Settings) -> None:
    """Raises EmbeddingFailed."""
    with closing(local_embedder(settings)) as embedder:
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


async def _warmed(prepare: Callable[[], Awaitable[None]]) -> None:
    try:
        await prepare()
    except DependencyError as failure:
        log.warning("preparation.failed", reason=str(failure))


async def _local_prepared(embedders: Embedders) -> None:
    await embedders.local_wanted.wait()
    await _warmed(embedders.local.prepare)


def _fetcher(
    settings: Settings, limits: Limits, loopback_ports: frozenset[int], stack: AsyncExitStack
) -> WebFetcher:
    fetcher = WebFetcher(
        user_agent=_user_agent(settings),
        policy=AddressPolicy(loopback_ports=loopback_ports),
        limits=limits.fetch,
        respect_robots=settings.respect_robots,
    )
    stack.push_async_callback(fetcher.aclose)
    return fetcher


def _user_agent(settings: Settings) -> str:
    contact = settings.user_agent_contact
    return f"RelevanceSearch/{version(APP_NAME)}" + (f" (+{contact})" if contact else "")
