"""250 questions in one process: what becomes of its memory and of the library's files.

    python -m benchmarks.soak_library [QUESTIONS]

Each question finds ten pages of some 1,000 words, eight of which nobody asked for before, and goes through
every stage but the network: search and fetching are in memory, extraction, ranking, embedding and LanceDB are
real. Then: by how much memory grew, what a write costs, what a page takes on disk, and hybrid search over
30,000 passages.

Growth is that of the process's own memory, a line fitted through all questions but the first 50, while which
code and caches fill. Not counted are the pages of its libraries' files: of these the kernel counts more the
more code has run, and fewer while another process has them too.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing, closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import platformdirs
import structlog

from benchmarks.growth import growth, memory_mb
from bot.memory import keep_memory_flat
from bot.settings import APP_NAME
from core.answering.answering import Answering
from core.answering.extractive import ExtractiveAnswer
from core.answering.writing import Writing
from core.asking.planning import Planning
from core.providers.embedding.local import LocalEmbedder
from core.providers.storage.lance import LanceLibrary
from core.providers.storage.lance_pages import LancePageStore, ShelfLimits
from core.providers.storage.memory import MemoryLibrary
from core.providers.storage.memory_store import MemoryStore
from core.providers.system_clock import SystemClock
from core.providers.web.extractor import ChildExtractor
from core.ranking.ranking import Ranking
from core.ranking.recalling import RecallingEmbedder
from core.reading.keeping import Keeping
from core.reading.passages import split_page
from core.reading.reading import Reading
from core.resilience.deadline import Deadline
from core.searching.engines import Engine
from core.searching.library import LibrarySearch
from core.searching.remembering import SearchMemory
from core.searching.search import Search
from core.tracing import Trace
from core.types import AskerId, Document, KeptPage, Page, PageKind, Question, SearchHit, Vectors

PAGE_WORDS = 1_000
PAGES_A_QUESTION = 10
NEW_PAGES = 8
WARM_AFTER = 50
"""Questions."""


class SyntheticWeb:
    """A SearchProvider and a Fetcher: pages made of their number, in words as frequent as in a language."""

    name = "Synthetic"

    def __init__(self) -> None:
        chooser = random.Random(0)
        syllables = ["ka", "lo", "mi", "ter", "san", "du", "ver", "pol", "en", "ris", "tu", "ga"]
        self._words = ["".join(chooser.choices(syllables, k=chooser.randint(1, 4))) for _ in range(20_000)]
        self._first = 0

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        numbers = range(self._first, self._first + PAGES_A_QUESTION)
        self._first += NEW_PAGES
        return [
            SearchHit(url=f"https://example.org/{number}", title="", snippet="", provider=self.name)
            for number in numbers
        ]

    async def fetch(self, url: str) -> Document:
        title, text = self.page(int(url.rpartition("/")[2]))
        body = f"<title>{title}</title><article><p>{text}</p></article>".encode()
        return Document(url=url, media_type="text/html", body=body, charset="utf-8")

    async def refetch(self, kept: KeptPage) -> Document | None:
        return await self.fetch(kept.requested_url)

    def page(self, number: int) -> tuple[str, str]:
        chooser = random.Random(number)
        words = [self._word(chooser) for _ in range(PAGE_WORDS)]
        sentences = [" ".join(words[start : start + 15]).capitalize() for start in range(0, PAGE_WORDS, 15)]
        return " ".join(words[:6]), ". ".join(sentences) + "."

    def question(self, number: int) -> str:
        chooser = random.Random(-number)
        return " ".join(self._word(chooser) for _ in range(6)) + "?"

    def _word(self, chooser: random.Random) -> str:
        return self._words[min(int(chooser.paretovariate(0.6)), len(self._words) - 1)]


async def soak(directory: Path, questions: int) -> None:
    web, clock = SyntheticWeb(), SystemClock()
    local = LocalEmbedder(cache_dir=platformdirs.user_cache_path(APP_NAME))
    scoring = LanceLibrary(directory / "scoring")
    pages = LancePageStore(str(directory / "library"), model=local.model, clock=clock)
    embedder = RecallingEmbedder(local, pages)
    keeping = Keeping(pages, embedder, clock)
    with closing(local):
        async with aclosing(scoring), aclosing(pages), ChildExtractor(children=1) as extractor:
            answering = Answering(
                planning=Planning(None),
                search=Search(
                    [Engine.guarded(web, clock)],
                    memory=SearchMemory(MemoryStore(clock), clock),
                    library=LibrarySearch(pages, embedder),
                ),
                reading=Reading(web, extractor, keeping, clock),
                embedder=embedder,
                ranking=Ranking(library=scoring, fallback=MemoryLibrary(), embedder=embedder),
                writing=Writing(None, ExtractiveAnswer(embedder)),
            )
            writes_ms: list[float] = []
            own_mb: list[float] = []
            for number in range(1, questions + 1):
                question = Question(
                    id=str(number),
                    text=web.question(number),
                    asker=AskerId("soak"),
                    platform="soak",
                    asked_at=datetime.now(UTC),
                )
                deadline = Deadline.after(30)
                await answering.answer(question, show=lambda _: None, deadline=deadline, trace=Trace())
                started_s = time.perf_counter()
                await keeping.flush()
                writes_ms.append((time.perf_counter() - started_s) * 1000)
                own_mb.append(memory_mb("RssAnon"))
                if number % 25 == 0 or number == 1:
                    _report(number, directory / "library")
        _report_growth(own_mb)
        writes_ms.sort()
        print(
            f"write after a question: median {statistics.median(writes_ms):.0f} ms, "
            f"95th percentile {writes_ms[int(len(writes_ms) * 0.95)]:.0f}, longest {writes_ms[-1]:.0f}"
        )


async def search_30k(directory: Path) -> None:
    web, clock = SyntheticWeb(), SystemClock()
    chance = np.random.default_rng(0)
    limits = ShelfLimits(max_fragments=2, max_bytes=10**9)
    store = LancePageStore(str(directory / "large"), model="none", clock=clock, limits=limits)
    async with aclosing(store) as pages:
        count = 0
        for start in range(0, 3_000, 250):
            kept = [_kept(web, number, clock.now()) for number in range(start, start + 250)]
            passages = [passage for each in kept for passage in split_page(each.page)][: 30_000 - count]
            rows = _unit(chance.standard_normal((len(passages), 384)))
            vectors = {passage.embedded_text: row for passage, row in zip(passages, rows, strict=True)}
            await pages.keep(kept, passages, vectors)
            count += len(passages)
        await pages.maintain()
        times_ms = []
        for number in range(40):
            vector = _unit(chance.standard_normal((1, 384)))
            started_s = time.perf_counter()
            await pages.find(web.question(number), vector, limit=32)
            times_ms.append((time.perf_counter() - started_s) * 1000)
        print(
            f"hybrid search over {count} passages: median {statistics.median(times_ms):.1f} ms, "
            f"longest {max(times_ms):.1f}; on disk {_size(directory / 'large') / 1e6:.0f} MB"
        )


def _kept(web: SyntheticWeb, number: int, read_at: datetime) -> KeptPage:
    title, text = web.page(number)
    page = Page(url=f"https://example.org/{number}", title=title, text=text, kind=PageKind.HTML)
    return KeptPage(page=page, requested_url=page.url, read_at=read_at)


def _unit(rows: npt.NDArray[np.float64]) -> Vectors:
    normal: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return normal


def _report(number: int, library: Path) -> None:
    files = sum(path.is_file() for path in library.rglob("*"))
    print(
        f"{number:4} questions: {memory_mb('VmRSS'):.0f} MB resident, {memory_mb('RssAnon'):.0f} its own, "
        f"library {_size(library) / 1e6:.1f} MB in {files} files",
        flush=True,
    )


def _report_growth(own_mb: Sequence[float]) -> None:
    """own_mb: after each question."""
    warm = own_mb[WARM_AFTER:]
    if len(warm) < 2:
        return
    rose = growth(warm)
    print(
        f"growth after question {WARM_AFTER}: {rose.by:+.1f} MB in {len(warm)} questions, "
        f"around which it strays by {rose.strays:.1f}, at most {rose.most:.1f}"
    )


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def main() -> None:
    keep_memory_flat()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    questions = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    with TemporaryDirectory(prefix="relevancesearch-soak-") as directory:
        asyncio.run(soak(Path(directory), questions))
        asyncio.run(search_30k(Path(directory)))


if __name__ == "__main__":
    main()
