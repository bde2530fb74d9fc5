"""Pages read side by side, until there are enough; those that come later are only kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import structlog

from core.errors import PageFailed, PageFailure
from core.ports import Clock, Extractor, Fetcher
from core.reading.keeping import Keeping
from core.resilience.deadline import Deadline
from core.resilience.flights import Flights
from core.types import Document, KeptPage, Page, PageKind, SearchHit

log = structlog.get_logger(__name__)

StartRead = Callable[[Coroutine[None, None, None]], None]
"""Begins a read that may go on until its question has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLimits:
    """When to stop waiting.

    Twelve pages started, the first seven and those within another 150 ms taken, and 2.5 s at most:
    over 20,000 simulated questions with web-like latencies this took .86 s at the median and 1.3 s at
    the 90th percentile, where waiting for ten took 3.0 and 8.0.

    asked_s: for pages the asker named; they are waited for whatever the others do.
    """

    max_started: int = 12
    enough_pages: int = 7
    grace_s: float = 0.15
    cap_s: float = 2.5
    asked_s: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedPage:
    url: str
    reason: PageFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPages:
    """pages: in the order of the hits, so that reading speed decides nothing.

    recalled: those that were not fetched but came from the library, by the URL asked for.
    """

    pages: tuple[Page, ...]
    skipped: tuple[SkippedPage, ...]
    recalled: Mapping[str, KeptPage]


class ReadingWatcher(Protocol):
    """Told of each page as it comes; must not block."""

    def counted(self, done: int, started: int) -> None: ...

    def arrived(self, page: Page) -> None: ...


@dataclass(slots=True)
class _Tally:
    """What has come back so far, by URL."""

    pages: dict[str, Page] = field(default_factory=dict)
    skipped: dict[str, PageFailure] = field(default_factory=dict)

    def add(self, url: str, result: Page | PageFailure) -> None:
        if isinstance(result, Page):
            self.pages[url] = result
        else:
            self.skipped[url] = result

    @property
    def done(self) -> int:
        return len(self.pages) + len(self.skipped)


class ClosedWeb:
    """A Fetcher for when only the library is asked."""

    async def fetch(self, url: str) -> Document:
        raise PageFailed(PageFailure.UNREACHABLE, "the web was not to be asked")

    async def refetch(self, kept: KeptPage) -> Document | None:
        return await self.fetch(kept.requested_url)


class Reading:
    def __init__(
        self,
        fetcher: Fetcher,
        extractor: Extractor,
        keeping: Keeping,
        clock: Clock,
        limits: ReadingLimits | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._extractor = extractor
        self._keeping = keeping
        self._clock = clock
        self._limits = limits or ReadingLimits()
        self._reads: Flights[KeptPage] = Flights()

    @asynccontextmanager
    async def question(self) -> AsyncGenerator[StartRead]:
        """Around a question's whole work: ends the reads that are still going on when it has its answer."""
        with self._keeping.held_back():
            async with asyncio.TaskGroup() as group:
                tasks: list[asyncio.Task[None]] = []
                try:
                    yield lambda work: tasks.append(group.create_task(work))
                finally:
                    for task in tasks:
                        task.cancel()

    async def read(
        self,
        hits: Sequence[SearchHit],
        *,
        asked_urls: Sequence[str],
        start: StartRead,
        deadline: Deadline,
        watcher: ReadingWatcher,
        kept_hits: bool = False,
    ) -> ReadPages:
        """The pages behind the asked URLs and the hits; for a hit whose page failed, its snippet.

        One unreadable page never fails the others. Fresh pages come from the library.
        kept_hits: the hits are the library's, and their pages are taken however old they are.
        """
        asked = tuple(dict.fromkeys(asked_urls))
        urls = tuple(dict.fromkeys([*asked, *(hit.url for hit in hits)]))
        urls = urls[: max(self._limits.max_started, len(asked))]
        # What a person names may be for their eyes, and they want it as it is now: neither kept nor recalled.
        kept = await self._keeping.recall([url for url in urls if url not in asked])
        taken = {url: page for url, page in kept.items() if kept_hits or self._keeping.is_fresh(page)}
        results: asyncio.Queue[tuple[str, Page | PageFailure]] = asyncio.Queue()
        for url in urls:
            if url in taken:
                results.put_nowait((url, taken[url].page))
            else:
                start(self._read_one(url, kept.get(url), results, keep=url not in asked))
        tally = await self._gather(results, urls, asked, deadline, watcher)
        for url in urls:
            if url not in tally.pages:
                tally.skipped.setdefault(url, PageFailure.TIMEOUT)
        pages = {**_snippets(hits, tally.skipped), **tally.pages}
        skipped = (SkippedPage(url=url, reason=reason) for url, reason in tally.skipped.items())
        return ReadPages(
            pages=tuple(pages[url] for url in urls if url in pages),
            skipped=tuple(skipped),
            recalled=taken,
        )

    async def _gather(
        self,
        results: asyncio.Queue[tuple[str, Page | PageFailure]],
        urls: Sequence[str],
        asked: Sequence[str],
        deadline: Deadline,
        watcher: ReadingWatcher,
    ) -> _Tally:
        tally = _Tally()
        watcher.counted(0, len(urls))
        wait = _Patience(self._limits, asked, deadline)
        while tally.done < len(urls) and (left_s := wait.left_s(tally)) > 0:
            try:
                async with asyncio.timeout(left_s):
                    url, result = await results.get()
            except TimeoutError:
                continue
            tally.add(url, result)
            if isinstance(result, Page):
                watcher.arrived(result)
            watcher.counted(tally.done, len(urls))
        return tally

    async def _read_one(
        self,
        url: str,
        old: KeptPage | None,
        results: asyncio.Queue[tuple[str, Page | PageFailure]],
        *,
        keep: bool,
    ) -> None:
        """old: what the library has of it, which has to be asked for anew."""
        try:
            new = await self._reads.share(url, partial(self._live, url, old))
        except PageFailed as failure:
            log.info("page.skipped", reason=failure.reason.value, detail=str(failure))
            results.put_nowait((url, failure.reason))
            return
        results.put_nowait((url, new.page))
        if keep:
            self._keeping.note(new)

    async def _live(self, url: str, old: KeptPage | None) -> KeptPage:
        """As it is now, whether it had to be sent again or not. Raises PageFailed."""
        if old is None:
            document = await self._fetcher.fetch(url)
        elif (changed := await self._fetcher.refetch(old)) is None:
            return replace(old, read_at=self._clock.now())
        else:
            document = changed
        page = await self._extractor.extract(document)
        return KeptPage(
            page=page, requested_url=url, read_at=self._clock.now(), validators=document.validators
        )


class _Patience:
    """How much longer the next page is waited for."""

    def __init__(self, limits: ReadingLimits, asked: Sequence[str], deadline: Deadline) -> None:
        self._limits = limits
        self._asked = asked
        self._until = Deadline.after(min(limits.cap_s, deadline.remaining_s()))
        self._asked_until = Deadline.after(min(limits.asked_s, deadline.remaining_s()))
        self._enough_until: Deadline | None = None

    def left_s(self, tally: _Tally) -> float:
        if any(url not in tally.pages and url not in tally.skipped for url in self._asked):
            return self._asked_until.remaining_s()
        if len(tally.pages) < self._limits.enough_pages:
            return self._until.remaining_s()
        if self._enough_until is None:
            self._enough_until = Deadline.after(self._limits.grace_s)
        return min(self._until.remaining_s(), self._enough_until.remaining_s())


def _snippets(hits: Sequence[SearchHit], skipped: dict[str, PageFailure]) -> dict[str, Page]:
    """Stand-ins by URL. An address the guard refused is not even shown."""
    return {
        hit.url: Page(
            url=hit.url, title=hit.title, text=hit.snippet, kind=PageKind.SNIPPET, published=hit.published
        )
        for hit in hits
        if hit.snippet and skipped.get(hit.url, PageFailure.BLOCKED) is not PageFailure.BLOCKED
    }
