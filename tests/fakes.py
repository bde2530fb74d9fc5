"""One fake per port: whole implementations, scripted or in memory, that pass the port's contract suite."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from core.errors import (
    EmbeddingFailed,
    LibraryFailed,
    ModelFailed,
    PageFailed,
    PageFailure,
    SearchFailed,
    SurfaceFailed,
)
from core.types import (
    Answer,
    AnswerEvent,
    AskerId,
    Completion,
    Deferred,
    Document,
    FinishReason,
    Page,
    PageKind,
    Passage,
    Prompt,
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

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if self.fails:
            raise EmbeddingFailed("the model is gone")
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, sum(word.encode()) % 64] += 1
            vectors[row, 0] += 1e-3
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
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
class FakeRateLimiter:
    """Admits so many questions of each asker, then none."""

    admits: int = 1_000_000
    retry_after_s: float = 30.0
    counts: dict[AskerId, int] = field(default_factory=dict)

    async def hit(self, asker: AskerId) -> float | None:
        if self.counts.get(asker, 0) >= self.admits:
            return self.retry_after_s
        self.counts[asker] = self.counts.get(asker, 0) + 1
        return None


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
