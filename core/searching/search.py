"""Provider after provider, until one answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from core.errors import SearchFailed, SearchUnavailable
from core.ports import SearchProvider
from core.resilience import Deadline
from core.types import SearchHit

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    """skipped: the providers that failed before one answered, in the order tried.

    kept: the hits are pages of the library, for no provider could be asked.
    """

    hits: tuple[SearchHit, ...]
    provider: str
    skipped: tuple[SearchFailed, ...] = ()
    kept: bool = False


class Search:
    """providers: in the order they are tried. provider_s: what one of them may take.

    library: the last resort, asked when none of them could be.
    """

    def __init__(
        self,
        providers: Sequence[SearchProvider],
        *,
        library: SearchProvider,
        max_hits: int = 12,
        provider_s: float = 4.5,
    ) -> None:
        self._providers = tuple(providers)
        self._library = library
        self._max_hits = max_hits
        self._provider_s = provider_s

    async def search(self, query: str, *, deadline: Deadline) -> SearchResults:
        """The first provider's hits that has any; none where some answered but all had none.

        Raises SearchUnavailable when every provider failed and the library has nothing to say either.
        """
        failures: list[SearchFailed] = []
        without_hits: list[str] = []
        for provider in self._providers:
            try:
                hits = await self._ask(provider, query, deadline)
            except SearchFailed as failure:
                log.warning("search.failed", provider=failure.provider, reason=failure.reason)
                failures.append(failure)
                continue
            if hits:
                return SearchResults(hits=hits, provider=provider.name, skipped=tuple(failures))
            without_hits.append(provider.name)
        if without_hits:
            return SearchResults(hits=(), provider=without_hits[0], skipped=tuple(failures))
        return await self._search_library(query, failures, deadline)

    async def _search_library(
        self, query: str, failures: Sequence[SearchFailed], deadline: Deadline
    ) -> SearchResults:
        try:
            hits = await self._ask(self._library, query, deadline)
        except SearchFailed as failure:
            raise SearchUnavailable([*failures, failure]) from failure
        if failures and not hits:
            raise SearchUnavailable(failures)
        return SearchResults(hits=hits, provider=self._library.name, skipped=tuple(failures), kept=True)

    async def _ask(self, provider: SearchProvider, query: str, deadline: Deadline) -> tuple[SearchHit, ...]:
        try:
            async with deadline.within(self._provider_s):
                return tuple(await provider.search(query, limit=self._max_hits))
        except TimeoutError as error:
            raise SearchFailed(provider.name, "did not answer in time") from error
