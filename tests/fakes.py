"""One fake per port: whole implementations, scripted or in memory, that pass the port's contract suite."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from core.errors import (
    EmbeddingFailed,
    LibraryFailed,
    ModelFailed,
    PageFailed,
    PageFailure,
    SearchFailed,
    StoreFailed,
    SurfaceFailed,
)
from core.ports import Clock, SearchProvider
from core.reading.keeping import Keeping
from core.searching.engines import Engine
from core.searching.remembering import SearchMemory
from core.searching.search import Search
from core.types import (
    Answer,
    AnswerEvent,
    Completion,
    Deferred,
    Document,
    FinishReason,
    FoundPassage,
    KeptPage,
    Page,
    PageKind,
    Passage,
    Prompt,
    Quota,
    QuotaState,
    SearchHit,
    Vectors,
)


@dataclass
class FakeSearchProvider:
    """Answers every query with the same hits, or fails."""

    hits: Sequence[SearchHit] = ()
    fails_with: str = ""
    name: str = "Fake"
    queries: list[str] = field(default_factory=list)

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        self.queries.append(query)
        if self.fails_with:
            raise SearchFailed(self.name, self.fails_with)
        return tuple({hit.url: hit for hit in self.hits}.values())[:limit]


@dataclass
class FakeFetcher:
    """Serves documents from a table; a URL that is not in it is a 404. delays_s: by URL."""

    documents: Mapping[str, Document]
    delays_s: Mapping[str, float] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> Document:
        self.fetched.append(url)
        await asyncio.sleep(self.delays_s.get(url, 0))
        if url not in self.documents:
            raise PageFailed(PageFailure.STATUS, "404")
        return self.documents[url]

    async def refetch(self, kept: KeptPage) -> Document | None:
        document = await self.fetch(kept.requested_url)
        unchanged = kept.validators.etag and kept.validators == document.validators
        return None if unchanged else document


class FakeExtractor:
    """Takes a document's body for its text, the first line for its title."""

    async def extract(self, document: Document) -> Page:
        text = document.body.decode("utf-8", "replace").strip()
        if not text:
            raise PageFailed(PageFailure.UNREADABLE, "no text")
        return Page(url=document.url, title=text.splitlines()[0], text=text, kind=PageKind.TEXT)


@dataclass
class FakeEmbedder:
    """Counts words into 64 buckets: texts that share words are near."""

    model: str = "fake"
    fails: bool = False
    memory: dict[str, Vectors] = field(default_factory=dict)

    def remembered(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        return {text: self.memory[text] for text in texts if text in self.memory}

    def remember(self, vectors: Mapping[str, Vectors]) -> None:
        self.memory.update(vectors)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if self.fails:
            raise EmbeddingFailed("the model is gone")
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, sum(word.encode()) % 64] += 1
            vectors[row, 0] += 1e-3
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.memory.update(zip(texts, vectors, strict=True))
        return vectors


@dataclass
class FakeLibrary:
    """BM25 over word sets (k1 = 1.2, b = 0.75), cosine by matrix product."""

    fails: bool = False

    async def lexical_scores(self, question: str, passages: Sequence[Passage]) -> Sequence[float]:
        if self.fails:
            raise LibraryFailed("the table is gone")
        texts = [re.findall(r"\w+", passage.embedded_text.lower()) for passage in passages]
        mean_length = sum(map(len, texts)) / max(1, len(texts))
        return [
            sum(_bm25(word, text, texts, mean_length) for word in set(re.findall(r"\w+", question.lower())))
            for text in texts
        ]

    async def dense_scores(self, question: Vectors, passages: Vectors) -> Sequence[float]:
        if self.fails:
            raise LibraryFailed("the table is gone")
        return [float(score) for score in passages @ question[0]]


def _bm25(word: str, text: list[str], texts: list[list[str]], mean_length: float) -> float:
    holders = sum(word in other for other in texts)
    idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
    frequency = text.count(word)
    return idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * len(text) / mean_length))


@dataclass
class FakePageStore:
    """Pages in a dictionary by URL; found by any shared word, or by a cosine of .1 and more."""

    fails: bool = False
    kept: dict[str, KeptPage] = field(default_factory=dict)
    passages: dict[str, list[Passage]] = field(default_factory=dict)
    rows: dict[str, Vectors] = field(default_factory=dict)
    maintained: int = 0

    async def pages(self, urls: Sequence[str]) -> Sequence[KeptPage]:
        self._check()
        return [page for page in self.kept.values() if page.requested_url in urls or page.page.url in urls]

    async def vectors(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        self._check()
        return {text: self.rows[text] for text in texts if text in self.rows}

    async def keep(
        self, pages: Sequence[KeptPage], passages: Sequence[Passage], vectors: Mapping[str, Vectors]
    ) -> None:
        self._check()
        self.rows.update(vectors)
        for page in pages:
            url = page.page.url
            old = self.kept.get(url)
            if old is None or old.content_hash != page.content_hash:
                self.passages[url] = [passage for passage in passages if passage.url == url]
            self.kept[url] = replace(page, lasting=page.lasting or (old is not None and old.lasting))

    async def find(self, question: str, vector: Vectors | None, *, limit: int) -> Sequence[FoundPassage]:
        self._check()
        scorer = FakeLibrary()
        passages = [passage for some in self.passages.values() for passage in some]
        scores = await scorer.lexical_scores(question, passages)
        found = [
            self._found(passage, score) for passage, score in zip(passages, scores, strict=True)
        ]  # fmt: skip
        near = [item for item in found if vector is not None and _cosine(item.vector, vector) >= 0.1]
        by_words = sorted((item for item in found if item.lexical), key=lambda item: -item.lexical)[:limit]
        return [*by_words, *(item for item in near[:limit] if item not in by_words)]

    def _found(self, passage: Passage, score: float) -> FoundPassage:
        kept = self.kept[passage.url]
        return FoundPassage(
            url=passage.url,
            text=passage.embedded_text,
            title=passage.title,
            published=kept.page.published,
            read_at=kept.read_at,
            lexical=score,
            vector=self.rows.get(passage.embedded_text),
        )

    async def remove(self, urls: Sequence[str]) -> int:
        self._check()
        beneath = tuple(f"{url.rstrip('/')}/" for url in urls)
        gone = [
            url
            for url, page in self.kept.items()
            if url in urls or page.requested_url in urls or url.startswith(beneath)
        ]
        for url in gone:
            del self.kept[url], self.passages[url]
        return len(gone)

    async def maintain(self) -> None:
        self._check()
        self.maintained += 1

    def _check(self) -> None:
        if self.fails:
            raise LibraryFailed("the table is gone")


def _cosine(row: Vectors | None, question: Vectors) -> float:
    return 0.0 if row is None else float(row.ravel() @ question.ravel())


def fake_keeping(store: FakePageStore | None = None, clock: FakeClock | None = None) -> Keeping:
    return Keeping(store or FakePageStore(), FakeEmbedder(), clock or FakeClock())


def fake_search(
    providers: Sequence[SearchProvider], *, library: SearchProvider, store: FakeStore | None = None
) -> Search:
    """Each provider behind its own guard, whose waits take no time."""
    engines = [Engine.guarded(provider, FakeClock()) for provider in providers]
    return Search(engines, memory=SearchMemory(store or FakeStore(), FakeClock()), library=library)


@dataclass
class FakeLanguageModel:
    """Says its pieces, then ends: with a finish reason, or by failing.

    pause_s: before each piece.
    """

    pieces: Sequence[str] = ()
    finish_reason: FinishReason = FinishReason.STOP
    fails_with: str = ""
    pause_s: float = 0
    name: str = "fake-model"
    prompts: list[Prompt] = field(default_factory=list)
    closed: int = 0

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        self.prompts.append(prompt)
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.pause_s)
                yield piece
            if self.fails_with:
                raise ModelFailed(self.fails_with)
            if not "".join(self.pieces).strip():
                raise ModelFailed("gave no text")
            yield Completion(finish_reason=self.finish_reason, model=self.name)
        finally:
            self.closed += 1


@dataclass
class FakeReplySurface:
    """Keeps every event it drew. script: what the next draws do instead of drawing, in order; None draws."""

    script: list[Deferred | SurfaceFailed | None] = field(default_factory=list)
    drawn: list[AnswerEvent] = field(default_factory=list)

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        step = self.script.pop(0) if self.script else None
        if isinstance(step, SurfaceFailed):
            raise step
        if step is None:
            self.drawn.append(event)
        return step

    @property
    def answer(self) -> Answer:
        (answer,) = [event for event in self.drawn if isinstance(event, Answer)]
        return answer


@dataclass
class FakeClock:
    """Time that moves only when somebody sleeps."""

    elapsed_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        return self.elapsed_s

    async def sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        self.elapsed_s += delay_s
        await asyncio.sleep(0)


@dataclass
class FakeRateLimiter:
    """Keeps the moments of all admitted questions.

    refuses: every quota counts as used up, for so many seconds.
    """

    clock: Clock = field(default_factory=FakeClock)
    refuses_for_s: float | None = None
    hits: list[tuple[Quota, float]] = field(default_factory=list)

    async def hit(self, quotas: Sequence[Quota]) -> QuotaState | None:
        used_up = [state for state in await self.states(quotas) if not state.left]
        if used_up:
            return max(used_up, key=lambda state: state.next_in_s)
        self.hits += [(quota, self.clock.monotonic()) for quota in quotas]
        return None

    async def states(self, quotas: Sequence[Quota]) -> Sequence[QuotaState]:
        return [self._state(quota) for quota in quotas]

    def _state(self, quota: Quota) -> QuotaState:
        if self.refuses_for_s is not None:
            return QuotaState(quota=quota, left=0, next_in_s=self.refuses_for_s)
        now_s = self.clock.monotonic()
        kind = (quota.scope, quota.key, quota.window_s)
        counted = [
            at_s
            for hit, at_s in self.hits
            if (hit.scope, hit.key, hit.window_s) == kind and at_s > now_s - quota.window_s
        ]
        left = max(0, quota.limit - len(counted))
        wait_s = 0.0 if left else counted[-quota.limit] + quota.window_s - now_s
        return QuotaState(quota=quota, left=left, next_in_s=wait_s)


@dataclass
class FakeStore:
    """Values in a dictionary, with the moment at which each ends."""

    clock: Clock = field(default_factory=FakeClock)
    fails: bool = False
    kept: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        self._check()
        return [self.kept[key][0] if key in self.kept else None for key in keys]

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        self._check()
        until_s = self.clock.monotonic() + ttl_s
        self.kept.update({key: (value, until_s) for key, value in values.items()})

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        self._check()
        if key in self.kept:
            return False
        await self.put({key: value}, ttl_s=ttl_s)
        return True

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int:
        self._check()
        value, until_s = self.kept.get(key, (b"0", self.clock.monotonic() + ttl_s))
        if not re.fullmatch(rb"0|-?[1-9][0-9]*", value):
            raise StoreFailed("no counter")
        self.kept[key] = (str(int(value) + amount).encode(), until_s)
        return int(value) + amount

    async def remove(self, keys: Sequence[str]) -> None:
        self._check()
        for key in keys:
            self.kept.pop(key, None)

    async def keys(self, prefix: str) -> Sequence[str]:
        self._check()
        return [key for key in self.kept if key.startswith(prefix)]

    def _check(self) -> None:
        if self.fails:
            raise StoreFailed("the store is gone")
        now_s = self.clock.monotonic()
        self.kept = {key: kept for key, kept in self.kept.items() if kept[1] > now_s}
