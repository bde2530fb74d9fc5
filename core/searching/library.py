"""The library asked like a search engine: what was read before and speaks of the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from core.answering.words import recall, word_weights, words
from core.errors import EmbeddingFailed, LibraryFailed, SearchFailed
from core.ports import Embedder, PageStore
from core.ranking.fusion import best_first, fuse
from core.types import FoundPassage, SearchHit, Vectors

log = structlog.get_logger(__name__)

CANDIDATES: Final = 32
"""By words, and as many by meaning."""

LIKE_ENOUGH: Final = 0.5
"""Cosine from which a passage speaks of the question whatever its words."""

SOMEWHAT_LIKE: Final = 0.25
SHARED_ENOUGH: Final = 0.5
"""Cosine that is enough where the passage shares so much of the weight of the question's words."""


class LibrarySearch:
    """A SearchProvider that always has something similar, and so has to judge whether it is relevant."""

    name = "Library"

    def __init__(self, library: PageStore, embedder: Embedder) -> None:
        self._library = library
        self._embedder = embedder

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        vector = await self._embed([query])
        try:
            found = await self._library.find(query, vector, limit=CANDIDATES)
        except LibraryFailed as failure:
            log.warning("library.not_searched", reason=str(failure))
            raise SearchFailed(self.name, "could not be opened") from failure
        likeness = await self._likeness(vector, found)
        weights = word_weights([words(query), *(words(passage.text) for passage in found)])
        asked = {word: weights[word] for word in words(query)}
        relevant = [
            place
            for place, passage in enumerate(found)
            if is_relevant(shared=_shared(asked, passage), likeness=likeness[place] if likeness else None)
        ]
        log.info("library.searched", candidates=len(found), relevant=len(relevant))
        lexical = [found[place].lexical for place in relevant]
        dense = [likeness[place] for place in relevant] if likeness else []
        order = best_first(fuse(lexical, dense, range(len(dense))))
        return _hits([found[relevant[place]] for place in order], limit, self.name)

    async def _likeness(self, question: Vectors | None, found: Sequence[FoundPassage]) -> list[float]:
        """Cosines to the question; what was never embedded is so now. Empty if that fails."""
        unknown = [passage.text for passage in found if passage.vector is None]
        rows = await self._embed(unknown) if unknown else ()
        if question is None or rows is None:
            return []
        new = dict(zip(unknown, rows, strict=True))
        vectors = (new[item.text] if item.vector is None else item.vector for item in found)
        return [float(row @ question[0]) for row in vectors]

    async def _embed(self, texts: Sequence[str]) -> Vectors | None:
        try:
            return await self._embedder.embed(texts)
        except EmbeddingFailed as failure:
            log.warning("embedding.skipped", reason=str(failure), texts=len(texts))
            return None


def is_relevant(*, shared: float, likeness: float | None) -> bool:
    """Does a passage speak of what was asked? A cosine alone is fooled by questions of the same form.

    shared: of the weight of the question's words, 0 to 1. likeness: cosine; None without a model.
    """
    if likeness is None:
        return shared >= SHARED_ENOUGH
    return likeness >= LIKE_ENOUGH or (likeness >= SOMEWHAT_LIKE and shared >= SHARED_ENOUGH)


def _shared(asked: Mapping[str, float], passage: FoundPassage) -> float:
    return recall(asked, frozenset(words(passage.text)))


def _hits(found: Sequence[FoundPassage], limit: int, provider: str) -> list[SearchHit]:
    """One for each page, by its best passage."""
    best = {passage.url: passage for passage in reversed(found)}
    return [
        SearchHit(
            url=passage.url,
            title=passage.title,
            snippet=passage.text,
            provider=provider,
            published=passage.published,
        )
        for passage in found
        if best[passage.url] is passage
    ][:limit]
