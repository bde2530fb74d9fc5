"""Two embedders as one, for what is compared within one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from core.errors import EmbeddingFailed
from core.ports import Embedder
from core.types import Vectors

log = structlog.get_logger(__name__)


class FallbackEmbedder:
    """An Embedder whose rows are to be compared with those of the same call only.

    All rows of a call are of one model: the first, or all anew of the second where the first fails.
    wanted: set once the second was needed, so that it may be prepared then.
    """

    def __init__(self, first: Embedder, second: Embedder) -> None:
        self._first = first
        self._second = second
        self.wanted = asyncio.Event()

    @property
    def model(self) -> str:
        """No vector space has this name: nothing is kept under it."""
        return f"{self._first.model}, else {self._second.model}"

    async def embed(self, texts: Sequence[str]) -> Vectors:
        try:
            return await self._first.embed(texts)
        except EmbeddingFailed as failure:
            log.warning("embedder.skipped", model=self._first.model, reason=str(failure), texts=len(texts))
        self.wanted.set()
        return await self._second.embed(texts)
