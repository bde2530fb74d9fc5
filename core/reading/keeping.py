"""What is read is kept, after the answer; what was kept a moment ago is not fetched again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import structlog

from core.errors import LibraryFailed
from core.ports import Clock, PageStore, RememberingEmbedder
from core.reading.ageing import FRESH
from core.reading.passages import split_page
from core.reading.shared_pages import SharedPages
from core.types import KeptPage, Passage

log = structlog.get_logger(__name__)

RECALL_LIMIT_S: Final = 0.25
"""For looking pages up, while nothing is fetched yet: it takes 3 ms, or it isn't worth it."""

WRITE_LIMIT_S: Final = 120.0
"""For one write with the merging after it, which takes a second: by then the library hangs, and says so."""

FLUSH_LIMIT_S: Final = 3.0
"""For the last write of a process that ends."""

MAX_WAITING: Final = 200
"""Pages, some 30 kB each: what is over when a crowd of questions never pauses is not kept."""

HELD_BACK_S: Final = 30.0
"""After which pages are written though questions are still in work."""

TENDED_EVERY_S: Final = 3600.0


class Keeping:
    """`run` writes; without it nothing is kept until `flush`. Belongs to one event loop.

    shared: what other processes read; None where there are none.
    """

    def __init__(
        self,
        library: PageStore,
        embedder: RememberingEmbedder,
        clock: Clock,
        *,
        shared: SharedPages | None = None,
        fresh: timedelta = FRESH,
    ) -> None:
        self._library = library
        self._shared = shared
        self._embedder = embedder
        self._clock = clock
        self._fresh = fresh
        self._waiting: dict[str, KeptPage] = {}
        self._noted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._questions = 0

    async def recall(self, urls: Sequence[str]) -> Mapping[str, KeptPage]:
        """What was read of these before, by the URL asked for. A library that fails has nothing."""
        waiting = [page for page in self._waiting.values() if page.requested_url in urls]
        kept = [*await self._in_library(urls), *waiting]
        by_url = {page.requested_url: page for page in kept} | {page.page.url: page for page in kept}
        known = {url: by_url[url] for url in urls if url in by_url}
        stale = [url for url in urls if url not in known or not self.is_fresh(known[url])]
        if self._shared and stale:
            known |= await self._shared.get(stale)
        return known

    async def _in_library(self, urls: Sequence[str]) -> Sequence[KeptPage]:
        try:
            async with asyncio.timeout(RECALL_LIMIT_S):
                return await self._library.pages(urls)
        except (LibraryFailed, TimeoutError) as error:
            log.warning("library.not_asked", reason=str(error) or "took too long")
            return ()

    def is_fresh(self, kept: KeptPage) -> bool:
        return self._clock.now() - kept.read_at < self._fresh

    def note(self, page: KeptPage) -> None:
        """To be kept later, in one write with all that has come by then."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting[page.page.url] = page
            self._noted.set()

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """While a question is in work, its pages wait: the write would take time from the answer."""
        self._questions += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                self._idle.set()

    async def run(self) -> None:
        """Writes, ages and compacts, one after the other, until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(TENDED_EVERY_S):
                    await self._noted.wait()
                async with asyncio.timeout(HELD_BACK_S):
                    await self._idle.wait()
            except TimeoutError:
                pass
            await self._write_within(WRITE_LIMIT_S)

    async def flush(self) -> None:
        """The last write before the end, in FLUSH_LIMIT_S or not at all."""
        if self._waiting:
            await self._write_within(FLUSH_LIMIT_S)

    async def _write_within(self, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._write()
        except TimeoutError:
            log.warning("pages.not_kept", reason="took too long")

    async def _write(self) -> None:
        """Cancelled, it leaves all pages waiting: written twice is better than not at all."""
        batch = dict(self._waiting)
        self._noted.clear()
        if self._shared and batch:
            await self._shared.put(list(batch.values()))
        try:
            if batch:
                await self.keep(list(batch.values()))
            await self._library.maintain()
        except LibraryFailed as failure:
            log.warning("pages.not_kept", pages=len(batch), reason=str(failure))
        self._waiting = {url: page for url, page in self._waiting.items() if batch.get(url) is not page}

    async def keep(self, pages: Sequence[KeptPage]) -> None:
        """At once. With the vectors that their passages have by now. Raises LibraryFailed."""
        passages = await asyncio.to_thread(_passages, pages)
        vectors = self._embedder.remembered([passage.embedded_text for passage in passages])
        await self._library.keep(pages, passages, vectors)
        log.info("pages.kept", pages=len(pages), passages=len(passages), vectors=len(vectors))


def _passages(pages: Sequence[KeptPage]) -> list[Passage]:
    return [passage for kept in pages for passage in split_page(kept.page)]
