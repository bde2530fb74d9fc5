"""Orders a question's passages: lexical scores, vectors for the best of them, one fused order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from core.errors import EmbeddingFailed, LibraryFailed
from core.ports import Embedder, Library
from core.ranking.fusion import (
    FEWEST_EMBEDDED,
    NORMALLY_EMBEDDED,
    best_first,
    choose_embedded,
    fuse,
    with_feedback,
)
from core.types import Passage, RankedPassage, Vectors

log = structlog.get_logger(__name__)

LIBRARY_LIMIT_S = 2.0
EMBEDDING_LIMIT_S = 2.0
"""The stage's own target: an order by words alone now is better than a fused one later."""

CROWD = 3
"""Questions being ranked at once from which each embeds the fewest: two cores have no more to give."""

ANTICIPATED_PER_PAGE = 3
"""NORMALLY_EMBEDDED over the ten pages a question reads, less the one in ten that would be in vain."""

PASSAGES_PER_PAGE = 300
"""About 30,000 words. What a longer page says after them is not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """passages: best first.

    embedded: how many of them were compared by meaning; 0 when the order is by words alone.
    library_failed: the fallback scored them.
    """

    passages: tuple[RankedPassage, ...]
    embedded: int = 0
    library_failed: bool = False


class Ranking:
    """fallback: a library that can't fail; it scores when the first one does."""

    def __init__(self, *, library: Library, fallback: Library, embedder: Embedder) -> None:
        self._library = library
        self._fallback = fallback
        self._embedder = embedder
        self._in_flight = 0

    async def rank(
        self, question: str, passages: Sequence[Passage], *, embed_limit: int = NORMALLY_EMBEDDED
    ) -> Ranked:
        """All passages (of each page the first PASSAGES_PER_PAGE). Fails for nobody's fault but a bug's."""
        considered = [passage for passage in passages if passage.index < PASSAGES_PER_PAGE]
        if not considered:
            return Ranked(passages=())
        self._in_flight += 1
        try:
            limit = embed_limit if self._in_flight < CROWD else min(embed_limit, FEWEST_EMBEDDED)
            return await self._rank(question, considered, limit)
        finally:
            self._in_flight -= 1

    async def anticipate(self, question: str, passages: Sequence[Passage]) -> None:
        """Embed what `rank` will want of a page that has come, while others are still on their way.

        Only spends time that would be idle: with a crowd of questions it does nothing.
        """
        if not passages or self._in_flight >= CROWD:
            return
        lexical = await self._fallback.lexical_scores(question, passages)
        likely = best_first(lexical)[:ANTICIPATED_PER_PAGE]
        await self._embed([question, *(passages[index].embedded_text for index in likely)])

    async def _rank(self, question: str, passages: Sequence[Passage], limit: int) -> Ranked:
        scorer = _Scorer(self._library, self._fallback)
        lexical = await scorer.score(lambda library: library.lexical_scores(question, passages))
        chosen = choose_embedded(lexical, [passage.url for passage in passages], limit=limit)
        # In one call, whose rows are all of one model.
        rows = await self._embed([question, *(passages[index].embedded_text for index in chosen)])
        dense: Sequence[float] = ()
        if rows is None:
            chosen = []
        else:
            dense = await _dense_scores(scorer, rows[:1], rows[1:], lexical, chosen)
        fused = fuse(lexical, dense, chosen)
        return Ranked(
            passages=tuple(
                RankedPassage(passage=passages[index], score=float(fused[index]))
                for index in best_first(fused)
            ),
            embedded=len(chosen),
            library_failed=scorer.failed,
        )

    async def _embed(self, texts: Sequence[str]) -> Vectors | None:
        """None where that failed or took too long."""
        try:
            async with asyncio.timeout(EMBEDDING_LIMIT_S):
                return await self._embedder.embed(texts)
        except (EmbeddingFailed, TimeoutError) as error:
            log.warning("embedding.skipped", reason=str(error) or "took too long", texts=len(texts))
            return None


class _Scorer:
    """One question's way to a library: the fallback, once the first has failed."""

    def __init__(self, library: Library, fallback: Library) -> None:
        self._library = library
        self._fallback = fallback
        self.failed = False

    async def score(self, ask: Callable[[Library], Awaitable[Sequence[float]]]) -> Sequence[float]:
        if not self.failed:
            try:
                async with asyncio.timeout(LIBRARY_LIMIT_S):
                    return await ask(self._library)
            except (LibraryFailed, TimeoutError) as error:
                log.warning("library.bypassed", reason=str(error) or "took too long")
                self.failed = True
        return await ask(self._fallback)


async def _dense_scores(
    scorer: _Scorer, question: Vectors, vectors: Vectors, lexical: Sequence[float], chosen: Sequence[int]
) -> Sequence[float]:
    """Of the passages `chosen`, whose vectors these are; the best of them speaks for the question too."""
    dense = await scorer.score(lambda library: library.dense_scores(question, vectors))
    fused = fuse(lexical, dense, chosen)
    best = max(range(len(chosen)), key=lambda place: float(fused[chosen[place]]))
    likeness = await scorer.score(lambda library: library.dense_scores(vectors[best : best + 1], vectors))
    return with_feedback(dense, likeness)
