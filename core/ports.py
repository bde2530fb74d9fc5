"""The seams: one Protocol for each thing outside that the core needs.

Time limits are the caller's: every call stands under `asyncio.timeout`, and an implementation lets
CancelledError through at once. What an implementation raises is named here; its library's own
exceptions never pass.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from core.types import (
    AnswerEvent,
    Completion,
    Deferred,
    Document,
    FoundPassage,
    KeptPage,
    Page,
    Passage,
    Prompt,
    Quota,
    QuotaState,
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

    async def refetch(self, kept: KeptPage) -> Document | None:
        """The document a page was made from, as it is now; None if it is as it was. Raises PageFailed."""


class Extractor(Protocol):
    async def extract(self, document: Document) -> Page:
        """The readable text of a document, never empty. Raises PageFailed(UNREADABLE)."""


class Embedder(Protocol):
    @property
    def model(self) -> str:
        """Names the vector space: vectors of different models are never compared."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, in order. Raises EmbeddingFailed."""


class RememberingEmbedder(Embedder, Protocol):
    """Keeps the vectors of the last few thousand texts in memory."""

    def remembered(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        """The rows it has for some of these texts; nothing is embedded."""

    def remember(self, vectors: Mapping[str, Vectors]) -> None:
        """Rows by their text, made by this same model."""


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


class PageStore(Protocol):
    """Pages that were read, and where their passages are found again. All of it raises LibraryFailed.

    Pages that don't last are as good as gone once they are older than the store keeps them.
    """

    async def pages(self, urls: Sequence[str]) -> Sequence[KeptPage]:
        """Those asked for or found under these URLs, in any order."""

    async def vectors(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        """Rows by their text, for those that were ever kept with one."""

    async def keep(
        self, pages: Sequence[KeptPage], passages: Sequence[Passage], vectors: Mapping[str, Vectors]
    ) -> None:
        """All at once: each page in place of what had its URL, with its passages.

        Where the content is the same, its passages stay as they are. What lasts goes on to last.
        vectors: rows by `Passage.embedded_text`, for as many passages as have one.
        """

    async def find(self, question: str, vector: Vectors | None, *, limit: int) -> Sequence[FoundPassage]:
        """The `limit` best by words and the `limit` best by meaning, each once, in any order."""

    async def remove(self, urls: Sequence[str]) -> int:
        """These and all beneath them (`URL/...`); how many there were."""

    async def maintain(self) -> None:
        """Ages pages, bounds the files, merges what many writes left; cheap when nothing is due."""


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
    """Never fails: where its memory is out of reach, it keeps this process's share of each limit."""

    async def hit(self, quotas: Sequence[Quota]) -> QuotaState | None:
        """Count one question against all of them. None: admitted; else the one that is used up.

        Where one refuses, none has counted it.
        """

    async def states(self, quotas: Sequence[Quota]) -> Sequence[QuotaState]:
        """In their order; nothing is counted."""


class Store(Protocol):
    """Small values under keys, each for a while. Every method raises StoreFailed, and soon.

    Keys are words between colons, the first of which says whose they are: "seen:slack:Ev12".
    """

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """In their order; None where there is none."""

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None: ...

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Put it where there is none; whether this call did. Of many at once, in all processes, one does."""

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int:
        """Add to a counter, which begins at 0 and lasts from then on; the sum."""

    async def remove(self, keys: Sequence[str]) -> None: ...

    async def keys(self, prefix: str) -> Sequence[str]:
        """Those that begin so, in any order; for namespaces with few of them."""


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
    "PageStore",
    "RateLimiter",
    "RememberingEmbedder",
    "ReplySurface",
    "SearchProvider",
    "Store",
]
