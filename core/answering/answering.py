"""The order of the stages: a question in, progress and drafts on the way, exactly one answer out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog

from core.answering.prompt import build_sources
from core.answering.writing import Show, Writing
from core.asking.planning import Planning
from core.asking.query import SearchPlan
from core.asking.smalltalk import small_talk
from core.errors import EmbeddingFailed, SearchUnavailable
from core.ports import Embedder
from core.ranking.fusion import embed_budget, select
from core.ranking.ranking import Ranking
from core.reading.passages import split_page
from core.reading.reading import Reading, ReadPages, StartRead
from core.resilience.deadline import Deadline
from core.searching.search import Search, SearchResults
from core.tracing import Trace
from core.types import (
    Answer,
    Notice,
    NoticeKind,
    Outcome,
    Page,
    PageKind,
    Passage,
    Progress,
    Question,
    Stage,
)

log = structlog.get_logger(__name__)

_EMBEDDING_SHARE: Final = 1 / 450
"""Of the time a question has left: the 58 s that most have once their pages are read buy the normal."""

_NOTHING_SEARCHED = SearchResults(hits=(), provider="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """unavailable: all engines failed."""

    results: SearchResults
    unavailable: SearchUnavailable | None


class Answering:
    def __init__(
        self,
        *,
        planning: Planning,
        search: Search,
        reading: Reading,
        embedder: Embedder,
        ranking: Ranking,
        writing: Writing,
    ) -> None:
        self._planning = planning
        self._search = search
        self._reading = reading
        self._embedder = embedder
        self._ranking = ranking
        self._writing = writing

    async def answer(self, question: Question, *, show: Show, deadline: Deadline, trace: Trace) -> Answer:
        """Every failure outside ends in an Answer that says so; past its limit the caller cancels."""
        if kind := small_talk(question.text):
            return _ended(Outcome.ANSWERED, kind)
        async with self._reading.question() as start:
            return await self._answer(question, start, show, deadline, trace)

    async def _answer(
        self, question: Question, start: StartRead, show: Show, deadline: Deadline, trace: Trace
    ) -> Answer:
        show(Progress(stage=Stage.SEARCHING))
        plan = await self._planning.plan(question, deadline=deadline, trace=trace)
        with trace.stage("searching"):
            found = await self._find(plan, deadline)
        trace.count(hits=len(found.results.hits), search_provider=found.results.provider)
        if not found.results.hits and not plan.urls:
            return _nothing_to_read(found)
        with trace.stage("reading"):
            read, passages = await self._read(plan, found, start, show, deadline)
        trace.count(pages_read=len(read.pages), pages_skipped=len(read.skipped), passages=len(passages))
        trace.count(pages_recalled=len(read.recalled))
        if not read.pages:
            return _ended(Outcome.NOTHING_FOUND, NoticeKind.NO_READABLE_PAGE)
        show(Progress(stage=Stage.RANKING))
        with trace.stage("ranking"):
            budget = embed_budget(deadline.remaining_s() * _EMBEDDING_SHARE)
            ranked = await self._ranking.rank(plan.asked, passages, embed_limit=budget)
            sources = build_sources(select(ranked.passages), {page.url: page for page in read.pages})
        trace.count(passages_embedded=ranked.embedded)
        show(Progress(stage=Stage.WRITING))
        with trace.stage("writing"):
            return await self._writing.write(
                question,
                sources,
                _notices(plan, found, read),
                asked=plan.asked,
                show=show,
                deadline=deadline,
                trace=trace,
            )

    async def _find(self, plan: SearchPlan, deadline: Deadline) -> _Found:
        """The hits. The question is embedded meanwhile: ranking will find its vector remembered."""
        async with asyncio.TaskGroup() as group:
            searching = group.create_task(self._search_for(plan.query, deadline))
            embedding = group.create_task(self._embed(plan.asked))
            results, unavailable = await searching
            embedding.cancel()
        return _Found(results=results, unavailable=unavailable)

    async def _search_for(
        self, query: str, deadline: Deadline
    ) -> tuple[SearchResults, SearchUnavailable | None]:
        if not query:
            return _NOTHING_SEARCHED, None
        try:
            return await self._search.search(query, deadline=deadline), None
        except SearchUnavailable as failure:
            return _NOTHING_SEARCHED, failure

    async def _embed(self, text: str) -> None:
        try:
            await self._embedder.embed([text])
        except EmbeddingFailed as failure:
            log.warning("question.not_embedded", detail=str(failure))

    async def _read(
        self, plan: SearchPlan, found: _Found, start: StartRead, show: Show, deadline: Deadline
    ) -> tuple[ReadPages, list[Passage]]:
        """The pages, and their passages in the same order: those likely to matter are embedded meanwhile."""
        async with asyncio.TaskGroup() as group:
            intake = _Intake(plan.asked, self._ranking, show, group)
            read = await self._reading.read(
                found.results.hits,
                asked_urls=plan.urls,
                start=start,
                deadline=deadline,
                watcher=intake,
                kept_hits=found.results.kept,
            )
            passages = await intake.passages(read.pages)
        return read, passages


class _Intake:
    """Splits pages as they arrive, and lets the ranking look at them before the last one has come."""

    def __init__(self, question: str, ranking: Ranking, show: Show, group: asyncio.TaskGroup) -> None:
        self._question = question
        self._ranking = ranking
        self._show = show
        self._group = group
        self._splitting: dict[Page, asyncio.Task[tuple[Passage, ...]]] = {}
        self._anticipating: list[asyncio.Task[None]] = []

    def counted(self, done: int, started: int) -> None:
        self._show(Progress(stage=Stage.READING, done=done, total=started))

    def arrived(self, page: Page) -> None:
        self._split(page)
        self._anticipating.append(self._group.create_task(self._anticipate(page)))

    def _split(self, page: Page) -> asyncio.Task[tuple[Passage, ...]]:
        if page not in self._splitting:
            self._splitting[page] = self._group.create_task(asyncio.to_thread(split_page, page))
        return self._splitting[page]

    async def _anticipate(self, page: Page) -> None:
        await self._ranking.anticipate(self._question, await self._split(page))

    async def passages(self, pages: Sequence[Page]) -> list[Passage]:
        """Of these pages, in their order. What is not anticipated by now, the ranking does itself."""
        splitting = [self._split(page) for page in pages]
        found = [passage for task in splitting for passage in await task]
        for task in self._anticipating:
            task.cancel()
        return found


def _nothing_to_read(found: _Found) -> Answer:
    if found.unavailable:
        return _ended(Outcome.FAILED, NoticeKind.SEARCH_FAILED, str(found.unavailable))
    notices = (Notice(kind=NoticeKind.NO_HITS), *_skipped_notices(found.results))
    return Answer(outcome=Outcome.NOTHING_FOUND, notices=notices)


def _ended(outcome: Outcome, kind: NoticeKind, detail: str = "") -> Answer:
    return Answer(outcome=outcome, notices=(Notice(kind=kind, detail=detail),))


def _notices(plan: SearchPlan, found: _Found, read: ReadPages) -> tuple[Notice, ...]:
    """What a reader should know of how the sources were come by."""
    results = found.results
    notices = _kept_notices(results, read) if results.kept else _skipped_notices(results)
    if found.unavailable:
        notices.append(Notice(kind=NoticeKind.SEARCH_FAILED, detail=str(found.unavailable)))
    notices += [
        Notice(kind=NoticeKind.URL_UNREADABLE, detail=urlsplit(skipped.url).hostname or "")
        for skipped in read.skipped
        if skipped.url in plan.urls
    ]
    if all(page.kind is PageKind.SNIPPET for page in read.pages):
        notices.append(Notice(kind=NoticeKind.SNIPPETS_ONLY))
    return tuple(notices)


def _skipped_notices(results: SearchResults) -> list[Notice]:
    """Which engines could not be asked, and which one stood in for them: one line for all."""
    if not results.skipped:
        return []
    failed = "; ".join(map(str, results.skipped))
    if results.remembered:
        return [Notice(kind=NoticeKind.SEARCH_REMEMBERED, detail=failed)]
    instead = f"; results are from {results.provider}" if results.hits else ""
    return [Notice(kind=NoticeKind.SEARCH_SKIPPED, detail=failed + instead)]


def _kept_notices(results: SearchResults, read: ReadPages) -> list[Notice]:
    """That no engine answered, where one was asked, and how old the pages are that did."""
    days = sorted({kept.read_at.date().isoformat() for kept in read.recalled.values()})
    detail = f"read {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    failed = "; ".join(map(str, results.skipped))
    failures = [Notice(kind=NoticeKind.SEARCH_FAILED, detail=failed)] if failed else []
    return [*failures, Notice(kind=NoticeKind.FROM_LIBRARY, detail=detail)]
