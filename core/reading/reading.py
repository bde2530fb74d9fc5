"""Pages read side by side, until there are enough."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from core.errors import PageFailed, PageFailure
from core.ports import Extractor, Fetcher
from core.resilience import Deadline
from core.types import Page, PageKind, SearchHit

log = structlog.get_logger(__name__)


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
    """pages: in the order of the hits, so that reading speed decides nothing."""

    pages: tuple[Page, ...]
    skipped: tuple[SkippedPage, ...]


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


class Reading:
    def __init__(self, fetcher: Fetcher, extractor: Extractor, limits: ReadingLimits | None = None) -> None:
        self._fetcher = fetcher
        self._extractor = extractor
        self._limits = limits or ReadingLimits()

    async def read(
        self,
        hits: Sequence[SearchHit],
        *,
        asked_urls: Sequence[str],
        deadline: Deadline,
        watcher: ReadingWatcher,
    ) -> ReadPages:
        """The pages behind the asked URLs and the hits; for a hit whose page failed, its snippet.

        One unreadable page never fails the others.
        """
        asked = tuple(dict.fromkeys(asked_urls))
        urls = tuple(dict.fromkeys([*asked, *(hit.url for hit in hits)]))
        urls = urls[: max(self._limits.max_started, len(asked))]
        tally = await self._gather(urls, asked, deadline, watcher)
        for url in urls:
            if url not in tally.pages:
                tally.skipped.setdefault(url, PageFailure.TIMEOUT)
        pages = {**_snippets(hits, tally.skipped), **tally.pages}
        skipped = (SkippedPage(url=url, reason=reason) for url, reason in tally.skipped.items())
        return ReadPages(pages=tuple(pages[url] for url in urls if url in pages), skipped=tuple(skipped))

    async def _gather(
        self, urls: Sequence[str], asked: Sequence[str], deadline: Deadline, watcher: ReadingWatcher
    ) -> _Tally:
        tally = _Tally()
        results: asyncio.Queue[tuple[str, Page | PageFailure]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read_one(url, results)) for url in urls]
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
            for task in tasks:
                task.cancel()
        return tally

    async def _read_one(self, url: str, results: asyncio.Queue[tuple[str, Page | PageFailure]]) -> None:
        result: Page | PageFailure
        try:
            result = await self._extractor.extract(await self._fetcher.fetch(url))
        except PageFailed as failure:
            log.info("page.skipped", reason=failure.reason.value, detail=str(failure))
            result = failure.reason
        results.put_nowait((url, result))


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
