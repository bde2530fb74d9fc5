"""The seams: one Protocol for each thing outside that the core needs.

Time limits are the caller's: every call stands under `asyncio.timeout`, and an implementation lets
CancelledError through at once. What an implementation raises is named here; its library's own
exceptions never pass.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from core.types import (
    AnswerEvent,
    AskerId,
    Completion,
    Deferred,
    Document,
    Page,
    Passage,
    Prompt,
    SearchHit,
    Vectors,
)


class SearchProvider(Protocol):
    @property
    def name(self) -> str:
        """As shown to people: "Serper"."""

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        """Best first, at most `limit`, each URL once. Raises SearchFailed; no hits is not a failure."""


class Fetcher(Protocol):
    async def fetch(self, url: str) -> Document:
        """The document behind a URL that a stranger chose. Raises PageFailed."""


class Extractor(Protocol):
    async def extract(self, document: Document) -> Page:
        """The readable text of a document, never empty. Raises PageFailed(UNREADABLE)."""


class Embedder(Protocol):
    @property
    def model(self) -> str:
        """Names the vector space: vectors of different models are never compared."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, in order. Raises EmbeddingFailed."""


class Library(Protocol):
    async def lexical_scores(self, question: str, passages: Sequence[Passage]) -> Sequence[float]:
        """BM25 of each passage, in their order; 0 where no word is shared.

        The statistics (document frequency, mean length) are those of `passages` alone.
        Raises LibraryFailed.
        """

    async def dense_scores(self, question: Vectors, passages: Vectors) -> Sequence[float]:
        """Cosine of each row of `passages` to the one row of `question`, in their order.

        Raises LibraryFailed.
        """


class LanguageModel(Protocol):
    @property
    def name(self) -> str:
        """As the API calls it: "openrouter/auto"."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        """Pieces of visible text, cut anywhere, then exactly one Completion.

        Raises ModelFailed, before the first piece or between two; text that is empty or
        reasoning only is such a failure. Closing the generator ends the request.
        """


class ReplySurface(Protocol):
    async def draw(self, event: AnswerEvent) -> Deferred | None:
        """Show the newest event in place of what stood there. None: drawn. Raises SurfaceFailed."""


class RateLimiter(Protocol):
    async def hit(self, asker: AskerId) -> float | None:
        """Count one question. None: admitted; else seconds until the next would be, not counted."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time with a time zone."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    async def sleep(self, delay_s: float) -> None: ...


__all__ = [
    "Clock",
    "Embedder",
    "Extractor",
    "Fetcher",
    "LanguageModel",
    "Library",
    "RateLimiter",
    "ReplySurface",
    "SearchProvider",
]
